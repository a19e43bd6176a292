// SPDX-License-Identifier: Apache-2.0
// The life of alerts: one per cause, told once, escalated when time runs short, reminded of ever more rarely, resolved.

import Descriptors
import Detection

/// A moment on both clocks.
package struct Moment: Sendable {
  /// Since boot, from a clock that does not jump: decides.
  package var time: Duration
  /// Seconds since 1970: for people.
  package var wall: Double

  package init(time: Duration, wall: Double) { (self.time, self.wall) = (time, wall) }
}

/// How alerts are told.
package struct AlertPolicy: Sendable, Equatable {
  /// Until the first reminder; each later one takes twice as long as the one before. `nil`: none.
  package var reminders: Duration? = .seconds(4 * 3600)
  /// Entries per minute; what exceeds them is summed up, and follows in its turn.
  package var burst = 20

  package init() {}
}

/// What makes two findings one alert: the same leak in several processes of a unit.
struct Cause: Hashable, Sendable, Codable {
  var type: AlertType
  /// The unit, or the process where it belongs to none.
  var owner: String
  /// Kind and target, or the limit that is near.
  var subject: String
}

/// All alerts, and when what is told of them. A pure function of what it is fed.
///
/// - Hundred workers of a unit that leak the same are one alert, with the processes as its members.
/// - What there is to tell of an alert is told when the limits on entries allow it, and only then counts as told: what
///   they hold back is asked for again at each ``tick(at:)``, and a summary says how many wait. See ``RateLimiter``.
/// - A leak of another process is another alert. What comes and goes in one process within ``returnSpan`` is the same
///   alert: the third return is told once it has lasted for ``settleSpan``, or at once where it is critical.
/// - What begins under a silence is for the journal alone, until the silence ends. An end is told to whoever was told the
///   beginning, silence or not: who has opened a ticket wants to close it.
/// - It can be saved and restored: what was told is not told again.
package struct AlertBook: Sendable {
  package var policy: AlertPolicy
  var entries: [Cause: Entry] = [:]
  /// Leaks that are suspected and no alert yet. See ``suspect(_:of:count:limits:routing:at:)``.
  var suspicions: [Cause: Alert] = [:]
  var counter: UInt32
  var lanes = Lanes()
  /// Bytes that have come in since it was last seen how much is kept.
  var unweighed = 0
  /// Those that hold and, as a clock that has jumped ahead may jump back, some that held.
  package var silences: [Silence] = []
  /// Rises with each change that is worth saving.
  package internal(set) var revision = 0

  /// What comes back within this span is the same alert.
  static let returnSpan = Duration.seconds(3600)
  /// Reports of one kind are one alert for so long, where there are no reminders.
  static let foldSpan = Duration.seconds(4 * 3600)
  /// So often what comes back in the same process is told like new.
  static let mostReturns = 2
  /// What has come back more often is told when it has stayed for so long.
  static let settleSpan = Duration.seconds(600)
  /// The longest pause between two reminders.
  static let longestPause = Duration.seconds(7 * 86400)
  /// A member that no detector has confirmed for so long, since it was restored or could not be watched, is over.
  static let confirmSpan = Duration.seconds(6 * 3600)
  /// Of one owner so many kinds of reports are told apart.
  static let mostReports = 20
  static let mostSilences = 200

  /// Who has been told of an alert.
  enum Heard: Int, Codable, Comparable {
    case nobody, journal, everybody
    static func < (a: Heard, b: Heard) -> Bool { a.rawValue < b.rawValue }
  }

  struct Entry: Codable, Sendable {
    var alert: Alert
    /// Alerts of this cause so far, and when the last one ended.
    var returns = 0
    var endedAt: Duration?
    /// The most urgent band that was told.
    var toldUrgency = 0
    var nextReminder: Duration?
    var pause: Duration
    /// By pid: since when no detector has confirmed a member. See ``confirmSpan``.
    var unconfirmed: [Int32: Duration] = [:]
    var heard = Heard.nobody
    /// Whether its beginning was told, by its name, and its end was not.
    var isNamed = false
    var hasStack = false
    /// Where it comes back again and again: not told before then.
    var settlesAt: Duration?
    /// Returns that were over before they were told.
    var untoldReturns = 0
    /// Whether there is something to tell that the limits hold back, and whether a summary has counted it.
    var isWaiting = false
    var isSummed = false
    /// A silence of it is over, and nothing was told since.
    var isLifted = false
    var isFiring: Bool { endedAt == nil }
    var isSound: Bool {
      alert.isSound && [returns, untoldReturns, alert.returns].allSatisfy(countRange.contains)
        && [endedAt, nextReminder, pause, settlesAt].allSatisfy { ($0 ?? .zero).isPlausible }
        && unconfirmed.values.allSatisfy(\.isPlausible)
    }
  }

  /// - Parameter seed: makes the names of alerts differ from boot to boot.
  package init(_ policy: AlertPolicy = AlertPolicy(), seed: UInt32 = 0) {
    self.policy = policy
    counter = seed
  }

  /// What goes on, the most urgent first.
  package var firing: [Alert] {
    entries.values.filter(\.isFiring).map(\.alert).sorted {
      ($0.priority, $0.firstSeen, $0.id) < ($1.priority, $1.firstSeen, $1.id)
    }
  }

  package func alert(id: String) -> Alert? { entries.values.first { $0.alert.id == id }?.alert }
}

