// SPDX-License-Identifier: Apache-2.0
// fdwatch as a user runs it: arguments, output, exit code.

import Foundation

package enum BuiltBinary {
  /// Starts it, for tests that read while it runs.
  /// - Parameters:
  ///   - user: runs it as another user, without any capability.
  ///   - launcher: a command that runs it in its own place.
  package static func start(
    _ arguments: [String], environment: [String: String] = [:], user: UInt32? = nil, launcher: [String] = [],
    workingDirectory: String? = nil, terminal: (rows: Int, columns: Int)? = nil
  ) throws -> ChildProcess {
    let asUser = user.map { ["setpriv", "--reuid", "\($0)", "--regid", "\($0)", "--clear-groups", "--"] } ?? []
    return try ChildProcess(
      launcher + asUser + [Products.executable("fdwatch")] + arguments,
      environment: ChildProcess.plainEnvironment.merging(environment) { $1 },
      workingDirectory: workingDirectory, terminal: terminal)
  }

  /// Runs it to its end.
  package static func run(
    _ arguments: [String], environment: [String: String] = [:], user: UInt32? = nil, launcher: [String] = [],
    workingDirectory: String? = nil
  ) throws -> ChildProcess.Outcome {
    let child = try start(
      arguments, environment: environment, user: user, launcher: launcher, workingDirectory: workingDirectory)
    child.closeInput()
    return try child.finish()
  }
}
