// SPDX-License-Identifier: Apache-2.0
// A group of processes that have no more than so much memory together: Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst.

import Foundation

/// A memory control group. Removed with this object, once its processes have gone.
package final class MemoryCgroup {
  private let path: String
  private let isVersion2: Bool

  /// The hierarchy with the memory controller: of version 1, or of version 2 where that has it at its root.
  private static let root: (path: String, isVersion2: Bool)? = {
    let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
    for line in mounts.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count > 3 else { continue }
      if words[2] == "cgroup", words[3].split(separator: ",").contains("memory") { return (String(words[1]), false) }
      let controllers = try? String(contentsOfFile: words[1] + "/cgroup.subtree_control", encoding: .utf8)
      if words[2] == "cgroup2", controllers?.split(separator: " ").contains("memory") == true {
        return (String(words[1]), true)
      }
    }
    return nil
  }()

  package static let isUsable = Machine.isRoot && (try? MemoryCgroup(bytes: 64 << 20)) != nil

  package init(bytes: Int) throws {
    guard let root = Self.root else { throw TestFailure("no hierarchy has the memory controller") }
    isVersion2 = root.isVersion2
    path = root.path + "/fdwatch-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try Self.write("\(bytes)", to: path + (isVersion2 ? "/memory.max" : "/memory.limit_in_bytes"))
  }

  deinit { unsafe rmdir(path) }

  /// A command that starts another one in it.
  package var launcher: [String] { ["sh", "-c", "echo $$ > \(path)/cgroup.procs && exec \"$0\" \"$@\""] }

  /// What its processes have had at most, in bytes: with what the kernel caches for them, which it takes back.
  package var peak: Int? { figure(isVersion2 ? "memory.peak" : "memory.max_usage_in_bytes") }

  /// Memory of its processes that no file holds, in bytes, now.
  package var anonymous: Int? {
    let name = isVersion2 ? "anon " : "rss "
    return (try? String(contentsOfFile: path + "/memory.stat", encoding: .utf8))?.split(separator: "\n")
      .first { $0.hasPrefix(name) }.flatMap { Int($0.dropFirst(name.utf8.count)) }
  }

  private func figure(_ name: String) -> Int? {
    (try? String(contentsOfFile: path + "/" + name, encoding: .utf8))
      .flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  private static func write(_ text: String, to file: String) throws {
    // Not atomically: a control file cannot be replaced.
    guard let handle = FileHandle(forWritingAtPath: file) else { throw TestFailure("cannot write \(file)") }
    try handle.write(contentsOf: Data(text.utf8))
    try handle.close()
  }
}
