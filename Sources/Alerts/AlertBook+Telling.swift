// SPDX-License-Identifier: Apache-2.0
// What is told when: news, reminders, the order of those that wait, and the sum of them.

import Descriptors
import Detection

extension AlertEvent {
  /// Too little time is left to hold it back.
  var isCritical: Bool { [.alert, .escalated, .reminder].contains(word) && priority <= 2 }
}

/// The limits that entries keep to. Any process may report what it likes, and what is silenced is for the journal alone:
/// neither holds back an alert.
struct Lanes: Sendable {
  struct Lane: Sendable {
    var limiter = RateLimiter()
    /// When to sum up what waits.
    var summaryDue: Duration?
    /// By ``Alert/payer``: alerts that were over before they were told, and that no summary has counted.
    var endedUntold: [String: Int] = [:]

    mutating func allows(_ event: AlertEvent, isInTurn: Bool, burst: Int, at time: Duration) -> Bool {
      limiter.allows(
        event.alert.account, isCritical: event.isCritical, isInTurn: isInTurn, burst: burst, at: time)
    }
  }

  private var alarms = Lane()
  private var reports = Lane()
  private var whispers = Lane()
  /// What is worth a line and wakes nobody: see ``AlertBook/mayNote(_:at:)``.
  var notes = RateLimiter()

  enum Name: CaseIterable { case alarms, reports, whispers }

  static func name(of alert: Alert) -> Name {
    alert.isSilenced ? .whispers : alert.type == .report ? .reports : .alarms
  }

  subscript(event: AlertEvent) -> Lane {
    get { self[Self.name(of: event.alert)] }
    set { self[Self.name(of: event.alert)] = newValue }
  }

  subscript(name: Name) -> Lane {
    get {
      switch name {
      case .alarms: alarms
      case .reports: reports
      case .whispers: whispers
      }
    }
    set {
      switch name {
      case .alarms: alarms = newValue
      case .reports: reports = newValue
      case .whispers: whispers = newValue
      }
    }
  }

  /// An alert was over before it was told.
  mutating func endUntold(_ entry: AlertBook.Entry) {
    guard entry.isWaiting, !entry.isSummed else { return }
    let name = Self.name(of: entry.alert)
    // As many accounts as a summary could make use of, and more.
    guard self[name].endedUntold.count < 1000 || self[name].endedUntold[entry.alert.payer] != nil else { return }
    self[name].endedUntold[entry.alert.payer, default: 0] += 1
  }
}

// MARK: News

extension AlertBook {
  /// What there is to tell of an alert that goes on, and how it stands once that is told.
  func news(of entry: Entry, withReminders: Bool = false, at moment: Moment) -> (event: AlertEvent, after: Entry)? {
    var after = entry
    guard let word = word(for: &after, withReminders: withReminders, at: moment) else { return nil }
    (after.isWaiting, after.isSummed) = (false, false)
    if word != .notice {
      if after.isLifted { after.nextReminder = policy.reminders.map { _ in moment.time + after.pause } }
      after.isLifted = false
    }
    if word == .alert { (after.isNamed, after.settlesAt) = (true, nil) }
    if !after.alert.isSilenced { after.alert.toldPriority = min(after.alert.toldPriority, after.alert.priority) }
    return (AlertEvent(word, after.alert), after)
  }

  private func word(for entry: inout Entry, withReminders: Bool, at moment: Moment) -> AlertWord? {
    let alert = entry.alert
    let isReport = alert.type == .report
    let isLoud = !alert.isSilenced && !isReport
    let audience = alert.isSilenced ? Heard.journal : .everybody
    if entry.heard < audience {
      if isLoud, let settles = entry.settlesAt, moment.time < settles, alert.priority > 2 { return nil }
      entry.heard = audience
      entry.toldUrgency = alert.urgency
      entry.hasStack = alert.stack != nil
      entry.nextReminder = (policy.reminders ?? (isReport ? Self.foldSpan : nil)).map { moment.time + $0 }
      return .alert
    }
    if isLoud, alert.urgency > entry.toldUrgency {
      entry.toldUrgency = alert.urgency
      return .escalated
    }
    if alert.stack != nil, !entry.hasStack {
      entry.hasStack = true
      return .notice
    }
    if isLoud, entry.isLifted { return .reminder }
    if withReminders, isLoud, let due = entry.nextReminder, moment.time >= due {
      entry.pause = min(entry.pause * 2, Self.longestPause)
      entry.nextReminder = moment.time + entry.pause
      return .reminder
    }
    return nil
  }

  /// Whether a silence covers it may have changed.
  func heed(silencesOf entry: inout Entry, at moment: Moment) {
    let wasSilenced = entry.alert.isSilenced
    entry.alert.isSilenced = isSilenced(entry.alert, at: moment)
    if entry.alert.isSilenced {
      entry.isLifted = false
    } else if wasSilenced, entry.alert.type != .report {
      entry.isLifted = true
    }
  }
}

