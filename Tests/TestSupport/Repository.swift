// SPDX-License-Identifier: Apache-2.0
// The source tree that the tests were built from.

import Foundation

package enum Repository {
  /// The path of a file or directory of it.
  package static func path(_ relative: String = "") -> String {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../" + relative).standardized.path
  }

  package static func text(of relative: String) throws -> String {
    try String(contentsOfFile: path(relative), encoding: .utf8)
  }

  /// The files in a directory of it, as paths from the root of the tree; sorted.
  package static func files(in directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path(directory)).sorted().map { directory + "/" + $0 }
  }
}

extension ChildProcess {
  /// Runs a command to its end.
  /// - Parameter input: what it finds on its standard input.
  package static func run(
    _ command: [String], input: String = "", environment: [String: String] = [:]
  ) throws -> Outcome {
    let child = try ChildProcess(command, environment: plainEnvironment.merging(environment) { $1 })
    // It may end without reading it.
    if !input.isEmpty { try? child.write(input) }
    child.closeInput()
    return try child.finish()
  }
}
