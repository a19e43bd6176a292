// SPDX-License-Identifier: Apache-2.0
// perf-<pid>.map: what a just-in-time compiler has put where. The kernel's tools/perf/Documentation/jit-interface.txt.

import Linux

/// Lines `START SIZE name`, numbers in hexadecimal. Only the names that are asked for are kept: a map may have millions.
package struct PerfMap: ~Copyable {
  private let file: Descriptor

  /// What comes after is not read.
  private static let mostBytes = 64 << 20
  private static let chunk = 64 << 10
  /// A line that is longer is none.
  private static let longestLine = 4096

  package init(_ file: consuming Descriptor) { self.file = file }

  /// The names of these addresses. Of what was compiled anew at the same place the later counts, as it does for who
  /// reads the map from its beginning.
  package func names(of addresses: Set<UInt64>, within budget: Budget) -> [UInt64: String] {
    let wanted = addresses.sorted()
    if wanted.isEmpty { return [:] }
    var found: [UInt64: String] = [:]
    var place = 0
    var rest: [UInt8] = []
    while place < Self.mostBytes, !budget.isSpent {
      guard let bytes = try? file.bytes(at: place, upTo: Self.chunk), !bytes.isEmpty else { break }
      place += bytes.count
      rest += bytes
      var start = 0
      while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
        Self.take(rest[start..<end], wanted, &found)
        start = end + 1
      }
      // What is no line of a map is passed over: it may be one that is being written.
      rest = rest.count - start > Self.longestLine ? [] : Array(rest[start...])
    }
    if rest.count <= Self.longestLine { Self.take(rest[...], wanted, &found) }
    return found
  }

  private static func take(_ line: ArraySlice<UInt8>, _ wanted: [UInt64], _ found: inout [UInt64: String]) {
    var position = line.startIndex
    guard let start = hexadecimal(line, &position), let size = hexadecimal(line, &position), position < line.endIndex,
      size > 0, !start.addingReportingOverflow(size).overflow
    else { return }
    var (low, high) = (0, wanted.count)
    while low < high {
      let middle = (low + high) / 2
      if wanted[middle] < start { low = middle + 1 } else { high = middle }
    }
    guard low < wanted.count, wanted[low] < start + size else { return }
    let name = String(decoding: line[position...].prefix(Symbolizer.longestName), as: UTF8.self)
    while low < wanted.count, wanted[low] < start + size {
      found[wanted[low]] = name
      low += 1
    }
  }

  private static func hexadecimal(_ line: ArraySlice<UInt8>, _ position: inout Int) -> UInt64? {
    var value: UInt64 = 0
    var digits = 0
    if line[position...].starts(with: "0x".utf8) { position += 2 }
    while position < line.endIndex, let digit = digit(line[position]) {
      if value >> 60 != 0 { return nil }
      value = value << 4 | digit
      digits += 1
      position += 1
    }
    guard digits > 0, position < line.endIndex, line[position] == UInt8(ascii: " ") else { return nil }
    position += 1
    return value
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case 0x30...0x39: UInt64(byte - 0x30)
    case 0x61...0x66: UInt64(byte - 0x61 + 10)
    case 0x41...0x46: UInt64(byte - 0x41 + 10)
    default: nil
    }
  }
}

/// Processor time that a job may take for names. What has none by then is a place in its file.
package struct Budget: Sendable {
  private let end: Duration

  package init(_ time: Duration) { end = Confinement.usedCPU + time }

  package static let none = Budget(.seconds(1_000_000))

  package var isSpent: Bool { Confinement.usedCPU >= end }
}
