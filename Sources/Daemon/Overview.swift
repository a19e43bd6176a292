// SPDX-License-Identifier: Apache-2.0
// All that is watched, summed up by unit: what metrics and status are made of.

import Alerts
import Descriptors
import Detection
import Linux
import Procfs
import Watch

/// One unit, or the processes of one name outside of any.
package struct UnitRow: Sendable, Equatable {
  package var unit: String?
  /// Of its processes; of several names the first.
  package var command: String
  package var processes = 0
  package var open = 0
  /// The lowest of its processes' soft limits; `nil` if none has one.
  package var softLimit: UInt64?
  /// The highest part of a soft limit that is in use, 0…1.
  package var fullest = 0.0
  /// Open descriptors in classes that look like a leak, told or not.
  package var suspected = 0
  /// What is leaked per second, of leaks that were told.
  package var leakedPerSecond = 0.0
  package var timeToLimit: Duration?
  package var verdict = Verdict.undecided

  package var name: String { unit ?? command }
}

/// A class that looks like a leak.
package struct SuspectRow: Sendable, Hashable {
  package var unit: String?
  package var kind: Kind
  package var target: String?
  package var open: Int
}

package struct Overview: Sendable {
  package private(set) var units: [UnitRow] = []
  package private(set) var suspects: [SuspectRow] = []
  private var indices: [String: Int] = [:]
  /// By the row without its count.
  private var suspectIndices: [SuspectRow: Int] = [:]

  package init() {}

  private static let severity: [Verdict] = [
    .undecided, .steady, .load, .step, .heldByClient, .capacity, .collector, .ownerAlive, .leak,
  ]

  package mutating func add(_ watched: Watched) {
    let key = watched.subject.unit ?? "\u{0}" + watched.subject.command
    let index = indices[key] ?? units.count
    if index == units.count {
      indices[key] = index
      units.append(UnitRow(unit: watched.subject.unit, command: watched.subject.command))
    }
    let count = watched.count
    units[index].processes += 1
    units[index].open += count
    let soft = watched.limits.soft
    if soft < 1 << 40 {
      units[index].softLimit = min(units[index].softLimit ?? soft, soft)
      if soft > 0 { units[index].fullest = max(units[index].fullest, Double(count) / Double(soft)) }
    }
    guard let process = watched.close else {
      if units[index].verdict == .undecided { units[index].verdict = .steady }
      return
    }
    let verdict = process.detector.overall
    if (Self.severity.firstIndex(of: verdict) ?? 0) > (Self.severity.firstIndex(of: units[index].verdict) ?? 0) {
      units[index].verdict = verdict
    }
    for finding in process.detector.findings {
      units[index].leakedPerSecond += finding.ratePerHour / 3600
      if let left = finding.timeToLimit { units[index].timeToLimit = min(units[index].timeToLimit ?? left, left) }
    }
    guard process.detector.needsCloserLook else { return }
    for report in process.detector.classReports where report.suspicion >= 0.5 {
      units[index].suspected += report.open
      add(SuspectRow(unit: watched.subject.unit, kind: report.kind, target: report.target, open: report.open))
    }
  }

  /// A leak of a unit's workers, of which no single one leaks enough.
  package mutating func add(_ alert: Alert) {
    guard alert.type == .leak, alert.worst?.process.pid == 0, let unit = alert.unit, let index = indices[unit] else {
      return
    }
    units[index].verdict = .leak
    units[index].leakedPerSecond += alert.ratePerHour / 3600
  }

  private mutating func add(_ suspect: SuspectRow) {
    var key = suspect
    key.open = 0
    let index = suspectIndices[key] ?? suspects.count
    if index < suspects.count {
      suspects[index].open += suspect.open
    } else {
      suspectIndices[key] = index
      suspects.append(suspect)
    }
  }

  /// Sorted, with what matters first.
  package mutating func finish() {
    units.sort {
      (-$0.leakedPerSecond, -Double($0.suspected), -$0.fullest, $0.name)
        < (-$1.leakedPerSecond, -Double($1.suspected), -$1.fullest, $1.name)
    }
    suspects.sort { $0.open > $1.open }
  }
}
