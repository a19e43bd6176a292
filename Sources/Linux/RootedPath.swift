// SPDX-License-Identifier: Apache-2.0
// Paths as another process sees them. See openat2(2).

import CLinux
import Glibc

extension Descriptor {
  /// How a path below another process's root is opened.
  package enum RootedAccess: Sendable {
    /// `O_PATH`: a handle for look-ups; nothing is opened, so nothing blocks or acts.
    case handle
    /// For reading, without waiting for a writer and without taking on a terminal.
    case reading

    fileprivate var flags: CInt {
      switch self {
      case .handle: fdwatch_O_PATH
      case .reading: O_RDONLY | O_NONBLOCK | O_NOCTTY
      }
    }
  }

  /// Opens a path as a process sees it whose root is `root`, such as `/proc/PID/root`.
  ///
  /// Absolute links and `..` stay below that root (`RESOLVE_IN_ROOT`), where an ordinary look-up would continue in our own
  /// root; links such as `/proc/PID/fd/N`, which lead anywhere, are refused (`RESOLVE_NO_MAGICLINKS`).
  ///
  /// The walk may wait for a file system that does not answer: call it on a thread that may wait.
  /// - Throws: `ENOSYS` before Linux 5.6.
  package init(
    path: String, inRoot root: borrowing Descriptor, _ access: RootedAccess = .handle, followingLinks: Bool = true
  ) throws(SystemCallError) {
    // The kernel cannot know where ".." led if something was renamed meanwhile, and says EAGAIN. Whoever renames without
    // pause could keep us here.
    for _ in 0..<16 {
      let number = unsafe fdwatch_openat2(
        root.number, path, access.flags | O_CLOEXEC | (followingLinks ? 0 : O_NOFOLLOW))
      if number >= 0 {
        self.init(owning: number)
        return
      }
      if errno != EAGAIN, errno != EINTR { throw .last("openat2") }
    }
    throw SystemCallError("openat2", errno: EAGAIN)
  }
}
