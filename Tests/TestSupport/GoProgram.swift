// SPDX-License-Identifier: Apache-2.0
// A real Go program that leaks: Tests/goleak, built once per run with Debian's Go.

import Foundation

/// goleak, running.
package final class GoProgram {
  package let process: ChildProcess
  /// `127.0.0.1:PORT`, or the path of its socket.
  package let address: String
  package var pid: Int32 { process.pid }

  /// - Parameter arguments: see Tests/goleak/main.go.
  package init(_ arguments: [String] = [], environment: [String: String] = [:]) throws {
    process = try ChildProcess(
      [try Self.executable.get()] + arguments,
      environment: ChildProcess.plainEnvironment.merging(environment) { $1 })
    guard let line = try process.readLine() else {
      throw TestFailure("goleak did not start: \(try process.finish().errors)")
    }
    address = line
  }

  /// The path of the program, for where it is not started by us.
  package static func build() throws -> String { try executable.get() }

  private static let executable: Result<String, any Error> = Result {
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../goleak/main.go").standardizedFileURL.path
    let target = NSTemporaryDirectory() + "goleak-\(getpid())"
    let child = try ChildProcess(
      ["go", "build", "-o", target, source],
      environment: ChildProcess.plainEnvironment.merging([
        "HOME": NSTemporaryDirectory(), "GOCACHE": NSTemporaryDirectory() + "fdwatch-go-cache", "GOFLAGS": "-mod=mod",
      ]) { $1 })
    child.closeInput()
    let outcome = try child.finish()
    guard outcome.status == .exited(0) else { throw TestFailure("goleak did not build: \(outcome.errors)") }
    return target
  }
}
