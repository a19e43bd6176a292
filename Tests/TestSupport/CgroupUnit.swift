// SPDX-License-Identifier: Apache-2.0
// Puts a process "into a unit" where no systemd runs: what counts is its place in the cgroup2 hierarchy.

import Foundation

/// A folder in the cgroup2 hierarchy that looks as one of systemd's. Removed with this object.
package final class CgroupUnit {
  package let name: String
  private let path: String

  /// Where cgroup2 is mounted: `/sys/fs/cgroup`, or below it beside the older hierarchies.
  private static let root: String? = {
    let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
    for line in mounts.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count > 2, words[2] == "cgroup2" { return String(words[1]) }
    }
    return nil
  }()

  /// Not where a systemd runs: it would not know of what we make in its tree.
  package static let isUsable: Bool = {
    guard Machine.isRoot, !FileManager.default.fileExists(atPath: "/run/systemd/system") else { return false }
    return (try? CgroupUnit()) != nil
  }()

  package init(_ name: String = "fdwatch-test-\(UUID().uuidString).service") throws {
    guard let root = Self.root else { throw TestFailure("cgroup2 is not mounted") }
    self.name = name
    // Without a slice above it, which other tests would share: then nobody knows when to remove that.
    path = root + "/" + name
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit {
    // A folder that still has a process cannot be removed, so they are sent back first.
    for pid in (try? String(contentsOfFile: path + "/cgroup.procs", encoding: .utf8))?.split(separator: "\n") ?? [] {
      if let pid = Int32(pid) { try? Self.leave(pid) }
    }
    unsafe rmdir(path)
  }

  package func add(_ pid: Int32) throws { try Self.write(pid, to: path) }

  /// Takes a process out of all units.
  package static func leave(_ pid: Int32) throws { try write(pid, to: root ?? "") }

  private static func write(_ pid: Int32, to directory: String) throws {
    // Not atomically: a control file cannot be replaced.
    guard let file = FileHandle(forWritingAtPath: directory + "/cgroup.procs") else {
      throw TestFailure("cannot write \(directory)/cgroup.procs")
    }
    try file.write(contentsOf: Data("\(pid)\n".utf8))
    try file.close()
  }
}
