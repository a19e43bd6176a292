// SPDX-License-Identifier: Apache-2.0
// What came of reading the files.

/// A configuration, where its values came from, and what is wrong with it.
package struct LoadedConfiguration: Sendable, Equatable {
  /// A setting as it is in force.
  package struct Origin: Sendable, Equatable {
    /// `alerts.burst`, `watch[0].unit`: a rule's place is the one that it has in the ``Configuration``.
    package var key: String
    /// As TOML. It is valid JSON, too.
    package var value: String
    /// Where it stands; `nil` if it is a default.
    var source: Source?
    /// `/etc/fdwatch/fdwatch.toml:12`, or `default`.
    package var origin: String { source?.description ?? "default" }
  }

  /// To be used only if it ``isValid``: in the place of what was wrong stand defaults.
  package var configuration: Configuration
  /// By file, as they are read, and by place.
  package var problems: [ConfigProblem]
  package var origins: [Origin]
  /// What was read, in that order.
  package var files: [String]
  /// Links to /dev/null.
  package var masked: [String]

  package var isValid: Bool { !problems.contains(where: \.isError) }
}

extension Configuration {
  /// The installed files: the main one and the drop-ins. Never throws: what is wrong stands in the problems.
  ///
  /// - Parameters:
  ///   - root: what to put before all paths.
  ///   - main: the main file, which must be there; `nil` for the usual one, which need not.
  package static func load(root: String = "", main: String? = nil) -> LoadedConfiguration {
    let files = ConfigFiles(root: root, main: main ?? ConfigFiles.main)
    var loader = ConfigLoader()
    for failure in files.failures { loader.complain(failure.path, "cannot be listed: \(failure.reason)") }
    for path in files.paths { loader.read(path, mayBeMissing: main == nil && path == root + ConfigFiles.main) }
    return loader.finish(masked: files.masked)
  }

  /// Some files, as though they were the main one and its drop-ins. All must be there.
  package static func load(files: [String]) -> LoadedConfiguration {
    var loader = ConfigLoader()
    for path in files { loader.read(path, mayBeMissing: false) }
    return loader.finish(masked: [])
  }

  /// One text, as though it were the only file.
  package static func load(text: [UInt8], path: String) -> LoadedConfiguration {
    var loader = ConfigLoader()
    loader.read(text, path: path)
    return loader.finish(masked: [])
  }
}
