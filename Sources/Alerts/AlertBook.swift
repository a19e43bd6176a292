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
  /// Entries per minute; the rest is summed up.
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
/// - A cause that comes back within ``returnSpan`` is the same alert, and told no more than twice: what flaps is reminded
///   of like what stays.
/// - What begins under a silence is for the journal alone, until the silence ends. An end is told to whoever was told the
///   beginning, silence or not: who has opened a ticket wants to close it.
/// - It can be saved and restored: what was told is not told again.
package struct AlertBook: Sendable {
  package var policy: AlertPolicy
  private var entries: [Cause: Entry] = [:]
  private var counter: UInt32
  /// Any process may report what it likes, so reports have a bucket of their own: no number of them holds back an alert
  /// of a leak.
  private var alarms: StormBucket
  private var reports: StormBucket
  /// What only the journal is told.
  private var whispers: StormBucket
  /// Those that hold and, as a clock that has jumped ahead may jump back, some that held.
  package var silences: [Silence] = []
  /// Rises with each change that is worth saving.
  package private(set) var revision = 0

  /// What comes back within this span is the same alert.
  static let returnSpan = Duration.seconds(3600)
  /// Reports of one kind are one alert for so long, where there are no reminders.
  static let foldSpan = Duration.seconds(4 * 3600)
  /// So often what comes back is told like new.
  static let mostReturns = 2
  /// The longest pause between two reminders.
  static let longestPause = Duration.seconds(7 * 86400)
  /// A member that no detector has confirmed for so long, since it was restored or could not be watched, is over.
  static let confirmSpan = Duration.seconds(6 * 3600)
  /// More alerts than that are not kept: the oldest resolved ones go first.
  static let mostEntries = 5000
  /// Of one owner so many kinds of reports are told apart.
  static let mostReports = 20
  static let mostSilences = 200

  /// Who has been told of an alert.
  fileprivate enum Heard: Int, Codable, Comparable {
    case nobody, journal, everybody
    static func < (a: Heard, b: Heard) -> Bool { a.rawValue < b.rawValue }
  }

  fileprivate struct Entry: Codable, Sendable {
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
    /// Whether it was told by its name, and not only summed up with others.
    var isNamed = false
    var hasStack = false
    var isFiring: Bool { endedAt == nil }
    var isSound: Bool {
      alert.isSound && countRange.contains(returns)
        && [endedAt, nextReminder, pause].allSatisfy { ($0 ?? .zero).isPlausible }
        && unconfirmed.values.allSatisfy(\.isPlausible)
    }
  }

  /// - Parameter seed: makes the names of alerts differ from boot to boot.
  package init(_ policy: AlertPolicy = AlertPolicy(), seed: UInt32 = 0) {
    self.policy = policy
    counter = seed
    (alarms, reports) = (StormBucket(burst: policy.burst), StormBucket(burst: policy.burst))
    whispers = StormBucket(burst: policy.burst)
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
      return fire(cause(of: finding, process), .leak, member, text: nil, routing, at: moment)
    case .resolved(let finding, let how):
      return withdraw(process, finding, how, at: moment)
    case .notice: return []
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
    let process =
      process ?? AlertProcess(pid: 0, startTime: 0, command: owner, executable: nil, user: "", unit: nil)
    let member = AlertMember(process: process, finding: finding, count: count, limits: limits)
    let cause = Cause(type: .limit, owner: process.unit ?? owner, subject: subject)
    return fire(cause, .limit, member, text: text, routing, at: moment)
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
    return fire(cause, .report, member, text: text, routing, at: moment)
  }

  /// Processes have exited: what their detectors have not ended ends with them. A report was over when it was told.
  package mutating func exited(_ processes: [AlertProcess], at moment: Moment) -> [AlertEvent] {
    let gone = Dictionary(processes.map { ($0.pid, $0.startTime) }, uniquingKeysWith: { a, _ in a })
    return entries.keys.filter { entries[$0]?.isFiring == true }.flatMap { cause in
      remove(cause, .exited, at: moment) { gone[$0.process.pid] == $0.process.startTime }
    }
  }

  package mutating func exited(_ process: AlertProcess, at moment: Moment) -> [AlertEvent] {
    exited([process], at: moment)
  }

  /// A process goes on, and is nobody's business any more.
  package mutating func unwatched(_ process: AlertProcess, at moment: Moment) -> [AlertEvent] {
    entries.keys.flatMap { cause in
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

  private func cause(of finding: Finding, _ process: AlertProcess) -> Cause {
    Cause(type: .leak, owner: owner(of: process), subject: "\(finding.kind.rawValue) \(finding.target ?? "")")
  }
}

// MARK: Firing and ending

extension AlertBook {
  private mutating func fire(
    _ cause: Cause, _ type: AlertType, _ member: AlertMember, text: String?, _ routing: AlertRouting, at moment: Moment
  ) -> [AlertEvent] {
    let key = type == .leak ? relabelled(cause, member) : cause
    // Taken out, so that its members are changed in their place.
    var entry = entries.removeValue(forKey: key) ?? newEntry(type, member.process.unit, at: moment)
    if let ended = entry.endedAt {
      if moment.time - ended > Self.returnSpan {
        entry = newEntry(type, member.process.unit, at: moment)
      } else {
        entry.returns += 1
        entry.endedAt = nil
        entry.alert.members = []
        if entry.returns <= Self.mostReturns, type != .report { entry.heard = .nobody }
      }
    }
    entry.alert.text = text ?? entry.alert.text
    entry.alert.routing = routing
    entry.unconfirmed[member.process.pid] = nil
    entry.alert.take(member)
    var event = news(of: &entry, at: moment)
    if type == .leak, event?.word == .alert, let other = inStep(with: member, of: key) {
      event?.alert.addEvidence(
        "It grows in step with alert \(other.id), \(other.what): they may have one cause.", of: member.process.pid)
    }
    let events = told(event.map { [$0] } ?? [], at: moment)
    if !events.isEmpty { entry.isNamed = true }
    entries[key] = entry
    forgetOld()
    return events
  }

  /// The key of a leak's alert. The more targets its class has seen, the wider is what it is called by; it is the same leak
  /// all the same, and takes its alert along to the new name.
  private mutating func relabelled(_ cause: Cause, _ member: AlertMember) -> Cause {
    // What is said of a unit has no finding of its own.
    if member.process.pid == 0 { return cause }
    if let entry = entries[cause], entry.alert.hasMember(member) { return cause }
    guard
      let known = entries.first(where: {
        $0.key.owner == cause.owner && $0.key.type == .leak && $0.value.isFiring && $0.value.alert.hasMember(member)
      })
    else { return cause }
    // Others go by the old name still.
    if entries[cause]?.isFiring == true || known.value.alert.members.count > 1 { return known.key }
    entries[known.key] = nil
    entries[cause] = known.value
    revision += 1
    return cause
  }

  /// Another leak of the same process, of as many, or of two for each: whoever forgets an event loop leaves an epoll, an
  /// eventfd and both ends of a pipe.
  private func inStep(with member: AlertMember, of cause: Cause) -> Alert? {
    func isSame(_ a: Double, _ b: Double, within part: Double) -> Bool { abs(a - b) <= max(2, a * part) }
    let (leaked, rate) = (Double(member.finding.leaked), member.finding.ratePerHour)
    return entries.lazy.filter { $0.key.type == .leak && $0.key.owner == cause.owner && $0.value.isFiring }
      .map(\.value.alert).filter { alert in
        alert.members.contains { other in
          other.process.pid == member.process.pid
            && [0.5, 1, 2].contains {
              isSame(leaked, Double(other.finding.leaked) * $0, within: 0.1)
                && isSame(rate, other.finding.ratePerHour * $0, within: 0.25)
            }
        }
      }.min { $0.firstSeen < $1.firstSeen }
  }

  /// What there is to tell of an alert that goes on, or that is heard of again as a silence is over.
  private func news(of entry: inout Entry, at moment: Moment) -> AlertEvent? {
    let wasSilenced = entry.alert.isSilenced
    entry.alert.isSilenced = isSilenced(entry.alert, at: moment)
    let isReport = entry.alert.type == .report
    var event = change(of: &entry, at: moment)
    if wasSilenced, !entry.alert.isSilenced, !isReport {
      event = event ?? AlertEvent(.reminder, entry.alert)
      entry.nextReminder = policy.reminders.map { _ in moment.time + entry.pause }
    }
    if event != nil, !entry.alert.isSilenced {
      entry.alert.toldPriority = min(entry.alert.toldPriority, entry.alert.priority)
      event?.alert.toldPriority = entry.alert.toldPriority
    }
    return event
  }

  private func change(of entry: inout Entry, at moment: Moment) -> AlertEvent? {
    let isReport = entry.alert.type == .report
    let audience = entry.alert.isSilenced ? Heard.journal : .everybody
    let urgency = entry.alert.urgency
    if entry.heard < audience {
      entry.heard = audience
      entry.toldUrgency = urgency
      entry.hasStack = entry.alert.stack != nil
      entry.nextReminder = (policy.reminders ?? (isReport ? Self.foldSpan : nil)).map { moment.time + $0 }
      return AlertEvent(.alert, entry.alert)
    }
    if !isReport, !entry.alert.isSilenced, urgency > entry.toldUrgency {
      entry.toldUrgency = urgency
      return AlertEvent(.escalated, entry.alert)
    }
    if entry.alert.stack != nil, !entry.hasStack {
      entry.hasStack = true
      return AlertEvent(.notice, entry.alert)
    }
    return nil
  }

  private mutating func newEntry(_ type: AlertType, _ unit: String?, at moment: Moment) -> Entry {
    counter &+= 1
    // A name that is easy to type, and not the next of the one before: mixed by Murmur's finalizer, which is a bijection.
    var mixed = counter
    mixed = (mixed ^ (mixed >> 16)) &* 0x85eb_ca6b
    mixed = (mixed ^ (mixed >> 13)) &* 0xc2b2_ae35
    mixed ^= mixed >> 16
    let digits = String(mixed, radix: 16)
    let id = String(repeating: "0", count: 8 - digits.count) + digits
    return Entry(
      alert: Alert(id: id, type: type, firstSeen: moment.wall, unit: unit, members: []),
      pause: policy.reminders ?? Self.longestPause)
  }

  private mutating func withdraw(
    _ process: AlertProcess, _ finding: Finding, _ how: Resolution, at moment: Moment
  ) -> [AlertEvent] {
    let member = AlertMember(process: process, finding: finding, count: 0, limits: Limits(soft: 0, hard: 0))
    let key = relabelled(cause(of: finding, process), member)
    return remove(key, how, at: moment) { $0.process.pid == process.pid }
  }

  private mutating func remove(
    _ cause: Cause, _ how: Resolution, text: String? = nil, at moment: Moment, where isGone: (AlertMember) -> Bool
  ) -> [AlertEvent] {
    guard var entry = entries[cause], entry.isFiring, entry.alert.members.contains(where: isGone) else { return [] }
    revision += 1
    var left = entry.alert.members
    left.removeAll(where: isGone)
    for member in entry.alert.members where isGone(member) { entry.unconfirmed[member.process.pid] = nil }
    if !left.isEmpty {
      entry.alert.members = left
      entries[cause] = entry
      return []
    }
    // When the next reminder is due stays: what comes back is reminded of as though it had never been away.
    entry.endedAt = moment.time
    entry.alert.isSilenced = entry.heard < .everybody
    entry.alert.text = text ?? entry.alert.text
    entries[cause] = entry
    // What flaps is told when it stays away: by `tick`.
    guard entry.returns <= Self.mostReturns, cause.type != .report else { return [] }
    return end(of: entry, how)
  }

  /// To be told without regard to the limit, for beginnings keep to it: whoever has opened a ticket closes it. What was only
  /// summed up ends without a word.
  private func end(of entry: Entry, _ how: Resolution) -> [AlertEvent] {
    entry.isNamed ? [AlertEvent(.resolved, entry.alert, resolution: how)] : []
  }

  private mutating func forgetOld() {
    // Not at each one that is over: to sort them all takes its time.
    guard entries.count > Self.mostEntries + Self.mostEntries / 10 else { return }
    // A report was over when it was told.
    let ended = entries.filter { !$0.value.isFiring || $0.key.type == .report }.sorted {
      ($0.value.endedAt ?? $0.value.nextReminder ?? .zero) < ($1.value.endedAt ?? $1.value.nextReminder ?? .zero)
    }
    for (cause, _) in ended.prefix(entries.count - Self.mostEntries) { entries[cause] = nil }
  }
}

// MARK: Units

extension AlertBook {
  /// Units that an alert speaks of as a whole, and not of one of their processes.
  package var unitsWithoutProcess: [String] {
    entries.values.filter { $0.isFiring && $0.alert.type == .leak && $0.alert.worst?.process.pid == 0 }
      .compactMap(\.alert.unit)
  }

  /// No process of the unit is left.
  package mutating func endUnit(_ unit: String, at moment: Moment) -> [AlertEvent] {
    entries.keys.filter { $0.type == .leak && $0.owner == unit }
      .flatMap { remove($0, .exited, at: moment) { $0.process.pid == 0 } }
  }
}

// MARK: Time passes

extension AlertBook {
  /// Reminders that are due, ends of what flapped, what a silence has held back, the sum of what was not told.
  package mutating func tick(at moment: Moment) -> [AlertEvent] {
    var events: [AlertEvent] = []
    for (cause, var entry) in entries {
      if let ended = entry.endedAt {
        guard moment.time - ended > Self.returnSpan else { continue }
        if entry.returns > Self.mostReturns, cause.type != .report { events += end(of: entry, .closed) }
        entries[cause] = nil
        revision += 1
      } else if entry.alert.type == .report {
        // Nothing more was reported for a while.
        if let due = entry.nextReminder, moment.time < due { continue }
        entries[cause] = nil
      } else {
        let before = (entry.alert.isSilenced, entry.nextReminder)
        var event = news(of: &entry, at: moment)
        if policy.reminders == nil {
          entry.nextReminder = nil
        } else if entry.nextReminder == nil {
          // They were switched on while it went on.
          entry.nextReminder = moment.time + entry.pause
        }
        if event == nil, !entry.alert.isSilenced, let due = entry.nextReminder, moment.time >= due {
          entry.pause = min(entry.pause * 2, Self.longestPause)
          entry.nextReminder = moment.time + entry.pause
          event = AlertEvent(.reminder, entry.alert)
        }
        guard let event else {
          if before != (entry.alert.isSilenced, entry.nextReminder) { entries[cause] = entry }
          continue
        }
        let passed = told([event], at: moment)
        if !passed.isEmpty { entry.isNamed = true }
        entries[cause] = entry
        events += passed
      }
    }
    return events + summary(at: moment)
  }

  /// A process cannot be watched for now: what it was told of is neither confirmed nor over.
  package mutating func lost(_ process: AlertProcess, at moment: Moment) {
    for (cause, entry) in entries where cause.type == .leak && entry.isFiring {
      guard
        entry.alert.members.contains(where: {
          $0.process.isSame(as: process)
        })
      else { continue }
      entries[cause]?.unconfirmed[process.pid] = moment.time
      revision += 1
    }
  }

  /// Ends members that no detector has confirmed for long: what they were told of has gone unseen.
  package mutating func endUnconfirmed(at moment: Moment) -> [AlertEvent] {
    entries.keys.filter { entries[$0]?.unconfirmed.isEmpty == false }.flatMap { cause in
      let unconfirmed = entries[cause]?.unconfirmed ?? [:]
      return remove(cause, .unwatched, at: moment) {
        unconfirmed[$0.process.pid].map { moment.time - $0 > Self.confirmSpan } ?? false
      }
    }
  }

  /// Keeps to ``AlertPolicy/burst`` entries a minute. What is over is summed up.
  private mutating func told(_ events: [AlertEvent], at moment: Moment) -> [AlertEvent] {
    events.filter { event in
      let isReport = event.alert.type == .report
      let isTold =
        if event.alert.isSilenced {
          whispers.tells(event, burst: policy.burst, at: moment)
        } else if isReport {
          reports.tells(event, burst: policy.burst, at: moment)
        } else {
          alarms.tells(event, burst: policy.burst, at: moment)
        }
      // Whoever reports without end does not make us save without end.
      if isTold || !isReport { revision += 1 }
      return isTold
    }
  }

  /// The sum of what was not told, before its time: nobody will be there to tell it later.
  package mutating func finish(at moment: Moment) -> [AlertEvent] {
    summary(at: Moment(time: moment.time + .seconds(3600), wall: moment.wall))
  }

  private mutating func summary(at moment: Moment) -> [AlertEvent] {
    [alarms.summary(at: moment), reports.summary(at: moment), whispers.summary(at: moment)].compactMap { $0 }
  }
}

// MARK: Silences

extension AlertBook {
  /// Of one subject the latest holds; one that has ended already takes it back. What it held back is told by
  /// ``tick(at:)``.
  /// - Returns: whether there was one before.
  @discardableResult package mutating func silence(_ silence: Silence, at moment: Moment) -> Bool {
    let hadOne = activeSilences(at: moment).contains { $0.isOfSame(silence) }
    silences.removeAll { $0.isOfSame(silence) }
    defer {
      // Those that have ended go first.
      while silences.count > Self.mostSilences,
        let first = silences.indices.min(by: { silences[$0].until < silences[$1].until })
      {
        silences.remove(at: first)
      }
    }
    if silence.until > moment.wall { silences.append(silence) }
    return hadOne
  }

  package func activeSilences(at moment: Moment) -> [Silence] { silences.filter { $0.until > moment.wall } }

  private func isSilenced(_ alert: Alert, at moment: Moment) -> Bool {
    silences.contains { $0.covers(alert, at: moment.wall) }
  }
}

// MARK: Saving

extension AlertBook {
  /// What is kept over a restart of the daemon.
  package struct Saved: Codable, Sendable {
    /// Of another version nothing is believed.
    package static let version = 3
    package var version = Saved.version
    fileprivate var counter: UInt32
    fileprivate var entries: [SavedEntry]
    fileprivate var alarms: StormBucket
    package var count: Int { entries.count }
    /// Whether its numbers can be.
    package var isSound: Bool { entries.allSatisfy(\.entry.isSound) && alarms.isSound }
  }

  fileprivate struct SavedEntry: Codable, Sendable {
    var cause: Cause
    var entry: Entry
  }

  package var saved: Saved {
    Saved(counter: counter, entries: entries.map { SavedEntry(cause: $0, entry: $1) }, alarms: alarms)
  }

  /// Goes on where another left off.
  /// - Parameters:
  ///   - isThisBoot: whether that was on this boot. Of another one only what went on is believed, so that it can be
  ///     ended: the times of the rest are of another clock.
  ///   - time: since boot.
  package mutating func restore(_ saved: Saved, isThisBoot: Bool = true, at time: Duration) {
    counter = saved.counter
    if isThisBoot { alarms = saved.alarms }
    for kept in saved.entries {
      var entry = kept.entry
      if !isThisBoot, !entry.isFiring || kept.cause.type == .report { continue }
      if kept.cause.type != .report, entry.isFiring {
        // What is said of a unit, a user or the host is confirmed by no look at a process.
        for member in entry.alert.members where member.process.pid > 0 { entry.unconfirmed[member.process.pid] = time }
      }
      entries[kept.cause] = entry
    }
  }

  /// All processes that alerts which go on speak of.
  package var processes: Set<AlertProcess> {
    Set(entries.values.lazy.filter(\.isFiring).flatMap { $0.alert.members.map(\.process) })
  }
}
