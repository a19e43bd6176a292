// SPDX-License-Identifier: Apache-2.0
// An event that was read back from the journal, as JSON. Its keys are those that hooks get: fdwatch-hooks(7).

import Linux
import Systemd
import Trace

extension LoggedEvent {
  private func number(_ name: String) -> Double? { self[name].flatMap { Double($0) } }
  private func integer(_ name: String) -> Int? { self[name].flatMap { Int($0) } }
  private func lines(_ name: String) -> [String]? {
    self[name].map { $0.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
  }

  /// One object on one line, with what the journal knows of it.
  package var json: String {
    var object = JSONObject()
    object.add("schema", 1)
    object.add("event", event)
    if let id = self["FDWATCH_ALERT_ID"] { object.add("id", id) }
    if let type = self["FDWATCH_TYPE"] { object.add("type", type) }
    object.add("priority", priority)
    object.add("time", WallClock.rfc3339(time))
    if let first = number("FDWATCH_FIRST_SEEN") { object.add("first_seen", WallClock.rfc3339(first)) }
    object.add("host", host)
    // Whoever is not root may have made it up.
    if !isTrusted { object.add("trusted", json: "false") }
    if !isTrusted, let user { object.add("sender_uid", user) }
    addProcess(to: &object)
    addFinding(to: &object)
    addStacks(to: &object)
    if let resolution = self["FDWATCH_RESOLUTION"] { object.add("resolution", resolution) }
    if let suppressed = integer("FDWATCH_SUPPRESSED") { object.add("suppressed", suppressed) }
    if let units = lines("FDWATCH_UNITS") { object.add("units", units) }
    if let ids = lines("FDWATCH_ALERT_IDS") { object.add("alert_ids", ids) }
    object.add("silenced", json: self["FDWATCH_SILENCED"] == "1" ? "true" : "false")
    object.add("labels", json: labels)
    object.add("message", message)
    return object.line
  }

  private func addProcess(to object: inout JSONObject) {
    object.add("unit", unit)
    if let pid = integer("FDWATCH_PID") { object.add("pid", pid) }
    if let pids = self["FDWATCH_PIDS"]?.split(separator: " ").compactMap({ Int($0) }) {
      object.add("pids", json: "[" + pids.map(String.init).joined(separator: ",") + "]")
    }
    if let count = integer("FDWATCH_PROCESS_COUNT") { object.add("process_count", count) }
    for (key, name) in [("comm", "FDWATCH_COMM"), ("exe", "FDWATCH_EXE"), ("user", "FDWATCH_USER")] {
      if let value = self[name] { object.add(key, value) }
    }
  }

  private func addFinding(to object: inout JSONObject) {
    if let kind = self["FDWATCH_KIND"] {
      object.add("kind", kind)
      object.add("target", self["FDWATCH_TARGET"])
    }
    if let leaked = integer("FDWATCH_LEAKED") { object.add("leaked", leaked) }
    if let held = integer("FDWATCH_HELD") { object.add("held", held) }
    if let rate = number("FDWATCH_RATE_PER_HOUR") { object.add("rate_per_hour", rate) }
    if let left = number("FDWATCH_SECONDS_TO_LIMIT") { object.add("seconds_to_limit", left) }
    if let confidence = number("FDWATCH_CONFIDENCE") { object.add("confidence", confidence) }
    if let count = integer("FDWATCH_COUNT") { object.add("count", count) }
    if let limit = integer("FDWATCH_SOFT_LIMIT") { object.add("soft_limit", limit) }
    if let evidence = lines("FDWATCH_EVIDENCE") { object.add("evidence", evidence) }
  }

  private func addStacks(to object: inout JSONObject) {
    var rows: [String] = []
    for index in 1...9 {
      let suffix = index == 1 ? "" : "_\(index)"
      guard let frames = lines("FDWATCH_STACK\(suffix)") else { break }
      let share = number("FDWATCH_STACK_SHARE\(suffix)")
      if index == 1 {
        object.add("stack", frames)
        object.add("stack_share", share)
      }
      var row = JSONObject()
      row.add("share", share)
      if let blamed = self["FDWATCH_STACK_BLAMED\(suffix)"] { row.add("blamed", blamed) }
      row.add("frames", frames)
      rows.append(row.line)
    }
    if !rows.isEmpty { object.add("stacks", json: "[" + rows.joined(separator: ",") + "]") }
  }

  /// `FDWATCH_LABEL=name=value`, once for each.
  private var labels: String {
    var all = JSONObject()
    var seen: Set<Substring> = []
    for label in (fields["FDWATCH_LABEL"] ?? []).sorted() {
      let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2, seen.insert(parts[0]).inserted { all.add(String(parts[0]), String(parts[1])) }
    }
    return all.line
  }
}
