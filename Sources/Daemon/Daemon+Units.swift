// SPDX-License-Identifier: Apache-2.0
// Units as a whole: workers that come and go, and services that are stopped or started anew.

import Alerts
import Descriptors
import Detection
import Linux
import Procfs
import Systemd
import Watch

extension Daemon {
  /// So many workers of one name in a unit are looked at closely for what they leave behind: they are alike.
  private static let mostLookedAt = 4

  /// A process was found.
  func workerAppeared(_ index: Int, at time: Duration) {
    let watched = roster.watched[index]
    guard watched.subject.unit != nil else { return }
    unitLedger.appeared(watched.subject, start: .milliseconds(10) * Int(clamping: watched.subject.startTime))
    guard watched.close == nil, unitLedger.wantsCloserLook(at: watched.subject) else { return }
    let lookedAt = roster.watched.count { $0.close != nil && $0.isColleague(of: watched.subject) }
    if lookedAt < Self.mostLookedAt { roster.lookClosely(index, in: procfs, at: time) }
  }

  /// What it leaves behind adds to what other workers of its unit have left, unless it is the unit that ends.
  func workerExited(_ gone: Watched, of unit: String, at now: Moment) {
    if let run = gone.run {
      let current = Unit.run(of: unit)
      if current != run { return unitRestarted(unit, now: current, at: now) }
    } else if !roster.watched.contains(where: {
      $0.subject.unit == unit && $0.subject.startTime < gone.subject.startTime
    }) {
      // Where no manager tells: workers have somebody who starts them, and who is there before them.
      return unitRestarted(unit, now: nil, at: now)
    }
    let seconds = (now.time - gone.since).seconds
    unitLedger.exited(
      ExitedWorker(
        gone.subject, limits: gone.limits, routing: gone.treatment.routing, run: gone.run,
        leftovers: gone.close?.detector.leftovers, growth: gone.sentry.firstGrowth, seconds: seconds,
        lastSeen: max(gone.since, now.time - gone.treatment.interval)),
      at: now.time)
  }

  /// What its processes had leaked went with them.
  private func unitRestarted(_ unit: String, now run: UInt64?, at now: Moment) {
    let isKnown = run != nil && unitLedger.runs[unit] == run
    unitLedger.forget(unit, unless: run)
    if !isKnown { tell(book.endUnit(unit, at: now)) }
  }

  /// Looks after units that something is known of: whether they run, and what their workers have left.
  func judgeUnits(at now: Moment) {
    for (unit, run) in unitLedger.runs {
      let current = Unit.run(of: unit)
      if current != run { unitRestarted(unit, now: current, at: now) }
    }
    let told = book.unitsWithoutProcess
    if !told.isEmpty {
      let alive = Set(roster.watched.lazy.compactMap(\.subject.unit))
      for unit in told where !alive.contains(unit) { book.rest(unit) }
    }
    let outcomes = unitLedger.settle(at: now.time) { subject in
      roster.watched.count { $0.isColleague(of: subject) }
    }
    for outcome in outcomes {
      let event: DetectionEvent =
        switch outcome.change {
        case .leak(let finding): .alert(finding)
        case .resolved(let finding): .resolved(finding, .closed)
        }
      tell(
        book.take(
          event, of: outcome.subject, count: 0, limits: outcome.limits, routing: outcome.routing, at: now))
    }
  }
}

extension Watched {
  fileprivate func isColleague(of process: AlertProcess) -> Bool {
    subject.unit == process.unit && subject.command == process.command
  }
}