// MARK: What comes in

extension AlertBook {
  /// What a detector says of a process.
  package mutating func take(
    _ event: DetectionEvent, of process: AlertProcess, count: Int, limits: Limits,
    routing: AlertRouting = AlertRouting(),
    at moment: Moment
  ) -> [AlertEvent] {
    switch event {
    case .alert(let finding), .escalated(let finding), .attributed(let finding):
      let member = AlertMember(process: process, finding: finding, count: count, limits: limits)
      return fire(cause(of: finding, process), .leak, member, process.account, text: nil, routing, at: moment)
    case .resolved(let finding, let how):
      return withdraw(process, finding, how, at: moment)
    case .suspected(let finding):
      let member = AlertMember(process: process, finding: finding, count: count, limits: limits)
      return suspect(member, routing, at: moment)
    case .raised(let finding, isAlert: false):
      refresh(AlertMember(process: process, finding: finding, count: count, limits: limits))
      return []
    // The figures of an alert come with ``update``.
    case .raised, .notice: return []
    }
  }

  /// Brings the figures of a finding up to date, or confirms one that outlived a restart; tells what is new.
  package mutating func update(
    _ finding: Finding, of process: AlertProcess, count: Int, limits: Limits, routing: AlertRouting = AlertRouting(),
    at moment: Moment
  ) -> [AlertEvent] {
    take(.escalated(finding), of: process, count: count, limits: limits, routing: routing, at: moment)
  }

  /// A limit is near: of a process, of a user or of the host.
  /// - Parameters:
  ///   - subject: what names it among the limits of its owner, such as `descriptors`.
  ///   - text: what a person is told.
  package mutating func limit(
    _ subject: String, of process: AlertProcess?, owner: String, text: String, finding: Finding, count: Int,
    limits: Limits, routing: AlertRouting = AlertRouting(), at moment: Moment
  ) -> [AlertEvent] {
    let account = process?.account ?? owner
    let process =
      process ?? AlertProcess(pid: 0, startTime: 0, command: owner, executable: nil, user: "", unit: nil)
    let member = AlertMember(process: process, finding: finding, count: count, limits: limits)
    let cause = Cause(type: .limit, owner: process.unit ?? owner, subject: subject)
    return fire(cause, .limit, member, account, text: text, routing, at: moment)
  }

  /// The limit is not near any more.
  /// - Parameter text: how it stands now.
  package mutating func limitIsFar(
    _ subject: String, of process: AlertProcess?, owner: String, text: String, at moment: Moment
  ) -> [AlertEvent] {
    let cause = Cause(type: .limit, owner: process?.unit ?? owner, subject: subject)
    return remove(cause, .closed, text: text, at: moment) { $0.process.pid == process?.pid ?? 0 }
  }

  /// A process's own word. It is over at once: it is told, and not waited for. Many of one cause are one alert, with the
  /// reminders of one.
  package mutating func report(
    _ text: String, subject: String, of process: AlertProcess, routing: AlertRouting = AlertRouting(), at moment: Moment
  ) -> [AlertEvent] {
    let finding = Finding(
      id: 0, kind: .anon, target: nil, leaked: 1, since: moment.time, ratePerHour: 0, rateInterval: 0...0,
      timeToLimit: nil, timeToLimitInterval: nil, confidence: 1, evidence: [text])
    let member = AlertMember(process: process, finding: finding, count: 0, limits: Limits(soft: 0, hard: 0))
    var cause = Cause(type: .report, owner: owner(of: process), subject: subject)
    if entries[cause] == nil,
      entries.keys.count(where: { $0.type == .report && $0.owner == cause.owner }) >= Self.mostReports
    {
      // It may say what it likes, and as much: the rest is one.
      cause.subject = ""
    }
    return fire(cause, .report, member, process.account, text: text, routing, at: moment)
  }