extension AlertBook {
  /// Lines a minute about processes that wake nobody. journald takes 10,000 of a service in 30 s by default, and then drops
  /// what comes, alerts as well: no user may use that up.
  private static let mostNotes = 200

  /// Whether a line about a process that is no alert may be written. What may not is not written later.
  package mutating func mayNote(_ process: AlertProcess, at moment: Moment) -> Bool {
    lanes.notes.allows(
      process.account, isCritical: false, isInTurn: true, burst: Self.mostNotes, at: moment.time)
  }
}

// MARK: Time passes

extension AlertBook {
  /// Reminders that are due, what the limits or a silence have held back, the sum of what waits.
  package mutating func tick(at moment: Moment) -> [AlertEvent] {
    var events: [AlertEvent] = []
    var waiting: [Lanes.Name: [String: [Cause]]] = [:]
    var lifted: [Cause] = []
    for name in Lanes.Name.allCases { lanes[name].limiter.beginTurn(burst: policy.burst, at: moment.time) }
    for (cause, before) in entries where mayChange(before, at: moment) {
      var entry = before
      if entry.endedAt != nil {
        if cause.type != .report { events += lastWord(of: entry, at: moment) }
        entries[cause] = nil
        revision += 1
        continue
      }
      if entry.alert.type == .report, entry.heard > .nobody {
        // Nothing more was reported for a while.
        if entry.nextReminder.map({ moment.time >= $0 }) ?? true { entries[cause] = nil }
        continue
      }
      heed(silencesOf: &entry, at: moment)
      if policy.reminders == nil {
        entry.nextReminder = nil
      } else if entry.nextReminder == nil, entry.heard > .nobody {
        // They were switched on while it went on.
        entry.nextReminder = moment.time + entry.pause
      }
      let news = news(of: entry, withReminders: true, at: moment)
      if news == nil { (entry.isWaiting, entry.isSummed) = (false, false) }
      if entry.differs(from: before) { entries[cause] = entry }
      guard let news else { continue }
      if entry.isLifted, news.event.word != .notice, !(news.event.isCritical && entry.heard < .everybody) {
        lifted.append(cause)
      } else {
        waiting[Lanes.name(of: entry.alert), default: [:]][entry.alert.account, default: []].append(cause)
      }
    }
    events += tellLifted(lifted, at: moment)
    for name in Lanes.Name.allCases { events += tellInTurn(waiting[name] ?? [:], name, at: moment) }
    return events + summaries(at: moment)
  }

  /// Whether it is worth a closer look at each tick. What polls bring is told, or made to wait, when they bring it; and of
  /// thousands that wait none is asked for as long as their account has nothing left.
  private func mayChange(_ entry: Entry, at moment: Moment) -> Bool {
    if let ended = entry.endedAt { return moment.time - ended > Self.returnSpan }
    if !silences.isEmpty || entry.alert.isSilenced || entry.isLifted || entry.settlesAt != nil { return true }
    if entry.isWaiting {
      let alert = entry.alert
      return lanes[Lanes.name(of: alert)].limiter.mayServe(alert.account, isCritical: alert.priority <= 2)
    }
    guard let due = entry.nextReminder, policy.reminders != nil else { return true }
    return moment.time >= due
  }

  /// To each account one after the other, whoever was served longest ago first, as far as the limits allow.
  private mutating func tellInTurn(
    _ waiting: [String: [Cause]], _ name: Lanes.Name, at moment: Moment
  ) -> [AlertEvent] {
    var events: [AlertEvent] = []
    let order = waiting.keys.map { (lanes[name].limiter.servedAt($0) ?? .seconds(-1), $0) }.sorted(by: <)
    var queues = order.map { mostUrgentFirst(waiting[$0.1] ?? [])[...] }
    while queues.contains(where: { !$0.isEmpty }) {
      for index in queues.indices {
        guard let cause = queues[index].first, let entry = entries[cause],
          let news = news(of: entry, withReminders: true, at: moment)
        else {
          queues[index] = queues[index].dropFirst()
          continue
        }
        if lanes[name].allows(news.event, isInTurn: true, burst: policy.burst, at: moment.time) {
          events.append(news.event)
          entries[cause] = news.after
          revision += 1
          queues[index] = queues[index].dropFirst()
        } else {
          // What follows is no more urgent.
          for cause in queues[index] where entries[cause]?.isWaiting == false { hold(cause) }
          queues[index] = []
        }
      }
    }
    return events
  }

  /// And of those that are as urgent, what began first.
  private func mostUrgentFirst(_ causes: [Cause]) -> [Cause] {
    let ranked = causes.compactMap { cause in
      entries[cause].map { (rank: ($0.alert.priority, $0.alert.firstSeen, $0.alert.id), cause: cause) }
    }
    return ranked.sorted { $0.rank < $1.rank }.map(\.cause)
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
}

// MARK: Summaries

extension AlertBook {
  /// What waits is summed up so long after the first of it.
  static let summaryPause = Duration.seconds(60)
  /// The sum of what waits, before its time: nobody will be there to tell it later.
  package mutating func finish(at moment: Moment) -> [AlertEvent] { summaries(isLast: true, at: moment) }

