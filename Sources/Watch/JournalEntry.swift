// SPDX-License-Identifier: Apache-2.0
// What an event is in the journal: a pure function from event to fields. See systemd.journal-fields(7).

import Descriptors
import Detection
import Linux
import Procfs

/// The journal entry of one event.
package struct JournalEntry: Sendable, Equatable {
  /// Names and values in order.
  package var fields: [(name: String, value: String)]

  package subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

  package init(_ event: DetectionEvent, of process: ProcessView) {
    let kind = EventKind(event)
    fields = [
      ("MESSAGE", kind.message(event, process)),
      ("MESSAGE_ID", kind.messageID),
      ("PRIORITY", String(kind.priority(event))),
      ("SYSLOG_IDENTIFIER", "fdwatch"),
      // journald adds the unit of this process, so that its own log shows the entry. Heeded from uid 0 only.
      ("OBJECT_PID", String(process.identity.pid)),
      ("FDWATCH_EVENT", kind.rawValue),
    ]
    appendProcess(process)
    switch event {
    case .alert(let finding), .escalated(let finding), .attributed(let finding), .resolved(let finding, _):
      append("FDWATCH_TYPE", "leak")
      // Pid and start time: unique on this boot, and the same for all that is said of one leak.
      append("FDWATCH_ALERT_ID", "\(process.identity.pid)-\(process.identity.startTime)-\(finding.id)")
      append(finding)
      if case .resolved(_, let how) = event { append("FDWATCH_RESOLUTION", how.rawValue) }
    case .notice(let notice):
      append("FDWATCH_KIND", notice.kind.rawValue)
      append("FDWATCH_TARGET", notice.target)
      append("FDWATCH_VERDICT", notice.verdict.rawValue)
    }
  }

  private mutating func append(_ name: String, _ value: String?) {
    if let value { fields.append((name, value)) }
  }

  private mutating func appendProcess(_ process: ProcessView) {
    append("FDWATCH_PID", String(process.identity.pid))
    append("FDWATCH_COMM", process.identity.command)
    append("FDWATCH_EXE", process.identity.executable)
    append("FDWATCH_UNIT", process.unit)
    append("FDWATCH_COUNT", String(process.count))
    append("FDWATCH_SOFT_LIMIT", process.limits.softInWords)
  }

  private mutating func append(_ finding: Finding) {
    append("FDWATCH_KIND", finding.kind.rawValue)
    append("FDWATCH_TARGET", finding.target)
    append("FDWATCH_LEAKED", String(finding.leaked))
    append("FDWATCH_RATE_PER_HOUR", decimal(finding.ratePerHour))
    append("FDWATCH_SECONDS_TO_LIMIT", finding.timeToLimit.map { String(Int64($0.seconds.rounded())) })
    append("FDWATCH_CONFIDENCE", decimal(finding.confidence))
    append("FDWATCH_EVIDENCE", finding.evidence.joined(separator: "\n"))
    append("FDWATCH_PROFILE", finding.blame?.profile)
    for (index, stack) in (finding.blame?.stacks ?? []).enumerated() {
      let suffix = index == 0 ? "" : "_\(index + 1)"
      append("FDWATCH_STACK\(suffix)", stack.frames.joined(separator: "\n"))
      append("FDWATCH_STACK_SHARE\(suffix)", decimal(stack.share))
    }
  }

  /// Up to three digits behind the point.
  private func decimal(_ value: Double) -> String { String((value * 1000).rounded() / 1000) }

  package static func == (a: JournalEntry, b: JournalEntry) -> Bool {
    a.fields.elementsEqual(b.fields) { $0.name == $1.name && $0.value == $1.value }
  }
}

/// The word of an event, and what goes with it.
private enum EventKind: String {
  case alert, escalated, resolved, notice

  init(_ event: DetectionEvent) {
    self =
      switch event {
      case .alert: .alert
      case .escalated: .escalated
      case .resolved: .resolved
      case .attributed, .notice: .notice
      }
  }

  /// Each kind of entry has its own, for filters and for the message catalog. Once released, they never change.
  var messageID: String {
    switch self {
    case .alert: "f80c5fad4bca4abfab75624beaafb344"
    case .escalated: "c8d61a605f5a4b718841af0d1253f064"
    case .resolved: "c2086a0c55884619a714cba8de4c5f2f"
    case .notice: "f062dfe4958749cd8f54978705c2d09b"
    }
  }

  func message(_ event: DetectionEvent, _ process: ProcessView) -> String {
    switch event {
    case .alert(let finding): finding.headline(of: process.name, limits: process.limits)
    case .escalated(let finding): "More urgent: " + finding.headline(of: process.name, limits: process.limits)
    case .resolved(let finding, let how): "\(process.name) leaked \(finding.subject): over, \(how.inWords)"
    case .attributed(let finding): "\(process.name) leaks \(finding.subject): \(finding.blame?.sentence ?? "")"
    case .notice(let notice): "\(process.name): \(notice.text)"
    }
  }

  /// syslog(3)'s levels: by the time that is left.
  func priority(_ event: DetectionEvent) -> Int {
    switch event {
    case .alert(let finding), .escalated(let finding):
      switch finding.timeToLimit {
      case let left? where left < .seconds(600): 2
      case let left? where left < .seconds(6 * 3600): 3
      default: 4
      }
    case .resolved: 5
    case .attributed, .notice: 6
    }
  }
}
