// SPDX-License-Identifier: Apache-2.0
// What a descriptor can refer to, and how its link text tells. See proc(5), "/proc/pid/fd/".

/// What an open descriptor refers to.
///
/// The raw values are the words of the trace format, of the journal's `FDWATCH_KIND` and of every table.
package enum Kind: String, CaseIterable, Sendable, Hashable, Codable {
  case file, directory, device
  case tcp, udp, unix, netlink
  /// A socket of another family, or one whose family has not been read.
  case socket
  case pipe, pty
  case eventfd, eventpoll, timerfd, signalfd, inotify, fanotify, pidfd, memfd
  case ioUring = "io_uring"
  case userfaultfd, bpf
  case perfEvent = "perf_event"
  /// An anonymous inode of a name that we do not know.
  case anon

  /// Whether it is a socket of any family.
  package var isSocket: Bool {
    switch self {
    case .tcp, .udp, .unix, .netlink, .socket: true
    default: false
    }
  }
}

extension Kind {
  /// `O_DIRECTORY` as `fdinfo` prints it on this machine's architecture.
  #if arch(arm64) || arch(arm) || arch(powerpc64) || arch(powerpc64le)
    package static let directoryFlag: UInt32 = 0o40000
  #else
    package static let directoryFlag: UInt32 = 0o200000
  #endif

  /// The kernel's own bit of `O_TMPFILE`, which is that and `O_DIRECTORY`: an unnamed file is no directory.
  private static let temporaryFlag: UInt32 = 0o20_000_000

  private static func isDirectory(_ flags: UInt32) -> Bool {
    flags & directoryFlag != 0 && flags & temporaryFlag == 0
  }

  /// Where ext4 leaves the offset of a directory that was read to its end (`EXT4_HTREE_EOF_64BIT`). No file is so long.
  private static let directoryEnd = Int64.max

  /// The kind as far as the text of the link, and the flags and offset of the open file description, tell it.
  ///
  /// A socket's family is not in its text: it stays ``socket`` until the socket tables are read. A directory that was
  /// opened without `O_DIRECTORY` and not read yet, a named pipe and a device outside `/dev` read as ``file``; whoever
  /// may look at the inode can do better.
  package init(target: String, flags: UInt32 = 0, position: Int64 = 0) {
    if target.utf8.first == UInt8(ascii: "/") {
      self = Kind(path: target, flags: flags)
      if self == .file, position == Kind.directoryEnd { self = .directory }
    } else if target.hasPrefix("socket:") {
      self = .socket
    } else if target.hasPrefix("pipe:") {
      self = .pipe
    } else if target.hasPrefix("anon_inode:") {
      self = Kind(anonymousInode: target.utf8.dropFirst("anon_inode:".utf8.count))
    } else if target.hasPrefix("pidfd:") {
      // Since Linux 6.9 a pidfd is an inode of pidfs; some kernels of that age name it so.
      self = .pidfd
    } else {
      self = .anon
    }
  }

  private init(path: String, flags: UInt32) {
    if path.hasPrefix("/memfd:") {
      self = .memfd
    } else if path.hasPrefix("/dev/") {
      let name = path.utf8.dropFirst("/dev/".utf8.count)
      if name.elementsEqual("ptmx".utf8) || name.starts(with: "pts/".utf8) {
        self = .pty
      } else if name.starts(with: "shm/".utf8) || name.starts(with: "mqueue/".utf8)
        || name.starts(with: "hugepages/".utf8)
      {
        // File systems that are mounted below /dev: what lies there is a file.
        self = .file
      } else {
        self = Kind.isDirectory(flags) ? .directory : .device
      }
    } else {
      self = Kind.isDirectory(flags) ? .directory : .file
    }
  }

  /// `[eventfd]`, but also `inotify`: some anonymous inodes have no brackets.
  private init(anonymousInode text: Substring.UTF8View) {
    var name = text
    if name.first == UInt8(ascii: "["), name.last == UInt8(ascii: "]") { name = name.dropFirst().dropLast() }
    let known: Kind? =
      switch String(Substring(name)) {
      case "eventfd": .eventfd
      case "eventpoll": .eventpoll
      case "timerfd": .timerfd
      case "signalfd": .signalfd
      case "inotify": .inotify
      case "fanotify": .fanotify
      case "pidfd": .pidfd
      case "io_uring": .ioUring
      case "userfaultfd": .userfaultfd
      case "perf_event": .perfEvent
      default: nil
      }
    if let known {
      self = known
    } else if name.starts(with: "bpf".utf8) || name.starts(with: "btf".utf8) {
      // bpf-map, bpf-prog, bpf_link, bpf_iter, btf …
      self = .bpf
    } else {
      self = .anon
    }
  }
}
