// SPDX-License-Identifier: Apache-2.0
// What the daemon says of itself and of what it watches, as one JSON object: `fdwatch status --format json`.

import Alerts
import Descriptors
import Detection
import Linux
import Trace
import Watch

package struct StatusReport: Sendable {
  package var version: String
  package var since: Double
  package var watched: Int
  package var overview: Overview
  package var own: OwnFigures
  package var alerts: [Alert]
  package var suspected: [Alert]
  package var silences: [Silence]
  package var configurationFiles: [String]
  package var problem: String?

  package var json: String {
    var object = JSONObject()
    object.add("version", version)
    object.add("host", Host.name)
    object.add("pid", Host.ownPID)
    object.add("since", WallClock.rfc3339(since))
    object.add("watched", watched)
    var unseen = JSONObject()
    for why in Unseen.allCases { unseen.add(why.rawValue, own.unseen[why] ?? 0) }
    object.add("unseen", json: unseen.line)
    object.add("configuration", configurationFiles)
    object.add("configuration_problem", problem)
    object.add("problems", own.problems)
    object.add("alerts", json: list(alerts.map { $0.json(time: WallClock.rfc3339) }))
    object.add("suspected", json: list(suspected.map(row)))
    object.add("units", json: list(overview.units.map(row)))
    object.add("silences", json: list(silences.map(row)))
    object.add("journal_pending", own.journalPending)
    if let usage = OwnUsage.now {
      var cost = JSONObject()
      cost.add("cpu_seconds", usage.cpuSeconds)
      cost.add("resident_bytes", usage.residentBytes)
      cost.add("open_descriptors", usage.openDescriptors)
      object.add("own", json: cost.line)
    }
    return object.line
  }

  private func list(_ lines: [String]) -> String { "[" + lines.joined(separator: ",") + "]" }

  private func row(_ unit: UnitRow) -> String {
    var row = JSONObject()
    row.add("unit", unit.unit)
    row.add("comm", unit.command)
    row.add("processes", unit.processes)
    row.add("open", unit.open)
    row.add("soft_limit", json: unit.softLimit.map { String($0) } ?? "null")
    row.add("fullest", unit.fullest)
    row.add("suspected", unit.suspected)
    row.add("leaked_per_hour", unit.leakedPerSecond * 3600)
    row.add("seconds_to_limit", unit.timeToLimit.map { $0 / .seconds(1) })
    row.add("verdict", unit.verdict.rawValue)
    return row.line
  }

  private func row(_ suspicion: Alert) -> String {
    AlertEvent(.suspected, suspicion).json(host: Host.name, now: suspicion.firstSeen, time: WallClock.rfc3339)
  }

  private func row(_ silence: Silence) -> String {
    var row = JSONObject()
    row.add("subject", silence.subject)
    row.add("until", WallClock.rfc3339(silence.until))
    row.add("reason", silence.reason)
    row.add("by", silence.by)
    return row.line
  }
}
