// SPDX-License-Identifier: Apache-2.0
// The live child that tests watch: typed calls for the protocol of fdfactory/main.c.

import Foundation

/// A child that opens, leaks and closes descriptors on request. What a call returns from has happened.
package final class FDFactory {
  /// As it sees it itself: in a namespace of processes, its number there.
  package let pid: Int32
  package let process: ChildProcess
  /// What it was asked to open and not to close again.
  package private(set) var open: Set<Int32> = []

  /// Beside what it was asked for: its three standard streams.
  package var count: Int { open.count + 3 }

  /// - Parameter launcher: a command that runs it in its own place, such as `unshare -n`.
  package init(launcher: [String] = []) throws {
    process = try ChildProcess(launcher + [Products.executable("fdfactory")])
    guard let line = try process.readLine(), line.hasPrefix("ready "), let pid = Int32(line.dropFirst(6)) else {
      let outcome = try process.finish()
      throw TestFailure("fdfactory did not start: \(outcome.errors)")
    }
    self.pid = pid
  }

  /// A kind that this kernel does not have, or that it does not let us make.
  package struct Unsupported: Error, CustomStringConvertible {
    package var description: String
  }
}

extension FDFactory {
  /// One command and the words of its answer.
  @discardableResult package func ask(_ command: String) throws -> [Substring] {
    try process.write(command + "\n")
    return try answer(to: command)
  }

  private func answer(to command: String) throws -> [Substring] {
    guard let line = try process.readLine() else { throw TestFailure("fdfactory ended at: \(command)") }
    let words = line.split(separator: " ")
    switch words.first {
    case "ok", "child", "churned", "leaked": return Array(words.dropFirst())
    case "unsupported": throw Unsupported(description: line)
    default: throw TestFailure("fdfactory, asked to \(command), answers: \(line)")
    }
  }

  private func numbers(_ words: [Substring]) -> [Int32] {
    let numbers = words.compactMap { Int32($0) }
    open.formUnion(numbers)
    return numbers
  }

  @discardableResult package func open(_ kind: String, _ count: Int = 1) throws -> [Int32] {
    numbers(try ask("open \(kind) \(count)"))
  }

  /// One of a kind; of kinds that come in pairs the first end.
  package func openOne(_ kind: String) throws -> Int32 {
    guard let first = try open(kind, FDFactory.inseparable.contains(kind) ? 2 : 1).first else {
      throw TestFailure("no \(kind)")
    }
    return first
  }

  package func close(_ numbers: [Int32]) throws {
    try ask("close " + numbers.map(String.init).joined(separator: " "))
    open.subtract(numbers)
  }

  package func duplicate(_ number: Int32, _ count: Int = 1) throws -> [Int32] {
    numbers(try ask("dup \(number) \(count)"))
  }

  /// The same number for another thing; it is free at no time.
  package func reuse(_ number: Int32, for kind: String) throws { try ask("reuse \(number) \(kind)") }

  /// Names the process: any bytes.
  package func name(_ bytes: [UInt8]) throws { try ask("name " + hexadecimal(bytes)) }

  /// Opens a file of this name: any bytes but `/` and 0.
  package func path(_ name: [UInt8]) throws -> Int32 {
    guard let number = numbers(try ask("path " + hexadecimal(name))).first else { throw TestFailure("no path") }
    return number
  }

  package func rename(_ number: Int32, to name: [UInt8]) throws { try ask("rename \(number) " + hexadecimal(name)) }
  package func unlink(_ number: Int32) throws { try ask("unlink \(number)") }
  package func write(_ number: Int32, bytes: Int) throws { try ask("write \(number) \(bytes)") }
  package func exitMainThread() throws { try ask("main-exit") }
  package func drop(to user: UInt32) throws { try ask("drop \(user)") }
  package func makeUndumpable() throws { try ask("undumpable") }
  package func limit(soft: Int) throws { try ask("limit \(soft)") }

  /// A child of the factory with copies of all its descriptors.
  package func fork() throws -> Int32 {
    guard let pid = try ask("fork").first.flatMap({ Int32($0) }) else { throw TestFailure("no child") }
    return pid
  }

  package func exitChild(_ pid: Int32) throws { try ask("child-exit \(pid)") }
  package func reapChild(_ pid: Int32) throws { try ask("reap \(pid)") }

  /// Starts a thread of it that opens and closes without pause.
  package func startChurn(milliseconds: Int) throws { try ask("churn \(milliseconds)") }
  package func finishChurn() throws -> Int { Int(try answer(to: "churn").first ?? "") ?? 0 }

  /// Starts a thread of it that opens one at a time and closes none.
  package func startLeak(of kind: String, every pause: Duration, count: Int) throws {
    try ask("leak \(kind) \(Int(pause / .milliseconds(1))) \(count)")
  }

  /// Waits until the thread has opened all.
  package func finishLeak() throws { _ = try answer(to: "leaked") }

  /// Ends it and collects it.
  package func exit(_ code: Int = 0) throws {
    try process.write("exit \(code)\n")
    _ = try process.finish()
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

  /// Kinds of which both ends stay, as main.c says.
  private static let inseparable: Set<String> = ["tcp-established", "unix-connected"]
}
