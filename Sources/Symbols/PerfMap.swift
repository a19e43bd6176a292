// SPDX-License-Identifier: Apache-2.0
// perf-<pid>.map: what a just-in-time compiler has put where. The kernel's tools/perf/Documentation/jit-interface.txt.

import Linux
import Procfs

/// Lines `START SIZE name`, numbers in hexadecimal, ascending by address.
struct PerfMap: Sendable {
  private var entries: [(start: UInt64, end: UInt64, name: Range<Int>)] = []
  private var text: [UInt8] = []

  private static let longest = 64 << 20
  private static let mostLines = 1_000_000
  private static let longestName = 1024

  /// The map of a process, in the `/tmp` that it sees. Anybody may write there: it must be the process's own.
  init?(of pid: Int32, processes: String) {
    guard let procfs = try? Procfs(path: processes), let process = try? ProcessDirectory(pid: pid, in: procfs),
      let user = try? process.identity().user, let inner = try? process.innermostPid()
    else { return nil }
    let path = "\(processes)/\(pid)/root/tmp/perf-\(inner).map"
    guard let file = try? Descriptor(regularFile: path, followingLinks: false), let state = try? file.state(),
      state.owner == user || state.owner == 0, let bytes = try? file.contents(limit: Self.longest)
    else { return nil }
    self.init(bytes)
  }

  /// What is no line of a map is passed over: it may be one that is being written.
  init(_ bytes: [UInt8]) {
    text = bytes
    var start = 0
    while start < bytes.count, entries.count < Self.mostLines {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      add(start..<end)
      start = end + 1
    }
    // Of what was compiled anew at the same place the later counts.
    let order = entries.indices.sorted { (entries[$0].start, $0) < (entries[$1].start, $1) }
    entries = order.map { entries[$0] }
  }

  private mutating func add(_ line: Range<Int>) {
    var position = line.lowerBound
    guard let start = hexadecimal(&position, line.upperBound), let size = hexadecimal(&position, line.upperBound),
      position < line.upperBound, size > 0, start.addingReportingOverflow(size).overflow == false
    else { return }
    entries.append((start, start + size, position..<min(line.upperBound, position + Self.longestName)))
  }

  private func hexadecimal(_ position: inout Int, _ end: Int) -> UInt64? {
    let first = position
    while position < end, text[position] != UInt8(ascii: " ") { position += 1 }
    guard position > first, position < end else { return nil }
    defer { position += 1 }
    let word = text[first..<position]
    let digits = word.starts(with: "0x".utf8) ? word.dropFirst(2) : word
    return UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  func name(at address: UInt64) -> String? {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < entries[low - 1].end else { return nil }
    return String(decoding: text[entries[low - 1].name], as: UTF8.self)
  }
}
