// SPDX-License-Identifier: Apache-2.0
// Reading our own entries back. See sd_journal_next(3), sd_journal_add_match(3), sd_journal_wait(3).

import CSystemd
import Descriptors
import Glibc
import Linux

/// Which entries are asked for.
package struct JournalFilter: Sendable, Equatable {
  package var messages: [MessageID] = MessageID.alerts + [.notice, .suspected]
  /// Values of `FDWATCH_EVENT`; `nil`: any.
  package var events: Set<String>?
  /// Seconds since 1970.
  package var since: Double?
  /// A glob (fnmatch(3)) of units; without a suffix it means services.
  package var unit: String?
  /// Also what others than root have sent: they may have made it up.
  package var includesUntrusted = false

  package init() {}

  func accepts(_ event: LoggedEvent) -> Bool {
    if let since, event.time < since { return false }
    if let events, !events.contains(event.event) { return false }
    if let unit {
      guard let name = event.unit else { return false }
      return unsafe fnmatch(unit, name, 0) == 0 || fnmatch(Unit.named(unit), name, 0) == 0
    }
    return true
  }
}

/// Our entries in a journal, oldest first. For one thread.
@safe package final class JournalQuery {
  private let journal: OpaquePointer
  private let filter: JournalFilter
  /// What is there and closed to us: what it holds is missing.
  package let closedFiles: [String]

  /// Longer fields are cut: a deep stack has some 10 kB.
  private static let longestField = 256 << 10
  /// More fields are not ours.
  private static let mostFields = 400

  package init(_ source: JournalSource = .machine, _ filter: JournalFilter) throws(JournalReadError) {
    let (readable, closed) = source.survey()
    if readable == 0, let first = closed.first { throw .notPermitted(path: first) }
    if readable == 0 { throw .noJournal(path: source.inWords) }
    closedFiles = closed
    self.filter = filter
    var opened: OpaquePointer?
    let status =
      switch source {
      case .machine: unsafe sd_journal_open(&opened, CInt(SD_JOURNAL_LOCAL_ONLY))
      case .allMachines: unsafe sd_journal_open(&opened, 0)
      case .directory(let path): unsafe sd_journal_open_directory(&opened, path, 0)
      }
    guard status >= 0, let opened = unsafe opened else { throw .failed(call: "sd_journal_open", errno: -status) }
    unsafe journal = unsafe opened
    try prepare()
  }

  deinit { unsafe sd_journal_close(journal) }

  private func prepare() throws(JournalReadError) {
    try check("sd_journal_set_data_threshold", unsafe sd_journal_set_data_threshold(journal, Self.longestField))
    // Of one field any value will do, of several fields each must fit.
    let matches = filter.messages.map { "MESSAGE_ID=\($0.rawValue)" } + (filter.includesUntrusted ? [] : ["_UID=0"])
    for match in matches {
      try check("sd_journal_add_match", unsafe sd_journal_add_match(journal, match, match.utf8.count))
    }
    if let since = filter.since {
      let microseconds = UInt64(min(max(since, 0), 1e12) * 1e6)
      try check("sd_journal_seek_realtime_usec", unsafe sd_journal_seek_realtime_usec(journal, microseconds))
    } else {
      try check("sd_journal_seek_head", unsafe sd_journal_seek_head(journal))
    }
  }

  private func check(_ call: String, _ status: CInt) throws(JournalReadError) {
    if status < 0 { throw .failed(call: call, errno: -status) }
  }

  /// The next entry that is asked for; `nil` when there is none yet.
  package func next() throws(JournalReadError) -> LoggedEvent? {
    while true {
      let moved = unsafe sd_journal_next(journal)
      try check("sd_journal_next", moved)
      if moved == 0 { return nil }
      if let event = read(), filter.accepts(event) { return event }
    }
  }

  /// Waits until something is appended, or files come and go; no longer than `span`, and without end for `nil`.
  /// - Returns: whether ``next()`` may find something.
  package func wait(_ span: Duration? = nil) throws(JournalReadError) -> Bool {
    let microseconds = span.map { UInt64(clamping: max($0.nanoseconds, 0) / 1000) } ?? .max
    let status = unsafe sd_journal_wait(journal, microseconds)
    if status == -EINTR { return false }
    try check("sd_journal_wait", status)
    return status != CInt(SD_JOURNAL_NOP)
  }

  private func read() -> LoggedEvent? {
    var time: UInt64 = 0
    guard unsafe sd_journal_get_realtime_usec(journal, &time) >= 0 else { return nil }
    var event = LoggedEvent(time: Double(time) / 1e6, host: nil, user: nil, fields: [:])
    unsafe sd_journal_restart_data(journal)
    var data: UnsafeRawPointer?
    var size = 0
    for _ in 0..<Self.mostFields {
      // What is damaged ends the entry; what was read of it counts.
      guard unsafe sd_journal_enumerate_available_data(journal, &data, &size) > 0 else { break }
      let bytes = unsafe UnsafeRawBufferPointer(start: data, count: size).prefix(Self.longestField)
      guard let equals = unsafe bytes.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let name = unsafe String(decoding: bytes[..<equals], as: UTF8.self)
      guard name.hasPrefix("FDWATCH_") || Self.others.contains(name) else { continue }
      let value = unsafe String(decoding: bytes[(equals + 1)...], as: UTF8.self)
      switch name {
      case "_HOSTNAME": event.host = value
      case "_UID": event.user = UInt32(value)
      default: event.fields[name, default: []].append(value)
      }
    }
    // What waited for a journald says when it happened. Root can be believed, but for a clock that was set back since.
    if event.isTrusted, let own = event["FDWATCH_TIME"].flatMap({ Double($0) }), own >= 0, own < event.time {
      event.time = own
    }
    return event
  }

  private static let others: Set<String> = ["MESSAGE", "MESSAGE_ID", "PRIORITY", "_HOSTNAME", "_UID"]
}

extension JournalSource {
  fileprivate var inWords: String {
    switch self {
    case .machine, .allMachines: "/var/log/journal or /run/log/journal"
    case .directory(let path): path
    }
  }
}
