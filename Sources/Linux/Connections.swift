// SPDX-License-Identifier: Apache-2.0
// Connections that we open, and who is at their other end. See unix(7), connect(2).

import CLinux
import Glibc

extension Descriptor {
  /// A connection to the UNIX stream socket that `handle` (`O_PATH`) refers to.
  ///
  /// What was looked up is what is connected to: nothing that happens to the path since then matters.
  /// - Parameter timeout: how long to wait where its queue is full.
  package init(connectedToSocket handle: borrowing Descriptor, timeout: Duration) throws(SystemCallError) {
    let path = "/proc/self/fd/\(handle.number)"
    let milliseconds = timeout.clampedMilliseconds
    self.init(owning: try retrying("connect") { unsafe fdwatch_connect_unix(path, milliseconds) })
  }

  /// A connection to an abstract UNIX stream socket of our network namespace.
  /// - Parameter name: without the zero byte that begins it.
  package init(connectedToAbstract name: String, timeout: Duration) throws(SystemCallError) {
    let bytes = Array(name.utf8)
    let milliseconds = timeout.clampedMilliseconds
    self.init(
      owning: try retrying("connect") { unsafe fdwatch_connect_abstract(bytes, bytes.count, milliseconds) })
  }

  /// A connection to a numeric address of the Internet.
  package init(connectedTo address: String, port: UInt16, timeout: Duration) throws(SystemCallError) {
    let milliseconds = timeout.clampedMilliseconds
    self.init(owning: try retrying("connect") { unsafe fdwatch_connect_tcp(address, port, milliseconds) })
  }

  /// Who listened at the other end of a UNIX connection, and under what name.
  package struct UnixPeer: Sendable, Equatable {
    /// Of whoever called listen(2).
    package var user: UInt32
    /// As it was bound: a path without its closing zero, or an abstract name behind a zero byte. Empty if it has none.
    package var name: [UInt8]
  }

  package func unixPeer() throws(SystemCallError) -> UnixPeer {
    var user: UInt32 = 0
    var name = [UInt8](repeating: 0, count: 108)
    let length = unsafe fdwatch_unix_peer(number, &user, &name, name.count)
    if length < 0 { throw .last("getsockopt") }
    var bound = Array(name.prefix(Int(length)))
    if bound.first != 0, let end = bound.firstIndex(of: 0) { bound.removeSubrange(end...) }
    return UnixPeer(user: user, name: bound)
  }

  /// Whose it is and what others may do with it. See inode(7).
  package struct Permissions: Sendable, Equatable {
    /// The lower twelve bits.
    package var mode: UInt32
    package var owner: UInt32
  }

  package func permissions() throws(SystemCallError) -> Permissions {
    var found = stat()
    _ = try retrying("fstat") { unsafe fstat(number, &found) }
    return Permissions(mode: found.st_mode & 0o7777, owner: found.st_uid)
  }
}

extension SystemCallError {
  /// `ETIMEDOUT`, and `EAGAIN` or `EINPROGRESS` where a timeout of the socket cut a connect(2) short.
  package var isTimeout: Bool { [ETIMEDOUT, EAGAIN, EINPROGRESS].contains(errno) }

  /// `ENOTSOCK`: what lies there is not a socket.
  package static let notASocket = SystemCallError("connect", errno: ENOTSOCK)
}

extension Duration {
  fileprivate var clampedMilliseconds: CInt {
    self < .seconds(1_000_000) ? CInt(clamping: Int64(max(self, .milliseconds(1)) / .milliseconds(1))) : 1_000_000_000
  }
}
