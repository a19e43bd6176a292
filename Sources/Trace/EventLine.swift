// SPDX-License-Identifier: Apache-2.0
// What a detector says, as JSON, one object a line: docs/trace-format.md.

import Descriptors
import Detection

/// An event as a line, live or replayed.
package enum EventLine {
  /// - Parameter process: who it is about, where more than one is watched.
  package static func json(
    _ event: DetectionEvent, at time: Duration, process: (pid: Int32, command: String)? = nil
  ) -> String {
    var object = JSONObject()
    object.add("t", time / .seconds(1))
    switch event {
    case .suspected(let finding): add("suspected", finding, to: &object)
    case .alert(let finding): add("alert", finding, to: &object)
    case .raised(let finding, let isAlert): add(isAlert ? "alert" : "suspected", finding, to: &object)
    case .escalated(let finding): add("escalated", finding, to: &object)
    case .attributed(let finding): add("notice", finding, type: "attribution", to: &object)
    case .resolved(let finding, let how):
      add("resolved", finding, to: &object)
      object.add("how", how.rawValue)
    case .notice(let notice):
      object.add("event", "notice")
      object.add("type", notice.verdict.rawValue)
      object.add("kind", notice.kind.rawValue)
      object.add("target", notice.target)
      object.add("text", notice.text)
    }
    add(process, to: &object)
    return object.line
  }

  /// What was considered of a class, for whoever asks why.
  package static func considered(_ text: String, at time: Duration) -> String {
    var object = JSONObject()
    object.add("t", time / .seconds(1))
    object.add("event", "considered")
    object.add("text", text)
    return object.line
  }

  /// The line that ends a watch or a replay.
  package static func end(
    _ verdict: Verdict, at time: Duration, classes: [ClassReport], reason: String? = nil,
    process: (pid: Int32, command: String)? = nil
  ) -> String {
    var object = JSONObject()
    object.add("t", time / .seconds(1))
    object.add("event", "end")
    object.add("verdict", verdict == .undecided ? "none" : verdict.rawValue)
    let rows = classes.map { report in
      var row = JSONObject()
      row.add("kind", report.kind.rawValue)
      row.add("target", report.target)
      row.add("verdict", report.verdict.rawValue)
      row.add("probability", report.probability)
      return row.line
    }
    object.add("classes", json: "[" + rows.joined(separator: ",") + "]")
    if let reason { object.add("reason", reason) }
    add(process, to: &object)
    return object.line
  }

  private static func add(_ process: (pid: Int32, command: String)?, to object: inout JSONObject) {
    guard let process else { return }
    object.add("pid", process.pid)
    object.add("comm", process.command)
  }

  /// Something about the watch itself, such as a profile that cannot be read.
  package static func note(
    _ text: String, at time: Duration, process: (pid: Int32, command: String)? = nil
  ) -> String {
    var object = JSONObject()
    object.add("t", time / .seconds(1))
    object.add("event", "notice")
    object.add("type", "profile")
    object.add("text", text)
    add(process, to: &object)
    return object.line
  }

  private static func add(_ event: String, _ finding: Finding, type: String = "leak", to object: inout JSONObject) {
    object.add("event", event)
    object.add("type", type)
    object.add("id", finding.id)
    object.add("kind", finding.kind.rawValue)
    object.add("target", finding.target)
    object.add("rate_per_hour", finding.ratePerHour)
    object.add("rate_interval", json: interval(finding.rateInterval.lowerBound, finding.rateInterval.upperBound))
    object.add("leaked", finding.leaked)
    object.add("since", finding.since / .seconds(1))
    object.add("seconds_to_limit", finding.timeToLimit.map { $0 / .seconds(1) })
    if let range = finding.timeToLimitInterval {
      object.add(
        "seconds_to_limit_interval", json: interval(range.lowerBound / .seconds(1), range.upperBound / .seconds(1)))
    }
    object.add("probability", finding.confidence)
    object.add("explanation", (finding.explanation ?? .leak).rawValue)
    // Its name until 1.1, for one release.
    object.add("confidence", finding.confidence)
    if let other = finding.runnerUp {
      var row = JSONObject()
      row.add("explanation", other.explanation.rawValue)
      row.add("probability", other.probability)
      object.add("runner_up", json: row.line)
    }
    object.add("settles", finding.settles)
    object.add("evidence", finding.evidence)
    if let blame = finding.blame { object.add(blame) }
  }

  private static func interval(_ low: Double, _ high: Double) -> String {
    "[\(JSONObject.number(low)),\(JSONObject.number(high))]"
  }
}

extension JSONObject {
  /// Who opened what leaks.
  package mutating func add(_ blame: Blame) {
    add("profile", blame.profile)
    if let first = blame.stacks.first {
      add("stack", first.frames)
      add("stack_share", first.share)
      let stacks = blame.stacks.map { stack in
        var row = JSONObject()
        row.add("share", stack.share)
        row.add("blamed", stack.culprit)
        row.add("frames", stack.frames)
        return row.line
      }
      add("stacks", json: "[" + stacks.joined(separator: ",") + "]")
      add("stack_exact", json: blame.isExact ? "true" : "false")
      if blame.isWitness { add("stack_witness", json: "true") }
    }
    if let remark = blame.remark { add("stack_remark", remark) }
  }
}