  /// Processes have exited: what their detectors have not ended ends with them. A report was over when it was told.
  package mutating func exited(_ processes: [AlertProcess], at moment: Moment) -> [AlertEvent] {
    let gone = Dictionary(processes.map { ($0.pid, $0.startTime) }, uniquingKeysWith: { a, _ in a })
    dropSuspicions { gone[$0.process.pid] == $0.process.startTime }
    return entries.keys.filter { entries[$0]?.isFiring == true }.flatMap { cause in
      remove(cause, .exited, at: moment) { gone[$0.process.pid] == $0.process.startTime }
    }
  }

  package mutating func exited(_ process: AlertProcess, at moment: Moment) -> [AlertEvent] {
    exited([process], at: moment)
  }

  /// A process goes on, and is nobody's business any more.
  package mutating func unwatched(_ process: AlertProcess, at moment: Moment) -> [AlertEvent] {
    dropSuspicions { $0.process.isSame(as: process) }
    return entries.keys.flatMap { cause in
      remove(cause, .unwatched, at: moment) {
        $0.process.isSame(as: process)
      }
    }
  }

  /// A finding is a part of another one now: its class was joined with that one's.
  package mutating func merged(_ finding: Finding, of process: AlertProcess, at moment: Moment) -> [AlertEvent] {
    entries.keys.filter { $0.type == .leak && entries[$0]?.isFiring == true }.flatMap { cause in
      remove(cause, .merged, at: moment) {
        $0.process.isSame(as: process) && $0.finding.id == finding.id
      }
    }
  }

  /// Whether an alert of this limit goes on; see ``limit(_:of:owner:text:finding:count:limits:routing:at:)``.
  package func isNear(_ subject: String, of process: AlertProcess?, owner: String) -> Bool {
    guard let entry = entries[Cause(type: .limit, owner: process?.unit ?? owner, subject: subject)] else {
      return false
    }
    return entry.isFiring && entry.alert.members.contains { $0.process.pid == process?.pid ?? 0 }
  }

  /// Whose alerts of this limit go on.
  package func owners(near subject: String) -> [String] {
    entries.filter { $0.key.type == .limit && $0.key.subject == subject && $0.value.isFiring }.map(\.key.owner)
  }

  /// Of one that is not known any more its user is: whoever lets a thousand processes report has one name for all.
  private func owner(of process: AlertProcess) -> String {
    process.unit ?? (process.startTime == 0 ? "user \(process.user)" : "\(process.pid)-\(process.startTime)")
  }

  func cause(of finding: Finding, _ process: AlertProcess) -> Cause {
    // Workers whose targets differ in their own pids only leak the same.
    let target = (finding.target ?? "").withoutNumber(process.pid)
    return Cause(type: .leak, owner: owner(of: process), subject: "\(finding.kind.rawValue) \(target)")
  }
}

// MARK: Units

extension AlertBook {
  /// Units that an alert speaks of as a whole, and not of one of their processes.
  package var unitsWithoutProcess: [String] {
    entries.values.filter { $0.isFiring && $0.alert.type == .leak && $0.alert.worst?.process.pid == 0 }
      .compactMap(\.alert.unit)
  }

  /// No process of the unit is left for now, so nothing grows.
  package mutating func rest(_ unit: String) {
    for (cause, entry) in entries where cause.type == .leak && cause.owner == unit && entry.isFiring {
      guard entry.alert.worst?.process.pid == 0, entry.alert.ratePerHour > 0 else { continue }
      for index in entry.alert.members.indices {
        entries[cause]?.alert.members[index].finding.ratePerHour = 0
        entries[cause]?.alert.members[index].finding.rateInterval = 0...0
      }
      revision += 1
    }
  }

  /// No process of the unit is left, or it was started anew.
  package mutating func endUnit(_ unit: String, at moment: Moment) -> [AlertEvent] {
    entries.keys.filter { $0.type == .leak && $0.owner == unit }
      .flatMap { remove($0, .exited, at: moment) { $0.process.pid == 0 } }
  }
}

extension String {
  /// `/x/leak-4711-*` without 4711 is `/x/leak-*-*`: where that is a number of its own, and not a part of another.
  fileprivate func withoutNumber(_ number: Int32) -> String {
    let digits = String(number)
    guard number > 0, utf8.first == UInt8(ascii: "/"), contains(digits) else { return self }
    var text = ""
    var run = ""
    for character in self {
      if character.isASCII, character.isNumber {
        run.append(character)
        continue
      }
      text += run == digits ? "*" : run
      text.append(character)
      run = ""
    }
    return text + (run == digits ? "*" : run)
  }
}
