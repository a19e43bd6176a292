// SPDX-License-Identifier: Apache-2.0
// How alerts begin, change and end.

import Descriptors
import Detection

// MARK: Firing and ending

extension AlertBook {
  mutating func fire(
    _ cause: Cause, _ type: AlertType, _ member: AlertMember, _ account: String, text: String?,
    _ routing: AlertRouting, at moment: Moment
  ) -> [AlertEvent] {
    let key = type == .leak ? relabelled(cause, member) : cause
    var events: [AlertEvent] = []
    // Taken out, so that its members are changed in their place.
    let suspicion = type == .leak ? takeSuspicion(key, member) : nil
    var entry = entries.removeValue(forKey: key) ?? newEntry(type, member.process.unit, suspicion, at: moment)
    if let ended = entry.endedAt {
      let isSame = entry.alert.members.contains { $0.process.isSame(as: member.process) }
      if moment.time - ended > Self.returnSpan || (type != .report && !isSame) {
        events += lastWord(of: entry, at: moment)
        entry = newEntry(type, member.process.unit, suspicion, at: moment)
      } else {
        entry.comeBack(at: moment.time)
      }
    }
    entry.alert.text = text ?? entry.alert.text
    entry.alert.routing = routing
    // As long as nobody has heard of it, the account of any of its processes will do to tell it.
    if entry.heard == .nobody { entry.alert.account = account }
    entry.unconfirmed[member.process.pid] = nil
    entry.alert.take(member)
    heed(silencesOf: &entry, at: moment)
    // What a silence has held back is told by `tick`, all of it at once.
    if let news = news(of: entry, at: moment), !entry.isLifted || news.event.isCritical {
      if lanes[news.event].allows(news.event, isInTurn: false, burst: policy.burst, at: moment.time) {
        events.append(withOthers(news.event, member, key))
        entry = news.after
        revision += 1
      } else {
        hold(&entry)
      }
    }
    entries[key] = entry
    makeRoom(for: member, text)
    return events
  }

  /// Another leak that may have the same cause is worth mentioning once.
  private func withOthers(_ event: AlertEvent, _ member: AlertMember, _ key: Cause) -> AlertEvent {
    guard key.type == .leak, event.word == .alert, let other = inStep(with: member, of: key) else { return event }
    var event = event
    event.alert.addEvidence(
      "It grows in step with alert \(other.id), \(other.what): they may have one cause.", of: member.process.pid)
    return event
  }

  /// The limits do not allow to tell it now.
  mutating func hold(_ entry: inout Entry) {
    // Whoever reports without end does not make us save without end.
    if !entry.isWaiting, entry.alert.type != .report { revision += 1 }
    entry.isWaiting = true
  }

  mutating func hold(_ cause: Cause) {
    guard var entry = entries.removeValue(forKey: cause) else { return }
    hold(&entry)
    entries[cause] = entry
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

  /// - Parameter suspicion: whose id and beginning it goes on with.
  private mutating func newEntry(
    _ type: AlertType, _ unit: String?, _ suspicion: Alert?, at moment: Moment
  ) -> Entry {
    Entry(
      alert: Alert(
        id: suspicion?.id ?? newID(), type: type, firstSeen: suspicion?.firstSeen ?? moment.wall, unit: unit,
        members: []),
      pause: policy.reminders ?? Self.longestPause)
  }

  mutating func newID() -> String {
    counter &+= 1
    // A name that is easy to type, and not the next of the one before: mixed by Murmur's finalizer, which is a bijection.
    var mixed = counter
    mixed = (mixed ^ (mixed >> 16)) &* 0x85eb_ca6b
    mixed = (mixed ^ (mixed >> 13)) &* 0xc2b2_ae35
    mixed ^= mixed >> 16
    let digits = String(mixed, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  mutating func withdraw(
    _ process: AlertProcess, _ finding: Finding, _ how: Resolution, at moment: Moment
  ) -> [AlertEvent] {
    let member = AlertMember(process: process, finding: finding, count: 0, limits: Limits(soft: 0, hard: 0))
    let key = relabelled(cause(of: finding, process), member)
    return remove(key, how, at: moment) { $0.process.pid == process.pid }
  }

  mutating func remove(
    _ cause: Cause, _ how: Resolution, text: String? = nil, at moment: Moment, where isGone: (AlertMember) -> Bool
  ) -> [AlertEvent] {
    guard var entry = entries[cause], entry.isFiring, entry.alert.members.contains(where: isGone) else { return [] }
    // It is over, and yet to be told.
    if cause.type == .report, entry.heard == .nobody { return [] }
    revision += 1
    var left = entry.alert.members
    left.removeAll(where: isGone)
    for member in entry.alert.members where isGone(member) { entry.unconfirmed[member.process.pid] = nil }
    if !left.isEmpty {
      entry.alert.members = left
      entries[cause] = entry
      return []
    }
    defer { entries[cause] = entry }
    // When the next reminder is due stays: what comes back is reminded of as though it had never been away.
    entry.endedAt = moment.time
    entry.alert.text = text ?? entry.alert.text
    guard cause.type != .report else { return [] }
    if entry.isNamed {
      // Told without regard to the limits, for beginnings keep to them: whoever has opened a ticket closes it.
      entry.isNamed = false
      entry.alert.isSilenced = entry.heard < .everybody
      return [AlertEvent(.resolved, entry.alert, resolution: how)]
    }
    if entry.settlesAt != nil { entry.untoldReturns += 1 } else { lanes.endUntold(entry) }
    (entry.isWaiting, entry.settlesAt) = (false, nil)
    return []
  }

  /// Of what has come and gone untold, that it did.
  func lastWord(of entry: Entry, at moment: Moment) -> [AlertEvent] {
    guard entry.untoldReturns > 0 else { return [] }
    var alert = entry.alert
    alert.returns = entry.returns
    alert.isSilenced = isSilenced(alert, at: moment)
    return [AlertEvent(.resolved, alert, resolution: .closed)]
  }
}

extension AlertBook.Entry {
  /// The same process has it again.
  fileprivate mutating func comeBack(at time: Duration) {
    returns += 1
    endedAt = nil
    alert.members = []
    guard alert.type != .report else { return }
    (heard, isWaiting, isSummed) = (.nobody, false, false)
    settlesAt = returns > AlertBook.mostReturns ? time + AlertBook.settleSpan : nil
    if settlesAt != nil { alert.returns = returns }
  }
}
