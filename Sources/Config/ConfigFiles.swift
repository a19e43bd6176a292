// SPDX-License-Identifier: Apache-2.0
// Which files there are, in the order in which they are read.

import Linux

/// The files of a configuration: the main one, then the drop-ins by their names.
struct ConfigFiles {
  /// In the order of reading. Later ones win.
  var paths: [String] = []
  /// Links to /dev/null, which stand for no file of that name.
  var masked: [String] = []
  /// Folders that could not be listed.
  var failures: [(path: String, reason: String)] = []

  static let main = "/etc/fdwatch/fdwatch.toml"

  /// Where drop-ins are. Of two of one name, that of the earlier folder holds: the administrator's before what was made
  /// for this boot, before the distribution's, as with systemd.
  static let folders = ["/etc/fdwatch/fdwatch.d", "/run/fdwatch/fdwatch.d", "/usr/lib/fdwatch/fdwatch.d"]

  init(root: String, main: String) {
    var byName: [String: String] = [:]
    for folder in Self.folders {
      let folder = root + folder
      do throws(SystemCallError) {
        for name in try Descriptor.names(in: folder) where name.hasSuffix(".toml") && !name.hasPrefix(".") {
          if byName[name] == nil { byName[name] = "\(folder)/\(name)" }
        }
      } catch {
        if error.meaning != .noSuchEntry { failures.append((folder, error.reason)) }
      }
    }
    // By bytes: the same everywhere.
    let names = byName.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
    for path in [root + main] + names.compactMap({ byName[$0] }) {
      if Self.isMask(path) { masked.append(path) } else { paths.append(path) }
    }
  }

  private static func isMask(_ path: String) -> Bool {
    guard let found = try? Descriptor(path: path).state(), found.type == .character,
      let null = try? Descriptor(path: "/dev/null").state()
    else { return false }
    return found.inode == null.inode
  }
}
