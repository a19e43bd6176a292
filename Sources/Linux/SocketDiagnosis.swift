// SPDX-License-Identifier: Apache-2.0
// sock_diag(7): use and peers of the sockets of our own network namespace.

import CLinux
import Glibc

/// What sock_diag told of one TCP connection.
package struct TCPUse: Sendable, Equatable {
  /// The kernel's number: 1 is ESTABLISHED, 8 CLOSE_WAIT.
  package var state: UInt8
  package var unread: UInt32
  /// Milliseconds since data was sent, and received. `nil` where the kernel told no `tcp_info`.
  package var sinceSent: UInt32?
  package var sinceReceived: UInt32?
  /// Bytes that were acknowledged or received, since Linux 4.1.
  package var bytes: UInt64?
}

/// What sock_diag told of one UNIX socket.
package struct UnixUse: Sendable, Equatable {
  package var isConnected: Bool
  /// The inode of the other end; 0 once it has closed.
  package var peer: UInt32?
}

/// One answer of sock_diag, read message by message. Every byte sequence has an answer.
package struct SocketDiagnosis: Sendable {
  package private(set) var tcp: [UInt64: TCPUse] = [:]
  package private(set) var unix: [UInt64: UnixUse] = [:]
  /// The dump has ended, or was refused.
  package private(set) var isAtEnd = false
  package private(set) var isRefused = false
  /// Only these are kept: a namespace may have a million sockets.
  let wanted: Set<UInt64>

  package init(wanted: Set<UInt64>) { self.wanted = wanted }

  package mutating func beginDump() { isAtEnd = false }

  /// Takes in what one recv(2) gave: messages of netlink(7), each aligned to four bytes.
  package mutating func take(_ bytes: ArraySlice<UInt8>, isUnix: Bool) {
    var rest = bytes
    while !isAtEnd, let length = rest.number(UInt32.self, at: 0), let type = rest.number(UInt16.self, at: 4),
      length >= 16, Int(length) <= rest.count
    {
      let body = rest.dropFirst(16).prefix(Int(length) - 16)
      switch type {
      case Self.done: isAtEnd = true
      case Self.error: (isAtEnd, isRefused) = (true, true)
      case Self.byFamily: if isUnix { takeUnix(body) } else { takeTCP(body) }
      default: break
      }
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
  }

  private static let error: UInt16 = 2
  private static let done: UInt16 = 3
  private static let byFamily: UInt16 = 20

  /// `struct inet_diag_msg`, 72 bytes, and attributes, of which 2 is `struct tcp_info`.
  private mutating func takeTCP(_ body: ArraySlice<UInt8>) {
    guard let state = body.number(UInt8.self, at: 1), let unread = body.number(UInt32.self, at: 56),
      let inode = body.number(UInt32.self, at: 68), wanted.contains(UInt64(inode))
    else { return }
    var use = TCPUse(state: state, unread: unread)
    Self.forEachAttribute(of: body.dropFirst(72)) { type, info in
      guard type == 2 else { return }
      // tcpi_last_data_sent, tcpi_last_data_recv, tcpi_bytes_acked, tcpi_bytes_received of linux/tcp.h.
      use.sinceSent = info.number(UInt32.self, at: 44)
      use.sinceReceived = info.number(UInt32.self, at: 52)
      if let acked = info.number(UInt64.self, at: 120), let received = info.number(UInt64.self, at: 128) {
        use.bytes = acked &+ received
      }
    }
    tcp[UInt64(inode)] = use
  }

  /// `struct unix_diag_msg`, 16 bytes, and attributes, of which 2 is the peer's inode. One that is connected without a peer
  /// has lost it.
  private mutating func takeUnix(_ body: ArraySlice<UInt8>) {
    guard let state = body.number(UInt8.self, at: 2), let inode = body.number(UInt32.self, at: 4),
      wanted.contains(UInt64(inode))
    else { return }
    var use = UnixUse(isConnected: state == 1)
    Self.forEachAttribute(of: body.dropFirst(16)) { type, value in
      if type == 2 { use.peer = value.number(UInt32.self, at: 0) }
    }
    unix[UInt64(inode)] = use
  }

  private static func forEachAttribute(of bytes: ArraySlice<UInt8>, _ take: (UInt16, ArraySlice<UInt8>) -> Void) {
    var rest = bytes
    while let length = rest.number(UInt16.self, at: 0), let type = rest.number(UInt16.self, at: 2), length >= 4,
      Int(length) <= rest.count
    {
      take(type, rest.dropFirst(4).prefix(Int(length) - 4))
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
  }
}

extension SocketDiagnosis {
  /// Of all sockets of a namespace so many bytes are read: some 60,000 sockets, a tenth of a second.
  private static let mostBytes = 24 << 20
  private static let patience: CInt = 1000

  /// Asks the kernel about sockets of our own network namespace. No privilege is needed.
  ///
  /// - Returns: what could be told. A kind whose dump was refused, failed or was longer than what is read is in
  ///   ``TCPUse`` or ``UnixUse`` with what came until then: of others nothing is known.
  package static func ask(about wanted: Set<UInt64>, tcp: Bool, unix: Bool) -> SocketDiagnosis {
    var found = SocketDiagnosis(wanted: wanted)
    if tcp {
      for isIPv6 in [CInt(0), 1] { found.dump(isUnix: false) { fdwatch_diagnosis_ask_tcp($0, isIPv6) } }
    }
    if unix { found.dump(isUnix: true) { fdwatch_diagnosis_ask_unix($0) } }
    return found
  }

  private mutating func dump(isUnix: Bool, _ request: (CInt) -> CInt) {
    let number = fdwatch_diagnosis_open(Self.patience)
    guard number >= 0 else { return }
    let socket = Descriptor(owning: number)
    guard request(socket.number) == 0 else { return }
    beginDump()
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    var total = 0
    while !isAtEnd, total < Self.mostBytes {
      let got = unsafe fdwatch_diagnosis_receive(socket.number, &buffer, buffer.count)
      guard got > 0 else { return }
      total += got
      take(buffer[..<got], isUnix: isUnix)
    }
  }
}

extension ArraySlice<UInt8> {
  /// A number of the machine's own byte order, or `nil` where the bytes end before.
  fileprivate func number<Value: FixedWidthInteger>(_: Value.Type, at offset: Int) -> Value? {
    let width = MemoryLayout<Value>.size
    guard offset >= 0, count - width >= offset else { return nil }
    var value: Value = 0
    for place in (0..<width).reversed() {
      value = Value(
        truncatingIfNeeded: (UInt64(truncatingIfNeeded: value) << 8) | UInt64(self[startIndex + offset + place]))
    }
    return value
  }
}
