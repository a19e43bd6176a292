// SPDX-License-Identifier: Apache-2.0
// Which files a journal consists of, and whether we may read them: libsystemd passes over what is closed to it, and a
// journal that is closed looks like one with nothing in it. See journalctl(1), systemd-journald.service(8).

import Glibc

/// Where entries are read from.
package enum JournalSource: Sendable, Equatable {
  /// What this machine has logged.
  case machine
  /// That, and what of other machines lies in the same place.
  case allMachines
  /// A directory of journal files, such as systemd-journal-remote fills: `/var/log/journal/remote`.
  case directory(String)

  /// The directories that hold its files.
  var directories: [String] {
    switch self {
    case .directory(let path): return [path] + Folder.names(path).filter(Folder.isMachine).map { "\(path)/\($0)" }
    case .machine, .allMachines:
      var found: [String] = []
      let own = Folder.machineID
      for root in ["/var/log/journal", "/run/log/journal"] {
        for name in Folder.names(root) where Folder.isMachine(name) && (self == .allMachines || name == own) {
          found.append("\(root)/\(name)")
        }
      }
      return found
    }
  }

  /// Files that are there and may be read, and what is there and may not.
  func survey() -> (readable: Int, closed: [String]) {
    var readable = 0
    var closed: [String] = []
    for directory in directories {
      guard unsafe access(directory, R_OK | X_OK) == 0 else {
        if errno == EACCES { closed.append(directory) }
        continue
      }
      // What is in users' own journals is not from root.
      for name in Folder.names(directory) where Folder.isJournal(name) && !name.hasPrefix("user-") {
        let path = "\(directory)/\(name)"
        if unsafe access(path, R_OK) == 0 { readable += 1 } else if errno == EACCES { closed.append(path) }
      }
    }
    return (readable, closed)
  }
}

private enum Folder {
  static func names(_ path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      unsafe names.append(
        withUnsafePointer(to: entry.pointee.d_name) {
          unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        })
    }
    return names.sorted()
  }

  /// Named after a machine, or one of its namespaces.
  static func isMachine(_ name: String) -> Bool {
    let id = name.prefix { $0 != "." }
    return id.utf8.count == 32 && id.allSatisfy(\.isHexDigit)
  }

  /// `~`: one that was not closed properly; it is read all the same.
  static func isJournal(_ name: String) -> Bool { name.hasSuffix(".journal") || name.hasSuffix(".journal~") }

  static var machineID: String {
    guard let file = unsafe fopen("/etc/machine-id", "re") else { return "" }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}

/// Why the journal cannot be read.
package enum JournalReadError: Error, Equatable, CustomStringConvertible {
  /// It is closed to this user.
  case notPermitted(path: String)
  /// There is none: nothing has been logged, and nothing could be found.
  case noJournal(path: String)
  case failed(call: String, errno: CInt)

  package var description: String {
    switch self {
    case .notPermitted(let path):
      "may not read \(path): add yourself to the group systemd-journal (usermod -aG systemd-journal NAME), or run as root"
    case .noJournal(let path): "there is no journal in \(path)"
    case .failed(let call, let errno): "cannot read the journal: \(call): \(BusError.words(errno))"
    }
  }
}