  private mutating func summaries(isLast: Bool = false, at moment: Moment) -> [AlertEvent] {
    var held: [Lanes.Name: [Cause]] = [:]
    for (cause, entry) in entries where entry.isWaiting && !entry.isSummed && entry.isFiring {
      held[Lanes.name(of: entry.alert), default: []].append(cause)
    }
    return Lanes.Name.allCases.compactMap { name in
      let causes = held[name] ?? []
      guard !causes.isEmpty || !lanes[name].endedUntold.isEmpty else {
        lanes[name].summaryDue = nil
        return nil
      }
      let due = lanes[name].summaryDue ?? moment.time + Self.summaryPause
      lanes[name].summaryDue = due
      guard isLast || moment.time >= due else { return nil }
      return summary(of: causes, name, at: moment)
    }
  }

  private mutating func summary(of causes: [Cause], _ name: Lanes.Name, at moment: Moment) -> AlertEvent {
    var counts = lanes[name].endedUntold
    (lanes[name].endedUntold, lanes[name].summaryDue) = ([:], nil)
    let alerts = causes.compactMap { entries[$0]?.alert }
    for cause in causes { entries[cause]?.isSummed = true }
    for alert in alerts { counts[alert.payer, default: 0] += 1 }
    // Of nobody: it stands for all of them.
    let type: AlertType =
      name == .reports ? .report : alerts.allSatisfy { $0.type == .limit } && !alerts.isEmpty ? .limit : .leak
    var alert = Alert(id: "storm", type: type, firstSeen: moment.wall, unit: nil, members: [])
    alert.isSilenced = name == .whispers
    alert.routing.hooks = alerts.isEmpty ? nil : Self.hooks(of: alerts)
    var event = AlertEvent(.alert, alert)
    event.summary = AlertSummary(
      .heldBack, counts, priority: alerts.map(\.priority).min() ?? (name == .reports ? 5 : 4))
    return event
  }

  /// Whom any of them is for; `nil` for everybody.
  private static func hooks(of alerts: [Alert]) -> [String]? {
    var names: Set<String> = []
    for alert in alerts {
      guard let some = alert.routing.hooks else { return nil }
      names.formUnion(some)
    }
    return names.sorted()
  }

  /// More than so many whose silence has ended are one entry.
  private static let mostLiftedAlone = 2
  /// Of one entry; the rest is the next one's.
  private static let mostItems = 200

  /// What a silence has held back: who takes back one of nine alerts wants to know of nine, but not to be called nine times.
  private mutating func tellLifted(_ causes: [Cause], at moment: Moment) -> [AlertEvent] {
    // Those for the same hooks are told together, and to no other hook.
    let groups = Dictionary(grouping: causes) { entries[$0]?.alert.routing.hooks }
    return groups.sorted { ($0.key ?? []).lexicographicallyPrecedes($1.key ?? []) }.flatMap { hooks, causes in
      let all = mostUrgentFirst(causes).prefix(Self.mostItems).compactMap { cause in
        entries[cause].flatMap { news(of: $0, withReminders: true, at: moment) }.map { (cause, $0) }
      }
      for (cause, news) in all { entries[cause] = news.after }
      revision += 1
      if all.count <= Self.mostLiftedAlone { return all.map(\.1.event) }
      return [summary(ofLifted: all.map(\.1.event), hooks, at: moment)]
    }
  }

  private func summary(ofLifted events: [AlertEvent], _ hooks: [String]?, at moment: Moment) -> AlertEvent {
    let alerts = events.map(\.alert)
    var alert = Alert(
      id: "silence", type: alerts.contains { $0.type == .leak } ? .leak : .limit, firstSeen: moment.wall, unit: nil,
      members: [])
    alert.routing.hooks = hooks
    // What nobody has heard of is news; for a hook that takes no reminders, too.
    let isNew = events.contains { $0.word != .reminder }
    var counts: [String: Int] = [:]
    for alert in alerts { counts[alert.unit ?? alert.worst?.process.name ?? "?", default: 0] += 1 }
    var event = AlertEvent(isNew ? .alert : .reminder, alert)
    event.summary = AlertSummary(
      .silenceEnded, counts, priority: alerts.map(\.priority).min() ?? 4,
      items: alerts.map { AlertSummary.Item(id: $0.id, headline: $0.headline) })
    return event
  }
}

extension AlertBook.Entry {
  /// In what a tick changes of those that it tells nothing of.
  fileprivate func differs(from other: AlertBook.Entry) -> Bool {
    (alert.isSilenced, isLifted, isWaiting, nextReminder)
      != (other.alert.isSilenced, other.isLifted, other.isWaiting, other.nextReminder)
  }
}
