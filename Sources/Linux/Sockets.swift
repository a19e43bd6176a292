// SPDX-License-Identifier: Apache-2.0
// Sockets on which others ask or report. See unix(7), ip(7).

import CLinux
import Glibc

extension Descriptor {
  /// A UNIX stream socket that takes connections. A file that was left behind is replaced.
  /// - Throws: `EADDRINUSE` where somebody listens already.
  package init(listeningAt path: String, mode: UInt32) throws(SystemCallError) {
    self.init(owning: try retrying("bind") { unsafe fdwatch_listen_unix(path, 0, mode) })
  }

  /// A UNIX datagram socket, whose senders are who the kernel says (`SCM_CREDENTIALS`).
  package init(receivingAt path: String, mode: UInt32) throws(SystemCallError) {
    self.init(owning: try retrying("bind") { unsafe fdwatch_listen_unix(path, 1, mode) })
  }

  /// A TCP socket that takes connections at a numeric address.
  package init(listeningOn address: String, port: UInt16) throws(SystemCallError) {
    self.init(owning: try retrying("bind") { unsafe fdwatch_listen_tcp(address, port) })
  }

  /// A connection to a UNIX stream socket, each of whose reads and writes takes no longer than `timeout`.
  package init(connectedTo path: String, timeout: Duration) throws(SystemCallError) {
    let milliseconds = CInt(clamping: timeout / .milliseconds(1) < 1e9 ? Int64(timeout / .milliseconds(1)) : 1_000_000)
    self.init(owning: try retrying("connect") { unsafe fdwatch_connect_unix(path, milliseconds) })
  }

  package var isUnixSocket: Bool { fdwatch_is_unix_socket(number) != 0 }

  /// The next connection, without waiting; `nil` if there is none.
  package func accept() throws(SystemCallError) -> Descriptor? {
    let connection = fdwatch_accept(number)
    if connection >= 0 { return Descriptor(owning: connection) }
    // What was given up while it waited is no error of ours.
    if [EAGAIN, EINTR, ECONNABORTED, EPROTO].contains(errno) { return nil }
    throw .last("accept")
  }

  /// Reads what is there, at most `limit` bytes: empty at the end, `nil` if nothing has come in yet.
  package func receive(upTo limit: Int) throws(SystemCallError) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: limit)
    let got = unsafe read(number, &bytes, limit)
    if got < 0 {
      if errno == EAGAIN || errno == EINTR { return nil }
      throw .last("read")
    }
    return Array(bytes.prefix(got))
  }

  /// Sends what the socket takes now. Returns how many bytes that was.
  package func send(_ bytes: ArraySlice<UInt8>) throws(SystemCallError) -> Int {
    let sent = unsafe bytes.withUnsafeBytes { unsafe Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    if sent < 0 {
      if errno == EAGAIN || errno == EINTR { return 0 }
      throw .last("send")
    }
    return sent
  }
}

/// A datagram, and who sent it, as the kernel says.
package struct Datagram: Sendable {
  package var bytes: [UInt8]
  package var isCut: Bool
  package var pid: Int32
  package var user: UInt32
}

extension Descriptor {
  /// The next datagram, without waiting; `nil` if there is none. As a peek it stays, and is the next one once more.
  package func nextDatagram(upTo limit: Int, isPeek: Bool = false) throws(SystemCallError) -> Datagram? {
    var bytes = [UInt8](repeating: 0, count: limit)
    var pid: CInt = 0
    var user: UInt32 = 0
    let got = unsafe fdwatch_receive(number, &bytes, limit, &pid, &user, isPeek ? 1 : 0)
    if got < 0 {
      if errno == EAGAIN || errno == EINTR { return nil }
      throw .last("recvmsg")
    }
    return Datagram(bytes: Array(bytes.prefix(min(got, limit))), isCut: got > limit, pid: pid, user: user)
  }

  /// Sends one datagram to a UNIX socket, without waiting.
  package static func send(_ bytes: [UInt8], to path: String) throws(SystemCallError) {
    _ = try retrying("sendto") { unsafe fdwatch_send_unix(path, bytes, bytes.count) }
  }
}

/// Waits for descriptors. See poll(2).
package enum Readiness {
  package struct Wanted: Sendable {
    package var number: CInt
    package var forWriting: Bool

    package init(_ number: CInt, forWriting: Bool = false) { (self.number, self.forWriting) = (number, forWriting) }
  }

  /// Waits until one of them is ready or `deadline` is there. Returns the numbers of those that are ready.
  package static func wait(_ wanted: [Wanted], until deadline: Instant) throws(SystemCallError) -> Set<CInt> {
    var waits = wanted.map { pollfd(fd: $0.number, events: Int16($0.forWriting ? POLLOUT : POLLIN), revents: 0) }
    let ready = unsafe poll(&waits, nfds_t(waits.count), max(deadline - .now, .zero).pollTimeout)
    if ready < 0 {
      if errno == EINTR { return [] }
      throw .last("poll")
    }
    return Set(waits.lazy.filter { $0.revents != 0 }.map(\.fd))
  }
}
