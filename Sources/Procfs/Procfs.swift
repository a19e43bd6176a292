// SPDX-License-Identifier: Apache-2.0
// The root of a procfs, or of a copy of one: its processes, and how their descriptors are counted.

import Descriptors
import Linux

/// A procfs. Its root is a parameter, so that a captured tree is read by the same code.
package struct Procfs: ~Copyable {
  let root: Descriptor
  package let path: String
  /// Whether it is the kernel's own, and not a copy whose links lead nowhere.
  let isLive: Bool
  /// How descriptors are counted here.
  package let counting: Counting
  /// The socket tables of its processes' network namespaces.
  package let sockets = SocketTables()

  /// How to find out how many descriptors a process has open.
  package enum Counting: Sendable {
    /// `st_size` of `fd/` says it: some 2 µs, however many are open. Since Linux 6.2 (commit f1f1f2569901).
    case bySize
    /// Its entries are counted: some 1 µs each. On older kernels, and on copies, where the size says nothing.
    case byListing
  }

  /// - Parameter counting: for tests and benchmarks of the path that older kernels take; by default what fits the tree.
  package init(path: String = "/proc", counting: Counting? = nil) throws(SystemCallError) {
    root = try Descriptor(path: path)
    self.path = path
    isLive = root.isOnProcfs
    self.counting = counting ?? (isLive && Host.kernelRelease >= (6, 2) ? .bySize : .byListing)
  }

  /// The processes that we can see. `hidepid` may hide those of others: see proc(5).
  package func processes() throws(SystemCallError) -> [Int32] {
    var pids: [Int32] = []
    try NumberedDirectory(".", in: root).list(into: &pids)
    return pids
  }

  /// Whether this procfs hides the processes of others from those who lack `CAP_SYS_PTRACE`: `hidepid=` in its options.
  package var hidesProcesses: Bool {
    guard let mounts = try? root.contents(of: "self/mounts", limit: 4 << 20) else { return false }
    return lines(mounts[...]).contains { line in
      let fields = words(line)
      guard fields.count > 3, fields[1].text == path, fields[2].text == "proc" else { return false }
      return fields[3].split(separator: UInt8(ascii: ",")).contains { option in
        option.after("hidepid=").map { !["0", "off"].contains($0.text) } ?? false
      }
    }
  }
}
