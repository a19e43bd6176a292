// SPDX-License-Identifier: Apache-2.0
// A failed system call, wrapped where it enters.

import Glibc

/// A system call that failed, with its `errno`. See errno(3).
package struct SystemCallError: Error, Equatable, CustomStringConvertible {
  /// The call's name, as its manual page has it.
  package var call: String
  package var errno: CInt

  package init(_ call: String, errno: CInt) {
    self.call = call
    self.errno = errno
  }

  /// The error of the call that has just failed in this thread.
  static func last(_ call: String) -> SystemCallError { SystemCallError(call, errno: Glibc.errno) }

  /// `openat: Permission denied`.
  package var description: String { "\(call): \(reason)" }

  /// `Permission denied`.
  package var reason: String { unsafe String(cString: strerror(errno)) }
}

extension SystemCallError {
  /// For refusals of our own, in the kernel's words.
  package static let notPermitted = EACCES
  package static let tooLarge = EFBIG

  /// What callers tell apart.
  package enum Meaning: Sendable {
    /// `ENOENT`, and `ESRCH` for a process: there is none of that name any more.
    case noSuchEntry
    /// `EACCES` and `EPERM`.
    case notPermitted
    /// `EMFILE` and `ENFILE`: we, or the host, have no descriptor left.
    case noDescriptors
    case other
  }

  /// `ECONNREFUSED`: there is a socket, and nobody behind it.
  package var isRefusal: Bool { errno == ECONNREFUSED }

  /// `ECONNRESET`: the other side has ended.
  package var isReset: Bool { errno == ECONNRESET }

  /// `EAGAIN` of a lock.
  var isHeldByAnother: Bool { errno == EAGAIN }

  package var meaning: Meaning {
    switch errno {
    case ENOENT, ESRCH: .noSuchEntry
    case EACCES, EPERM: .notPermitted
    case EMFILE, ENFILE: .noDescriptors
    default: .other
    }
  }
}

/// Runs a call that returns -1 on failure, again for as long as a signal interrupts it.
func retrying<Result: SignedInteger>(_ name: String, _ call: () -> Result) throws(SystemCallError) -> Result {
  while true {
    let result = call()
    if result != -1 { return result }
    if errno != EINTR { throw .last(name) }
  }
}
