// SPDX-License-Identifier: Apache-2.0
// TCP sockets of the tests' own, on the loopback interface. Whoever asks for one closes it.

import Glibc
import Linux

package enum Loopback {
  /// A socket that listens on a port of the kernel's choice.
  package static func listener() throws -> CInt {
    try unsafe socket("bind", port: 0) { unsafe bind($0, $1, $2) == 0 ? listen($0, 1) : -1 }
  }

  /// The port that the kernel chose for one of them.
  package static func port(of socket: CInt) throws -> UInt16 {
    var address = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = unsafe withUnsafeMutablePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(socket, $0, &size) }
    }
    guard result == 0 else { throw SystemCallError("getsockname", errno: errno) }
    return UInt16(bigEndian: address.sin_port)
  }

  package static func connection(to port: UInt16) throws -> CInt {
    try unsafe socket("connect", port: port) { unsafe connect($0, $1, $2) }
  }

  /// The other end of a connection, by its listener.
  package static func accepted(by listener: CInt) throws -> CInt {
    let accepted = accept(listener, nil, nil)
    guard accepted >= 0 else { throw SystemCallError("accept", errno: errno) }
    return accepted
  }

  /// Sends, and returns when the other end can be read.
  package static func send(_ count: Int, from sender: CInt, to receiver: CInt) throws {
    let bytes = [UInt8](repeating: 1, count: count)
    guard unsafe Glibc.send(sender, bytes, count, 0) == count else { throw SystemCallError("send", errno: errno) }
    var waiting = pollfd(fd: receiver, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&waiting, 1, 30_000) == 1 else { throw TestFailure("what was sent did not arrive") }
  }

  private static func socket(
    _ name: String, port: UInt16, _ call: (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) throws -> CInt {
    let made = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe call(made, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result == 0 { return made }
    let error = SystemCallError(name, errno: errno)
    close(made)
    throw error
  }
}
