// SPDX-License-Identifier: Apache-2.0
// Leaks that are more probable than not, and not sure enough for an alert: logged once, and kept for the alert's id.

import Descriptors
import Detection

extension AlertBook {
  /// Suspicions of one account. More are not logged: an alert that follows has an id of its own then.
  private static let mostSuspicions = 100

  /// A leak is suspected. Reported once for each cause; other processes of the unit that show the same join it.
  mutating func suspect(_ member: AlertMember, _ routing: AlertRouting, at moment: Moment) -> [AlertEvent] {
    let cause = cause(of: member.finding, member.process)
    if entries[cause]?.isFiring == true { return [] }
    if let known = suspicions[cause] {
      guard known.hasMember(member) || hasRoomForSuspicion(member, cause) else { return [] }
      suspicions[cause]?.take(member)
      revision += 1
      return []
    }
    let account = member.process.account
    guard suspicions.values.count(where: { $0.account == account }) < Self.mostSuspicions,
      hasRoomForSuspicion(member, cause),
      mayNote(member.process, at: moment)
    else { return [] }
    var alert = Alert(
      id: newID(), type: .leak, firstSeen: moment.wall, unit: member.process.unit, members: [member])
    (alert.account, alert.routing) = (account, routing)
    alert.isSilenced = isSilenced(alert, at: moment)
    suspicions[cause] = alert
    revision += 1
    return [AlertEvent(.suspected, alert)]
  }

  /// The figures of a suspected leak have changed. Not worth saving: the detector saves them.
  mutating func refresh(_ member: AlertMember) {
    guard let cause = suspicions.first(where: { $0.value.hasMember(member) })?.key else { return }
    suspicions[cause]?.take(member)
  }

  /// The suspicion that has become an alert, by its cause or, where the class has another name by now, by its member.
  mutating func takeSuspicion(_ cause: Cause, _ member: AlertMember) -> Alert? {
    let key =
      suspicions[cause] != nil
      ? cause : suspicions.first { $0.key.owner == cause.owner && $0.value.hasMember(member) }?.key
    return key.flatMap { suspicions.removeValue(forKey: $0) }
  }

  mutating func dropSuspicions(where isGone: (AlertMember) -> Bool) {
    for (cause, alert) in suspicions where alert.members.contains(where: isGone) {
      suspicions[cause]?.members.removeAll(where: isGone)
      if suspicions[cause]?.members.isEmpty == true { suspicions[cause] = nil }
      revision += 1
    }
  }

  /// Suspected leaks, the most probable first.
  package var suspected: [Alert] {
    suspicions.values.sorted { ($1.confidence, $0.firstSeen, $0.id) < ($0.confidence, $1.firstSeen, $1.id) }
  }
}
