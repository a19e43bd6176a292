// SPDX-License-Identifier: Apache-2.0
// What a person is told: one alert per cause, whoever and however many it concerns.

import Descriptors
import Detection

/// What an alert is about.
package enum AlertType: String, Sendable, Codable, CaseIterable {
  /// Descriptors are never closed, and go on being opened.
  case leak
  /// A limit is near, for whatever reason.
  case limit
  /// A process itself has reported something.
  case report
}

/// What has happened to an alert.
package enum AlertWord: String, Sendable, Codable, CaseIterable {
  /// A leak is more probable than not. No hook runs that does not ask for it; the alert that may follow has the same id.
  case suspected
  case alert, escalated, reminder, resolved
  /// Worth a line, wakes nobody: who opened what leaks has become known.
  case notice
  /// The whole path is tried, and nothing has happened.
  case test
}

/// A process that an alert concerns.
package struct AlertProcess: Sendable, Hashable, Codable {
  package var pid: Int32
  /// Clock ticks between boot and its start: with the pid it names the process for good.
  package var startTime: UInt64
  package var command: String
  package var executable: String?
  package var user: String
  /// The systemd unit that it belongs to.
  package var unit: String?
  /// Whose session or own service manager it runs in, if any.
  package var sessionUser: String?

  package init(
    pid: Int32, startTime: UInt64, command: String, executable: String?, user: String, unit: String?,
    sessionUser: String? = nil
  ) {
    (self.pid, self.startTime, self.command) = (pid, startTime, command)
    (self.executable, self.user, self.unit, self.sessionUser) = (executable, user, unit, sessionUser)
  }

  /// Whose budget its alerts come out of. It must not be something that an unprivileged user can have more of at will:
  /// processes, names, sessions and units of a user's own manager all belong to that user. In a unit that serves several
  /// users, as `cron.service` does, each of them has an account.
  package var account: String {
    if let sessionUser { return "user \(sessionUser)" }
    return unit.map { "\($0) (\(user))" } ?? "user \(user)"
  }

  /// Whatever it executes by now.
  func isSame(as other: AlertProcess) -> Bool { pid == other.pid && startTime == other.startTime }

  /// `nginx[4711]`.
  package var name: String { "\(command.printable)[\(pid)]" }
}

/// What is known of one process of an alert.
package struct AlertMember: Sendable, Equatable, Codable {
  package var process: AlertProcess
  package var finding: Finding
  /// Open descriptors and limits when that was last looked at.
  package var count: Int
  package var limits: Limits

  package init(process: AlertProcess, finding: Finding, count: Int, limits: Limits) {
    (self.process, self.finding, self.count, self.limits) = (process, finding, count, limits)
  }
}

/// An alert, as it stands.
package struct Alert: Sendable, Equatable, Codable {
  /// Short, unique, and the same for all that is said of it.
  package var id: String
  package var type: AlertType
  /// When its cause was first told, in seconds since 1970: it outlives a restart of the daemon.
  package var firstSeen: Double
  /// Whose it is: a unit, or nobody's.
  package var unit: String?
  /// Whose budget it comes out of: see ``AlertProcess/account``.
  package var account = ""
  /// How often it came back, where some of that was not told.
  package var returns = 0
  /// One sentence for an alert without findings: of a limit, of a report.
  package var text: String?
  /// The processes that it concerns now, the most urgent first. After the end: those that it concerned last.
  package var members: [AlertMember]
  package var routing = AlertRouting()
  package var isSilenced = false
  /// The most urgent that was told aloud of it: who was called for that wants to know its end.
  package var toldPriority = 7

  package init(
    id: String, type: AlertType, firstSeen: Double, unit: String?, text: String? = nil, members: [AlertMember]
  ) {
    (self.id, self.type, self.firstSeen) = (id, type, firstSeen)
    (self.unit, self.text, self.members) = (unit, text, members)
  }
}

/// What whoever watches has set for whoever is told.
package struct AlertRouting: Sendable, Equatable, Codable {
  package var labels: [String: String] = [:]
  /// Names of hooks; all whose filters let it pass if `nil`.
  package var hooks: [String]?

  package init(labels: [String: String] = [:], hooks: [String]? = nil) { (self.labels, self.hooks) = (labels, hooks) }
}

extension Alert {
  /// The member whose time runs out first.
  package var worst: AlertMember? { members.first }

  /// What leaks; of a limit, what holds most of it, where that is known.
  package var kind: Kind? { isClassKnown ? worst?.finding.kind : nil }
  package var target: String? { isClassKnown ? worst?.finding.target : nil }
  private var isClassKnown: Bool { type == .leak || held != nil }
  /// Of a limit: how many the class has that holds most.
  package var held: Int? {
    guard type == .limit, let held = worst?.finding.leaked, held > 0 else { return nil }
    return held
  }
  package var leaked: Int { members.reduce(0) { $0 + $1.finding.leaked } }
  package var ratePerHour: Double { members.reduce(0) { $0 + $1.finding.ratePerHour } }
  package var timeToLimit: Duration? { members.compactMap(\.finding.timeToLimit).min() }
  package var confidence: Double { members.reduce(0) { max($0, $1.finding.confidence) } }

