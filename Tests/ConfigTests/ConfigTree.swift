// SPDX-License-Identifier: Apache-2.0
// A root directory with configuration files in it.

import Config
import Foundation
import TestSupport

final class ConfigTree {
  private let directory: TemporaryDirectory
  var root: String { directory.path }

  /// - Parameter files: by their paths below the root; `nil`: a link to /dev/null.
  init(_ files: [String: String?]) throws {
    directory = try TemporaryDirectory()
    for (path, text) in files {
      let full = directory.path + path
      try FileManager.default.createDirectory(
        atPath: (full as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      if let text {
        try Data(text.utf8).write(to: URL(fileURLWithPath: full))
      } else {
        try FileManager.default.createSymbolicLink(atPath: full, withDestinationPath: "/dev/null")
      }
    }
  }

  func load() -> LoadedConfiguration { Configuration.load(root: root) }

  /// A path without the root.
  func short(_ path: String) -> String { path.replacingOccurrences(of: root, with: "") }
}

extension Configuration {
  /// One text as the only file, named `f`.
  static func load(_ text: String) -> LoadedConfiguration { load(text: Array(text.utf8), path: "f") }
}

extension LoadedConfiguration {
  var complaints: [String] { problems.map(\.description) }

  func origin(_ key: String) -> String? { origins.first { $0.key == key }?.origin }
}
