// SPDX-License-Identifier: Apache-2.0
// One of our own entries, as the journal gives it back.

/// An event that was told to the journal.
package struct LoggedEvent: Sendable, Equatable {
  /// Seconds since 1970, by the clock of the machine that logged it: when it happened, and not when a journald was there to
  /// take it.
  package var time: Double
  /// The machine that logged it.
  package var host: String?
  /// Who logged it: journald knows, the sender cannot choose. Root can be believed; anybody may send the same fields.
  package var user: UInt32?
  /// `MESSAGE`, `MESSAGE_ID`, `PRIORITY` and all that begin with `FDWATCH_`, with their values.
  package var fields: [String: [String]]

  package init(time: Double, host: String?, user: UInt32?, fields: [String: [String]]) {
    (self.time, self.host, self.user, self.fields) = (time, host, user, fields)
  }

  package var isTrusted: Bool { user == 0 }

  /// The first value of a field.
  package subscript(name: String) -> String? { fields[name]?.first }

  /// `suspected`, `alert`, `escalated`, `reminder`, `resolved`, `notice`, `test`.
  package var event: String { self["FDWATCH_EVENT"] ?? "" }
  package var unit: String? { self["FDWATCH_UNIT"] }
  package var message: String { self["MESSAGE"] ?? "" }
  /// syslog(3)'s levels.
  package var priority: Int { self["PRIORITY"].flatMap { Int($0) } ?? 6 }
}
