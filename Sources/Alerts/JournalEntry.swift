// SPDX-License-Identifier: Apache-2.0
// What an event is in the journal: a pure function from event to fields. See systemd.journal-fields(7).

import Descriptors
import Detection

/// The journal entry of one event.
package struct JournalEntry: Sendable, Equatable {
  /// Names and values in order.
  package var fields: [(name: String, value: String)] = []

  package subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

  package init(_ event: AlertEvent) {
    let alert = event.alert
    head(event.message, id: event.messageID, priority: event.priority)
    // journald adds the unit of this process, so that its own log shows the entry. Heeded from uid 0 only.
    // Of one that has gone we have to say it ourselves.
    let pid = event.resolution == .exited ? 0 : alert.worst?.process.pid ?? 0
    if pid > 0 { append("OBJECT_PID", String(pid)) } else { append("OBJECT_SYSTEMD_UNIT", alert.unit) }
    append("FDWATCH_EVENT", event.word.rawValue)
    if let summary = event.summary {
      if summary.reason == .heldBack { append("FDWATCH_SUPPRESSED", String(summary.count)) }
      append("FDWATCH_UNITS", summary.shares.map(\.name).joined(separator: "\n"))
      if !summary.items.isEmpty { append("FDWATCH_ALERT_IDS", summary.items.map(\.id).joined(separator: "\n")) }
      return
    }
    append("FDWATCH_TYPE", alert.type.rawValue)
    append("FDWATCH_ALERT_ID", alert.id)
    append("FDWATCH_PRIORITY", String(alert.priority))
    if let worst = alert.worst { append(worst, of: alert) }
    append("FDWATCH_FIRST_SEEN", decimal(alert.firstSeen))
    for (name, value) in alert.routing.labels.sorted(by: { $0.key < $1.key }) {
      append("FDWATCH_LABEL", "\(name)=\(value)")
    }
    if alert.isSilenced { append("FDWATCH_SILENCED", "1") }
    append("FDWATCH_RESOLUTION", event.resolution?.rawValue)
  }

  /// A notice of a detector: worth a line, wakes nobody.
  package init(_ notice: Notice, of process: AlertProcess) {
    head("\(process.name): \(notice.text)", id: AlertWord.notice.messageID, priority: 6)
    append("OBJECT_PID", String(process.pid))
    append("FDWATCH_EVENT", AlertWord.notice.rawValue)
    append(process)
    append("FDWATCH_KIND", notice.kind.rawValue)
    append("FDWATCH_TARGET", notice.target)
    append("FDWATCH_VERDICT", notice.verdict.rawValue)
  }

  private mutating func head(_ message: String, id: MessageID, priority: Int) {
    append("MESSAGE", message)
    append("MESSAGE_ID", id.rawValue)
    append("PRIORITY", String(priority))
    append("SYSLOG_IDENTIFIER", "fdwatch")
  }

  private mutating func append(_ name: String, _ value: String?) {
    if let value { fields.append((name, value)) }
  }

  private mutating func append(_ process: AlertProcess) {
    append("FDWATCH_PID", String(process.pid))
    append("FDWATCH_COMM", process.command)
    append("FDWATCH_EXE", process.executable)
    append("FDWATCH_UNIT", process.unit)
  }

  private mutating func append(_ member: AlertMember, of alert: Alert) {
    // Of a unit, a user or the host as a whole there is no process to name.
    if member.process.pid > 0 {
      append(member.process)
    } else if let unit = alert.unit {
      append("FDWATCH_COMM", member.process.command)
      append("FDWATCH_UNIT", unit)
    }
    if alert.members.count > 1 {
      append("FDWATCH_PROCESS_COUNT", String(alert.members.count))
      append("FDWATCH_PIDS", alert.members.prefix(100).map { String($0.process.pid) }.joined(separator: " "))
    }
    if alert.type == .report { return append("FDWATCH_EVIDENCE", alert.text) }
    if member.count > 0 { append("FDWATCH_COUNT", String(member.count)) }
    append("FDWATCH_SOFT_LIMIT", member.limits.softInWords)
    append("FDWATCH_SECONDS_TO_LIMIT", alert.timeToLimit.map { String(Int64(clamping: ($0 / .seconds(1)).rounded())) })
    append("FDWATCH_KIND", alert.kind?.rawValue)
    append("FDWATCH_TARGET", alert.target)
    if let held = alert.held { append("FDWATCH_HELD", String(held)) }
    if alert.type == .leak {
      append("FDWATCH_LEAKED", String(alert.leaked))
      append("FDWATCH_RATE_PER_HOUR", decimal(alert.ratePerHour))
      append("FDWATCH_PROBABILITY", decimal(alert.confidence))
      append("FDWATCH_CONFIDENCE", decimal(alert.confidence))
      append("FDWATCH_RUNNER_UP", member.finding.runnerUp?.explanation.rawValue)
      append("FDWATCH_SETTLES", member.finding.settles)
    } else if member.finding.evidence.isEmpty {
      return
    }
    append("FDWATCH_EVIDENCE", member.finding.evidence.joined(separator: "\n"))
    guard let blame = alert.blame else { return }
    append("FDWATCH_PROFILE", blame.profile)
    for (index, stack) in blame.stacks.enumerated() {
      let suffix = index == 0 ? "" : "_\(index + 1)"
      append("FDWATCH_STACK\(suffix)", stack.frames.joined(separator: "\n"))
      append("FDWATCH_STACK_SHARE\(suffix)", decimal(stack.share))
      append("FDWATCH_STACK_BLAMED\(suffix)", stack.culprit)
    }
  }

  /// Up to three digits behind the point.
  private func decimal(_ value: Double) -> String { String((value * 1000).rounded() / 1000) }

  package static func == (a: JournalEntry, b: JournalEntry) -> Bool {
    a.fields.elementsEqual(b.fields) { $0.name == $1.name && $0.value == $1.value }
  }
}

extension AlertWord {
  fileprivate var messageID: MessageID {
    switch self {
    case .suspected: .suspected
    case .alert: .alert
    case .escalated: .escalated
    case .resolved: .resolved
    case .notice, .test: .notice
    case .reminder: .reminder
    }
  }
}

extension AlertEvent {
  /// Each kind of entry has its own, for filters and for the message catalog.
  package var messageID: MessageID {
    if let summary { return summary.reason == .heldBack ? .storm : .silenceEnded }
    switch (word, alert.type) {
    case (.alert, .limit), (.escalated, .limit), (.reminder, .limit): return .limit
    case (.alert, .report): return .report
    default: return word.messageID
    }
  }
}
