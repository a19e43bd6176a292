// SPDX-License-Identifier: Apache-2.0
// An event as one JSON object: what a hook gets on standard input, and what the daemon's status lists. See fdwatch-hooks(7).

import Descriptors
import Detection
import Trace

extension AlertEvent {
  /// The number of the schema: keys are added without a new one, but never change their meaning.
  package static let schema = 1

  /// - Parameters:
  ///   - host: where it happened.
  ///   - time: RFC 3339 of a moment in seconds since 1970.
  package func json(host: String, now: Double, time: (Double) -> String) -> String {
    var object = JSONObject()
    object.add("schema", Self.schema)
    object.add("event", word.rawValue)
    object.add("time", time(now))
    object.add("host", host)
    object.add("priority", priority)
    object.add("message", message)
    if let summary {
      if summary.reason == .heldBack { object.add("suppressed", summary.count) }
      object.add("units", summary.shares.map(\.name))
      object.add("counts", json: "[" + summary.shares.map { String($0.count) }.joined(separator: ",") + "]")
      if summary.reason == .silenceEnded { object.add("alerts", json: Self.list(summary.items)) }
      return object.line
    }
    alert.add(to: &object, time: time)
    if let resolution { object.add("resolution", resolution.rawValue) }
    return object.line
  }

  private static func list(_ items: [AlertSummary.Item]) -> String {
    let rows = items.map { item in
      var row = JSONObject()
      row.add("id", item.id)
      row.add("message", item.headline)
      return row.line
    }
    return "[" + rows.joined(separator: ",") + "]"
  }
}

extension Alert {
  /// As the daemon's status lists it.
  package func json(time: (Double) -> String) -> String {
    var object = JSONObject()
    object.add("priority", priority)
    object.add("message", headline)
    add(to: &object, time: time)
    return object.line
  }

  fileprivate func add(to object: inout JSONObject, time: (Double) -> String) {
    object.add("id", id)
    object.add("type", type.rawValue)
    object.add("first_seen", time(firstSeen))
    object.add("unit", unit)
    object.add("silenced", json: isSilenced ? "true" : "false")
    var all = JSONObject()
    for (name, value) in routing.labels.sorted(by: { $0.key < $1.key }) { all.add(name, value) }
    object.add("labels", json: all.line)
    guard let worst else { return }
    let pids = members.map(\.process.pid).filter { $0 > 0 }
    object.add("process_count", members.count)
    object.add("pids", json: "[" + pids.prefix(1000).map(String.init).joined(separator: ",") + "]")
    if worst.process.pid > 0 {
      object.add("pid", worst.process.pid)
      object.add("comm", worst.process.command)
      object.add("exe", worst.process.executable)
      object.add("user", worst.process.user)
    }
    if type == .report { return object.add("evidence", worst.finding.evidence) }
    object.add("count", worst.count)
    object.add("soft_limit", worst.limits.soft)
    object.add("seconds_to_limit", timeToLimit.map { $0 / .seconds(1) })
    if type == .limit, let held {
      object.add("kind", kind?.rawValue)
      object.add("target", target)
      object.add("held", held)
      object.add("evidence", worst.finding.evidence)
      if let blame = worst.finding.blame { object.add(blame) }
    }
    guard type == .leak else { return }
    object.add("kind", kind?.rawValue)
    object.add("target", target)
    object.add("leaked", leaked)
    object.add("rate_per_hour", ratePerHour)
    object.add("probability", confidence)
    // Its name until 1.1, for one release.
    object.add("confidence", confidence)
    if let other = worst.finding.runnerUp {
      var row = JSONObject()
      row.add("explanation", other.explanation.rawValue)
      row.add("probability", other.probability)
      object.add("runner_up", json: row.line)
    }
    object.add("settles", worst.finding.settles)
    object.add("evidence", worst.finding.evidence)
    if let blame { object.add(blame) }
  }
}