  /// syslog(3)'s levels, by the time that is left: 2 critical, 3 error, 4 warning; 5 and 6 wake nobody.
  package var priority: Int {
    if type == .report { return 5 }
    switch timeToLimit {
    case let left? where left < .seconds(600): return 2
    case let left? where left < .seconds(6 * 3600): return 3
    default: return 4
    }
  }

  /// Rises as time runs out: what was told in one band is told again in the next.
  package var urgency: Int {
    switch timeToLimit {
    case let left? where left < .seconds(600): 4
    case let left? where left < .seconds(3600): 3
    case let left? where left < .seconds(6 * 3600): 2
    case let left? where left < .seconds(86400): 1
    default: 0
    }
  }

  /// Whom a summary counts it for: its unit, or the user who may start as many as he likes.
  var payer: String { account.hasPrefix("user ") ? account : unit ?? account }

  mutating func addEvidence(_ text: String, of pid: Int32) {
    guard let index = members.firstIndex(where: { $0.process.pid == pid }) else { return }
    members[index].finding.evidence.append(text)
  }

  /// Whether it speaks of this finding of this process, whatever that was called then.
  func hasMember(_ member: AlertMember) -> Bool {
    members.contains {
      $0.process.isSame(as: member.process) && $0.finding.id == member.finding.id
        && $0.finding.kind == member.finding.kind
    }
  }

  /// Adds a member, or what is new of one. They stay in their order.
  mutating func take(_ member: AlertMember) {
    if let index = members.firstIndex(where: { $0.process.pid == member.process.pid }) {
      // With hundreds of workers each of whose figures change at each poll, most keep their place.
      let fitsBefore = index == 0 || !member.comes(before: members[index - 1])
      let fitsBehind = index + 1 == members.count || !members[index + 1].comes(before: member)
      if fitsBefore, fitsBehind {
        members[index] = member
        return
      }
      members.remove(at: index)
    }
    if members.count >= Self.mostMembers {
      guard let last = members.last, member.comes(before: last) else { return }
      members.removeLast()
    }
    members.insert(member, at: members.firstIndex { member.comes(before: $0) } ?? members.count)
  }
}

extension AlertMember {
  /// Whose time runs out first; where that is the same, who leaks more.
  fileprivate func comes(before other: AlertMember) -> Bool {
    let never = Duration.seconds(1 << 40)
    let (mine, others) = (finding.timeToLimit ?? never, other.finding.timeToLimit ?? never)
    return (mine, other.finding.leaked, process.pid) < (others, finding.leaked, other.process.pid)
  }
}

/// Something to be told of an alert, now.
package struct AlertEvent: Sendable, Equatable {
  package var word: AlertWord
  package var alert: Alert
  /// How it ended, if it did.
  package var resolution: Resolution?
  /// Alerts that are not told one by one, since there are too many: this one stands for all of them.
  package var summary: AlertSummary?

  package init(_ word: AlertWord, _ alert: Alert, resolution: Resolution? = nil) {
    (self.word, self.alert, self.resolution) = (word, alert, resolution)
  }

  /// syslog(3)'s level. What is silenced wakes nobody.
  package var priority: Int {
    if alert.isSilenced { return 6 }
    if let summary { return summary.priority }
    return switch word {
    case .alert, .escalated, .reminder: alert.priority
    case .suspected, .resolved: 5
    case .notice, .test: 6
    }
  }
}

/// Many alerts in one entry.
package struct AlertSummary: Sendable, Equatable {
  package enum Reason: Sendable {
    /// They exceed what may be written in a minute; each follows in its turn.
    case heldBack
    /// A silence of them is over.
    case silenceEnded
  }

  package struct Item: Sendable, Equatable {
    package var id: String
    package var headline: String
  }

  /// How many of the alerts are of one unit or user.
  package struct Share: Sendable, Equatable {
    package var name: String
    package var count: Int
  }

  package var reason: Reason
  /// How many alerts.
  package var count: Int
  /// Whom they concern, at most a few with the most alerts first, and how many there are.
  package var shares: [Share]
  package var unitCount: Int
  /// Of the most urgent of them.
  package var priority: Int
  /// Each of them, the most urgent first, where this entry is the only one that names them.
  package var items: [Item] = []

  /// So many units or users are named.
  private static let mostNamed = 10

  init(_ reason: Reason, _ counts: [String: Int], priority: Int, items: [Item] = []) {
    self.reason = reason
    count = counts.values.reduce(0, +)
    shares = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(Self.mostNamed).map {
      Share(name: $0.key, count: $0.value)
    }
    unitCount = counts.count
    (self.priority, self.items) = (priority, items)
  }
}
