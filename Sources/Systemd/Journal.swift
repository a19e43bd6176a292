// SPDX-License-Identifier: Apache-2.0
// Sending to the journal. See sd_journal_sendv(3) and systemd.journal-fields(7).

import CSystemd
import Glibc

/// Why an entry did not go to the journal.
package enum JournalError: Error, Equatable, CustomStringConvertible {
  /// No journald listens. libsystemd itself would report success.
  case notListening(socket: String)
  /// journald would drop a field of this name without a word.
  case badFieldName(String)
  case failed(errno: CInt)

  package var description: String {
    switch self {
    case .notListening(let socket): "no journald is listening (there is no \(socket))"
    case .badFieldName(let name): "\"\(name)\" is no name for a journal field: it takes A-Z, 0-9 and _, at most 64"
    case .failed(let errno): unsafe "cannot send to the journal: \(String(cString: strerror(errno)))"
    }
  }
}

/// The journal of this machine.
package enum Journal {
  package static let socket = "/run/systemd/journal/socket"

  /// Whether a journald is there to listen.
  package static var isListening: Bool { unsafe access(socket, W_OK) == 0 }

  /// Sends one entry. A value may be any text, lines and control characters too; a name may occur several times.
  package static func send(_ fields: [(name: String, value: String)]) throws(JournalError) {
    for field in fields where !isValid(field.name) { throw .badFieldName(field.name) }
    // sd_journal_sendv answers 0 where the socket is missing: what is not checked here is lost without a word.
    guard isListening else { throw .notListening(socket: socket) }
    let sent = send(fields.map { Array("\($0.name)=\($0.value)".utf8) })
    if sent < 0 { throw .failed(errno: -sent) }
  }

  private static func send(_ items: [[UInt8]]) -> CInt {
    // One buffer for all, so that one pointer stays valid for the call.
    var bytes = Array(items.joined())
    let lengths = items.map(\.count)
    return unsafe bytes.withUnsafeMutableBytes { buffer in
      var vectors = unsafe [iovec]()
      var offset = 0
      for length in lengths {
        unsafe vectors.append(iovec(iov_base: buffer.baseAddress?.advanced(by: offset), iov_len: length))
        offset += length
      }
      return unsafe sd_journal_sendv(vectors, CInt(vectors.count))
    }
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
