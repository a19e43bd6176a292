// SPDX-License-Identifier: Apache-2.0
// A real systemd for one test, by Tests/bed/systemd-container.sh.

import Foundation
import Glibc

/// A container whose first process is systemd. It ends with this object, and with this process.
package final class SystemdContainer {
  package let name: String

  private static let script = Repository.path("Tests/bed/systemd-container.sh")

  /// Why none can be had here; `nil` if one can.
  package static let obstacle: String? = {
    do {
      let check = try ChildProcess.run(["bash", script, "check"])
      return check.status == .exited(0) ? nil : check.errors
    } catch {
      return "\(error)"
    }
  }()

  /// For `.enabled(if:_:)`.
  package static var isUsable: Bool { obstacle == nil }

  package init() throws {
    // A name is that of the host, too, and is told in what fails.
    name = "fdwatch-" + UUID().uuidString.prefix(8).lowercased()
    let up = try ChildProcess.run(["bash", Self.script, "up", name, "--while=\(getpid())"])
    guard up.status == .exited(0) else { throw TestFailure("no container: \(up.errors)") }
  }

  deinit { _ = try? ChildProcess.run(["bash", Self.script, "down", name]) }

  /// Starts a command in it, for tests that read while it runs.
  package func start(_ command: [String]) throws -> ChildProcess {
    try ChildProcess(["bash", Self.script, "exec", name, "--"] + command)
  }

  /// Runs a command in it to its end.
  package func run(_ command: [String]) throws -> ChildProcess.Outcome {
    let child = try start(command)
    child.closeInput()
    return try child.finish()
  }

  /// What a command prints that must end well.
  @discardableResult package func output(of command: String...) throws -> String {
    let outcome = try run(command)
    guard outcome.status == .exited(0) else {
      throw TestFailure("\(command.joined(separator: " ")): \(outcome.status): \(outcome.errors)\(outcome.output)")
    }
    return outcome.output
  }

  /// What a shell script prints that must end well.
  @discardableResult package func shell(_ script: String) throws -> String {
    try output(of: "sh", "-e", "-c", script)
  }

  package func copy(_ file: String, to path: String) throws {
    let outcome = try ChildProcess.run(["bash", Self.script, "copy-in", name, file, path])
    guard outcome.status == .exited(0) else { throw TestFailure("copy-in \(file): \(outcome.errors)") }
  }
}
