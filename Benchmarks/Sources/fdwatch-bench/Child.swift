// SPDX-License-Identifier: Apache-2.0
// A child that holds descriptors of mixed kinds.

import Foundation
import Glibc

/// A running `fdfactory`. It ends when it is let go.
final class Child {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var buffer = Data()

  var pid: Int32 { process.processIdentifier }

  /// Beside this program.
  private static let program = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    .deletingLastPathComponent().appending(path: "fdfactory")

  /// - Parameter count: open descriptors in all, the three standard ones among them.
  init(holding count: Int) throws {
    process.executableURL = Self.program
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    _ = try readLine()
    let kinds = ["file", "tcp-listen", "pipe", "eventfd", "unix-connected", "timerfd", "device", "directory"]
    var left = count - 3
    for (index, kind) in kinds.enumerated() where left > 0 {
      var share = index == kinds.count - 1 ? left : min(left, (count - 3) / kinds.count / 2 * 2)
      if kind == "unix-connected" { share = share / 2 * 2 }
      if share == 0 { continue }
      let answer = try ask("open \(kind) \(share)")
      guard answer.hasPrefix("ok") else { throw BenchError("fdfactory: \(answer)") }
      left -= share
    }
  }

  deinit {
    try? input.fileHandleForWriting.close()
    // Not waitUntilExit(): Foundation learns of an exit by a descriptor that fdfactory closes at its start, and then
    // waits for one child after the other.
    for _ in 0..<5000 where kill(pid, 0) == 0 { usleep(1000) }
  }

  /// A copy of it, which ends with it.
  func fork() throws -> Int32 {
    let words = try ask("fork").split(separator: " ")
    guard words.first == "child", words.count == 2, let pid = Int32(words[1]) else {
      throw BenchError("fdfactory: \(words.joined(separator: " "))")
    }
    return pid
  }

  private func ask(_ command: String) throws -> String {
    try input.fileHandleForWriting.write(contentsOf: Data((command + "\n").utf8))
    return try readLine()
  }

  private func readLine() throws -> String {
    while true {
      if let end = buffer.firstIndex(of: 10) {
        defer { buffer = Data(buffer[(end + 1)...]) }
        return String(decoding: buffer[..<end], as: UTF8.self)
      }
      let more = output.fileHandleForReading.availableData
      if more.isEmpty { throw BenchError("fdfactory has ended") }
      buffer.append(more)
    }
  }
}

struct BenchError: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}
