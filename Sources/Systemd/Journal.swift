// SPDX-License-Identifier: Apache-2.0
// Sending to the journal: its native protocol, https://systemd.io/JOURNAL_NATIVE_PROTOCOL, and systemd.journal-fields(7).

import CLinux
import Glibc

/// Why an entry did not go to the journal.
package enum JournalError: Error, Equatable, CustomStringConvertible {
  /// No journald has ever listened here: there is no socket.
  case notListening(socket: String)
  /// The socket is there, and nobody behind it: journald has ended, and nobody holds the socket for the next one.
  case refused(socket: String)
  /// journald does not keep up, or hangs: its queue is full.
  case busy(socket: String)
  /// journald would drop a field of this name without a word.
  case badFieldName(String)
  case failed(errno: CInt)

  /// Whether the same entry may pass when it is sent again later.
  package var mayPassLater: Bool {
    switch self {
    case .notListening, .refused, .busy: true
    case .badFieldName: false
    // What a crowded system runs out of for a while.
    case .failed(let number): [ENOMEM, EMFILE, ENFILE, EINTR].contains(number)
    }
  }

  package var description: String {
    switch self {
    case .notListening(let socket): "no journald is listening (there is no \(socket))"
    case .refused(let socket): "no journald is listening (\(socket) is left over)"
    case .busy(let socket): "journald takes no more for now (\(socket) is full)"
    case .badFieldName(let name): "\"\(name)\" is no name for a journal field: it takes A-Z, 0-9 and _, at most 64"
    case .failed(let errno): unsafe "cannot send to the journal: \(String(cString: strerror(errno)))"
    }
  }
}

/// The journal of this machine.
package enum Journal {
  package static let socket = "/run/systemd/journal/socket"

  /// Whether a journald is there to listen, as far as that shows without sending: its socket is there.
  package static var isListening: Bool { unsafe access(socket, W_OK) == 0 }

  /// Sends one entry. A value may be any text, lines and control characters too; a name may occur several times.
  ///
  /// It never waits. sd_journal_sendv(3) does: where journald hangs, it blocks as soon as the socket's queue is full
  /// (measured: for ever, after some ten entries). It also answers 0 where there is no socket.
  package static func send(
    _ fields: [(name: String, value: String)], to socket: String = Journal.socket
  ) throws(JournalError) {
    for field in fields where !isValid(field.name) { throw .badFieldName(field.name) }
    var message: [UInt8] = []
    for field in fields { append(field, to: &message) }
    switch unsafe -fdwatch_send_datagram(socket, message, message.count) {
    case 0: return
    case ENOENT: throw .notListening(socket: socket)
    case ECONNREFUSED: throw .refused(socket: socket)
    case EAGAIN, ENOBUFS: throw .busy(socket: socket)
    case let number: throw .failed(errno: number)
    }
  }

  /// `NAME=value`; where the value has lines, its length comes before it.
  private static func append(_ field: (name: String, value: String), to message: inout [UInt8]) {
    let newline = UInt8(ascii: "\n")
    message += field.name.utf8
    if field.value.utf8.contains(newline) {
      message.append(newline)
      let length = UInt64(field.value.utf8.count)
      for shift in stride(from: 0, to: 64, by: 8) { message.append(UInt8(truncatingIfNeeded: length >> UInt64(shift))) }
    } else {
      message.append(UInt8(ascii: "="))
    }
    message += field.value.utf8
    message.append(newline)
  }

  /// What journald keeps: no leading underscore, which is for what it adds itself, and no lower case.
  private static func isValid(_ name: String) -> Bool {
    guard let first = name.utf8.first, first >= UInt8(ascii: "A"), first <= UInt8(ascii: "Z"), name.utf8.count <= 64
    else {
      return false
    }
    return name.utf8.allSatisfy {
      $0 == UInt8(ascii: "_") || ($0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z"))
        || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9"))
    }
  }
}
