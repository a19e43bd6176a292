// SPDX-License-Identifier: Apache-2.0
// A process near its limit: when that is told, and what fills its table.

import Alerts
import Attribution
import Config
import Descriptors
import Detection
import Linux
import Procfs
import Watch

extension Daemon {
  func observeLimit(of index: Int, at time: Duration) {
    let watched = roster.watched[index]
    let owner = watched.subject.owner
    guard let warning = loaded.configuration.alerts.limitWarning else {
      // It was switched off while it went on.
      guard watched.limit.isNear else { return }
      watched.close?.isNearLimit = false
      roster.withWatched(index) { $0.limit = LimitWatch() }
      return tell(
        book.limitIsFar(
          "descriptors", of: watched.subject, owner: owner, text: "it is not looked after any more", at: moment))
    }
    let (count, limits) = (watched.count, watched.limits)
    let full = "\(count) of \(limits.softInWords) descriptors are open"
    var change: LimitWatch.Change?
    roster.withWatched(index) {
      change = $0.limit.observe(count: count, limits: limits, at: time, warning: warning)
    }
    // Whose stack has just become known is told at once.
    if change == nil, watched.isStackMissing, watched.close?.holders.blame != nil { change = watched.limit.last }
    switch change {
    case nil: break
    case .far:
      watched.close?.isNearLimit = false
      tell(book.limitIsFar("descriptors", of: watched.subject, owner: owner, text: full, at: moment))
    case .near(let left, let perHour):
      // A leak that will reach it soon tells of it itself; once it is over, this may be told.
      // One that was told already goes on, and is told the end of.
      if watched.close?.findings.contains(where: { $0.timeToLimit.map { $0 < warning } ?? false }) == true,
        !book.isNear("descriptors", of: watched.subject, owner: owner)
      {
        if left == .zero, !watched.isKeptAtLimit {
          roster.withWatched(index) { $0.isKeptAtLimit = true }
          keepEvidenceAtLimit(of: watched.subject)
        }
        return roster.withWatched(index) { $0.limit.wasNotTold() }
      }
      let holders = holders(of: index, at: time)
      let most = holders?.most
      var finding = Finding(
        id: 0, kind: most?.kind ?? .anon, target: most?.target, leaked: most?.open ?? 0, since: time,
        ratePerHour: perHour, rateInterval: perHour...perHour, timeToLimit: left, timeToLimitInterval: nil,
        confidence: 1, evidence: holders?.sentences ?? [])
      finding.blame = holders?.blame
      roster.withWatched(index) { $0.isStackMissing = $0.close?.hasProfiles == true && finding.blame == nil }
      let state =
        switch left {
        case nil: full
        case .zero?: "\(full): a call that needs one more will soon fail with EMFILE"
        case let left?:
          "\(full), and it goes on growing by \(perHour.hourlyInWords): the limit is reached in \(left.inWords)"
        }
      let text = ([state] + (holders?.sentences ?? [])).joined(separator: "; ")
      tell(
        book.limit(
          "descriptors", of: watched.subject, owner: owner, text: text, finding: finding, count: count,
          limits: limits, routing: watched.treatment.routing, at: moment))
    }
  }

  /// What fills its table. One that was only counted is looked at now: that can be done from outside, full as it is.
  private func holders(of index: Int, at time: Duration) -> Holders? {
    if roster.watched[index].close == nil {
      roster.lookClosely(index, in: procfs, at: time)
      if let process = roster.watched[index].close { try? look(at: process, index, at: time) }
    }
    guard let process = roster.watched[index].close else { return nil }
    process.isNearLimit = true
    return process.holders
  }
}
