// SPDX-License-Identifier: Apache-2.0
// Which mounts may be asked: stat(2) of a file on a server that is away blocks, even from the kernel's caches, because
// following the link revalidates it there (nfs_weak_revalidate). See proc_pid_mountinfo(5).

/// Whether a process's mounts are local, remembered per mount id.
struct Mounts: Sendable {
  private var known: [(id: Int32, isLocal: Bool)] = []

  /// File systems whose answers come from this machine's memory or disks, and from no other program.
  private static let local: Set<String> = [
    "bcachefs", "bpf", "btrfs", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "erofs", "exfat",
    "ext2", "ext3", "ext4", "f2fs", "hugetlbfs", "iso9660", "jfs", "mqueue", "nilfs2", "ntfs3", "overlay", "proc",
    "pstore", "ramfs", "reiserfs", "rootfs", "securityfs", "squashfs", "sysfs", "tmpfs", "tracefs", "udf", "vfat",
    "xfs", "zfs",
  ]

  /// Whether a mount is on this machine. What cannot be told is not.
  mutating func isLocal(_ mount: Int32, of process: borrowing ProcessDirectory) -> Bool {
    if let found = known.first(where: { $0.id == mount }) { return found.isLocal }
    let text = (try? process.contents(of: "mountinfo", limit: 4 << 20)) ?? []
    let isLocal = Mounts.type(of: mount, in: text).map(Mounts.local.contains) ?? false
    // A process has its files on a handful of mounts: should there be very many, the oldest is asked again.
    if known.count == 32 { known.removeFirst() }
    known.append((mount, isLocal))
    return isLocal
  }

  /// The file system's type: what follows the lone hyphen. `nil` if the mount is not listed.
  static func type(of mount: Int32, in mountinfo: [UInt8]) -> String? {
    for line in lines(mountinfo[...]) {
      let fields = words(line)
      guard fields.first?.signed == Int64(mount), let hyphen = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }),
        hyphen + 1 < fields.count
      else { continue }
      return fields[hyphen + 1].text
    }
    return nil
  }
}
