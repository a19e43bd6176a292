// SPDX-License-Identifier: Apache-2.0
// The program that opens on request, and whether this machine lets us see it.

import Foundation
import Openers
import Parsing
import Procfs
import TestSupport

/// `Programs/leak.c`, running: stripped, without frame pointers.
final class LeakProgram {
  let process: ChildProcess
  /// Its number for us, where it runs below another process.
  let pid: Int32
  private let directory: TemporaryDirectory

  /// - Parameter wrapper: what starts it.
  init(within wrapper: [String] = []) throws {
    directory = try TemporaryDirectory()
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Programs/leak.c")
    let target = directory.path + "/leak"
    // Exported: what is stripped has the names that others may link with.
    let outcome = try ChildProcess.run([
      "cc", "-O2", "-fomit-frame-pointer", "-rdynamic", "-s", "-pthread", "-o", target, source.path,
    ])
    guard outcome.status == .exited(0) else { throw TestFailure(outcome.errors) }
    process = try ChildProcess(wrapper + [target])
    guard try process.readLine() == "ready" else { throw TestFailure("it does not start") }
    if wrapper.isEmpty {
      pid = process.pid
    } else {
      let children = try String(
        contentsOfFile: "/proc/\(process.pid)/task/\(process.pid)/children", encoding: .utf8)
      guard let child = children.split(separator: " ").first.flatMap({ Int32($0) }) else {
        throw TestFailure("it has no child")
      }
      pid = child
    }
  }

  /// Returns once it is done.
  func run(_ command: String) throws {
    try process.write(command + "\n")
    guard try process.readLine() == "done" else { throw TestFailure("\(command): it has ended") }
  }

  func withDirectory<Value>(_ body: (borrowing ProcessDirectory) throws -> Value) throws -> Value {
    let procfs = try Procfs()
    let directory = try ProcessDirectory(pid: pid, in: procfs)
    return try body(directory)
  }

  /// Who opened what is open still.
  func stacks(_ trace: OpenerTrace, _ survivors: Survivors) throws -> OpenerStacks {
    try OpenerStacks(trace.groups(of: survivors), of: trace.process, by: .built())
  }
}

extension OpenerStacks {
  /// How many were opened below a function.
  func count(_ function: String) -> Int {
    stacks.reduce(0) { $0 + ($1.frames.contains(function) ? $1.count : 0) }
  }

  var total: Int { stacks.reduce(others) { $0 + $1.count } }
}

enum Tracing {
  /// Why nothing can be traced here; `nil` where it can.
  static let obstacle: String? = {
    do {
      let procfs = try Procfs()
      let directory = try ProcessDirectory(pid: getpid(), in: procfs)
      _ = try OpenerTrace(directory)
      return nil
    } catch { return "\(error)" }
  }()

  static var reason: String { "NOT TESTED, as nothing can be traced here: \(obstacle ?? "")" }
}
