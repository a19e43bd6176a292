// SPDX-License-Identifier: Apache-2.0
// /proc/<pid>/net/*: the sockets of the process's own network namespace. See proc(5) and the kernel's
// Documentation/networking/proc_net_tcp.rst. No privilege is needed, and no namespace is entered.

import Descriptors
import Linux

/// What the tables tell of one socket.
package struct SocketEntry: Equatable, Sendable {
  package var kind: Kind
  package var inode: UInt64
  /// `address:port`, `[address]:port`, or the path of a UNIX socket. `nil` where the table has none.
  package var local: String?
  package var peer: String?
  /// Of TCP only.
  package var state: TCPState?
  /// Bytes in the receive queue that nobody has read.
  package var unread: UInt64
  /// Takes connections.
  package var isListening = false
}

/// One of the files under `net/`.
///
/// In the order in which they are read, where the later word counts: a UNIX socket's name may hold line ends, and so
/// feign a line for the inode of another socket. It comes first, and the others correct it.
package enum SocketTable: String, CaseIterable, Sendable {
  case unix, netlink, packet, raw, raw6, icmp, icmp6, udp, udp6, tcp, tcp6

  package var kind: Kind {
    switch self {
    case .tcp, .tcp6: .tcp
    case .udp, .udp6: .udp
    case .unix: .unix
    case .netlink: .netlink
    case .raw, .raw6, .icmp, .icmp6, .packet: .socket
    }
  }

  /// Calls `body` with the inode of each line and where the line is. What is no line of a socket is passed over.
  ///
  /// No more is taken apart: nearly all lines belong to processes that nobody asked for.
  func forEachLine(in text: [UInt8], _ body: (_ inode: UInt64, _ line: Range<Int>) -> Void) {
    let bytes = text.span
    let column = inodeColumn
    var start = 0
    while start < bytes.count {
      let (inode, end) = Self.number(inWord: column, from: start, of: bytes)
      if inode != 0 { body(inode, start..<end) }
      start = end + 1
    }
  }

  /// The number that is one word of a line, 0 if it is none, and where the line ends.
  private static func number(inWord wanted: Int, from start: Int, of bytes: Span<UInt8>) -> (number: UInt64, end: Int) {
    var number: UInt64 = 0
    var word = -1
    var isInWord = false
    var position = start
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\n") { break }
      if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
        isInWord = false
      } else {
        if !isInWord { word += 1 }
        isInWord = true
        if word == wanted {
          // A number of more than 32 bits is no inode of a socket.
          guard byte >= 0x30, byte <= 0x39, number <= UInt64(UInt32.max) else { word = .min; continue }
          number = number * 10 + UInt64(byte - 0x30)
        }
      }
      position += 1
    }
    return (word >= wanted ? number : 0, position)
  }

  /// Which word of a line is the inode, counted from 0.
  private var inodeColumn: Int {
    switch self {
    case .tcp, .tcp6, .udp, .udp6, .raw, .raw6, .icmp, .icmp6: 9
    case .unix: 6
    case .netlink: 9
    case .packet: 8
    }
  }

  private func word(_ index: Int, of line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    var position = line.startIndex
    for current in 0... {
      while position < line.endIndex, isBlank(line[position]) { position += 1 }
      let start = position
      while position < line.endIndex, !isBlank(line[position]) { position += 1 }
      if start == position { return nil }
      if current == index { return line[start..<position] }
    }
    return nil
  }

  /// What a line tells, or `nil` if it cannot be understood.
  func entry(_ line: ArraySlice<UInt8>, inode: UInt64) -> SocketEntry? {
    switch self {
    case .tcp, .tcp6, .udp, .udp6, .raw, .raw6, .icmp, .icmp6:
      // sl local_address rem_address st tx_queue:rx_queue …
      let fields = words(line)
      guard fields.count > 9, let local = SocketAddress(hexadecimal: fields[1]),
        let peer = SocketAddress(hexadecimal: fields[2]), let state = fields[3].unsigned(radix: 16)
      else { return nil }
      let queues = fields[4].split(separator: UInt8(ascii: ":"))
      let unread = queues.count == 2 ? queues[1].unsigned(radix: 16) ?? 0 : 0
      let found = kind == .tcp ? TCPState(number: state) : nil
      return SocketEntry(
        kind: kind, inode: inode, local: local.description, peer: peer.description, state: found, unread: unread,
        isListening: found == .listen)
    case .unix:
      // Num RefCount Protocol Flags Type St Inode Path: the path is the rest of the line, blanks and all.
      guard let column = word(6, of: line) else { return nil }
      let path = line[column.endIndex...].dropFirst()
      // __SO_ACCEPTCON of include/linux/net.h.
      let flags = word(3, of: line)?.unsigned(radix: 16) ?? 0
      return SocketEntry(
        kind: .unix, inode: inode, local: path.isEmpty ? nil : path.text, peer: nil, unread: 0,
        isListening: flags & 0x10000 != 0)
    case .netlink, .packet:
      return SocketEntry(kind: kind, inode: inode, local: nil, peer: nil, unread: 0)
    }
  }
}

extension TCPState {
  /// By the number of `include/net/tcp_states.h`, which counts from 1 in the order of the cases.
  fileprivate init?(number: UInt64) {
    guard number >= 1, number <= UInt64(TCPState.allCases.count) else { return nil }
    self = TCPState.allCases[Int(number) - 1]
  }
}

/// An address and a port, as the tables print them: 32-bit words in the machine's byte order, in hexadecimal.
private struct SocketAddress: CustomStringConvertible {
  var bytes: [UInt8]
  var port: UInt64

  init?(hexadecimal text: ArraySlice<UInt8>) {
    guard let colon = text.lastIndex(of: UInt8(ascii: ":")), let port = text[(colon + 1)...].unsigned(radix: 16) else {
      return nil
    }
    let digits = text[..<colon]
    guard digits.count == 8 || digits.count == 32 else { return nil }
    bytes = []
    for start in stride(from: digits.startIndex, to: digits.endIndex, by: 8) {
      guard let value = digits[start..<(start + 8)].unsigned(radix: 16) else { return nil }
      // The word lies in memory in network order: a little-endian machine prints it turned round.
      let word = UInt32(bigEndian: UInt32(value))
      for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
    self.port = port
  }

  var description: String {
    if bytes.count == 4 { return "\(dotted(bytes[...])):\(port)" }
    // A socket of IPv6 that speaks IPv4: people look for the address that they know.
    if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
      return "\(dotted(bytes[12...])):\(port)"
    }
    return "[\(compressed)]:\(port)"
  }

  private func dotted(_ bytes: ArraySlice<UInt8>) -> String { bytes.map { String($0) }.joined(separator: ".") }

  /// RFC 5952: the longest run of two or more zero groups becomes `::`.
  private var compressed: String {
    let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    var best = 0..<0
    var index = 0
    while index < 8 {
      var end = index
      while end < 8, groups[end] == 0 { end += 1 }
      if end - index > max(best.count, 1) { best = index..<end }
      index = max(end, index + 1)
    }
    func text(_ range: Range<Int>) -> String { groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
    return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
  }
}
