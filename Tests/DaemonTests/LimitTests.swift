// SPDX-License-Identifier: Apache-2.0
// A limit that is near, and who hears of it: silences, rules, hooks, metrics.

import Foundation
import TestSupport
import Testing

@Suite struct `A limit that is near` {
  private let hook = """
    [[hook]]
    name = "file"
    shell = "echo got $*"
    events = ["alert", "reminder", "resolved"]
    """

  /// A child with 990 of 1000 open.
  private func fullChild(named name: String) throws -> FDFactory {
    let child = try child(named: name)
    try child.limit(soft: 1000)
    try child.open("eventfd", 987)
    return child
  }

  @Test func `is told though nothing leaks, and over when it is far again`() throws {
    let child = try fullChild(named: "dt-limit")
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-limit", hook))
    // It is full when it is seen for the first time, and leaks nothing: what it holds can be seen from outside.
    try daemon.waitFor("dt-limit[\(child.pid)]: 990 of 1000 descriptors are open", "; 987 of 990 are eventfd")
    let alert = try #require(try daemon.alerts.first)
    #expect(alert["kind"] as? String == "eventfd" && alert["held"] as? Int == 987)
    #expect(alert["evidence"] as? [String] == ["987 of 990 are eventfd"])
    #expect(alert["type"] as? String == "limit" && alert["priority"] as? Int == 2)
    let id = try #require(alert["id"] as? String)
    try daemon.waitFor("hook file: got alert \(id)")
    #expect(try daemon.metric("fdwatch_alerts{type=\"limit\"}") == 1)
    #expect(try daemon.ask("check", ["\(child.pid)"]).status == .exited(2))
    try child.close(Array(child.open.prefix(500)))
    try daemon.waitFor("Over: dt-limit[\(child.pid)]")
    try daemon.waitFor("hook file: got resolved \(id)")
  }

  @Test func `names what fills the table of one that was only counted until then`() throws {
    let child = try fullChild(named: "dt-limit-3")
    let daemon = try RunningDaemon(
      "interval = \"250ms\"\n[alerts]\njournal = false\n[[watch]]\ncomm = \"dt-limit-3\"\n")
    try daemon.waitFor("dt-limit-3[\(child.pid)]: 990 of 1000 descriptors are open", "; 987 of 990 are eventfd")
  }

  @Test func `is not told again by a daemon that was restarted, and is over when the process has gone`() throws {
    let child = try fullChild(named: "dt-limit-2")
    let place = try RunningDaemon.Place()
    try place.configure(RunningDaemon.watching("dt-limit-2"))
    var daemon = try RunningDaemon(place)
    try daemon.waitFor("990 of 1000")
    let id = try #require(try daemon.alerts.first?["id"] as? String)
    try daemon.eventually { try place.keptAlerts.contains(id) }
    try daemon.kill()
    daemon = try RunningDaemon(place)
    try daemon.waitUntilItListens()
    try daemon.eventually { try daemon.metric("fdwatch_polls_total") ?? 0 >= 3 }
    #expect(try daemon.alerts.first?["id"] as? String == id && !daemon.said.contains("990 of 1000"))
    try child.close(Array(child.open.prefix(500)))
    try daemon.waitFor("Over: dt-limit-2[\(child.pid)]")
    try child.open("eventfd", 500)
    try daemon.waitFor("990 of 1000")
    #expect(try daemon.alerts.count == 1)
    _ = try daemon.terminate()
    try child.exit()
    daemon = try RunningDaemon(place)
    try daemon.waitFor("Over: dt-limit-2[\(child.pid)]")
    #expect(try daemon.alerts.isEmpty)
  }

  @Test func `is shown and not told while it is silenced, and told when that ends`() throws {
    let child = try child(named: "dt-silent")
    try child.limit(soft: 1000)
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-silent", hook))
    try daemon.waitUntilItListens()
    let told = try daemon.ask("silence", ["dt-silent", "--for", "1h", "--reason", "known, #1"])
    #expect(
      told.status == .exited(0) && told.output.hasPrefix("dt-silent is silent until ")
        && told.output.hasSuffix("; it covers nothing now\n"))
    try child.open("eventfd", 987)
    try daemon.eventually { try daemon.alerts.first?["silenced"] as? Bool == true }
    let status = try daemon.ask("status")
    #expect(status.status == .exited(0) && status.output.contains("silenced") && status.output.contains("known, #1"))
    try daemon.waitFor("fdwatch: Silenced: dt-silent[\(child.pid)]: 990 of 1000")
    #expect(!daemon.said.contains("fdwatch: dt-silent[") && !daemon.said.contains("hook file"))
    #expect(try daemon.metric("fdwatch_alert_events_total{event=\"alert\"}") == 0)

    #expect(try daemon.ask("silence", ["dt-silent", "--off"]).status == .exited(0))
    try daemon.waitFor("fdwatch: dt-silent[\(child.pid)]: 990 of 1000 descriptors are open")
    try daemon.waitFor("hook file: got alert")
    // What has been heard of is only reminded of.
    _ = try daemon.ask("silence", ["dt-*", "--for", "1h", "--reason", "again"])
    #expect(try daemon.alerts.first?["silenced"] as? Bool == true)
    _ = try daemon.ask("silence", ["dt-*", "--off"])
    try daemon.waitFor("Still: dt-silent[\(child.pid)]: 990 of 1000")
    try daemon.waitFor("hook file: got reminder")
  }

  @Test func `is handed to the hooks of the first rule that matches`() throws {
    let children = try ["dt-rule-a", "dt-rule-b", "dt-rule-c"].map(fullChild)
    let daemon = try RunningDaemon(
      RunningDaemon.watching(
        "dt-rule-a",
        """
        hooks = ["other"]
        labels = { team = "web" }
        [[watch]]
        comm = "dt-rule-[ab]"
        hooks = []
        [[watch]]
        comm = "dt-rule-c"
        [[ignore]]
        comm = "dt-rule-c"
        [[hook]]
        name = "other"
        shell = "echo other got $FDWATCH_COMM; cat"
        [[hook]]
        name = "each"
        shell = "echo each got $FDWATCH_COMM"
        """))
    try daemon.eventually { try daemon.alerts.count == 2 }
    try daemon.waitFor("hook other: other got dt-rule-a")
    let told = try object(try daemon.waitFor("hook other: {").drop { $0 != "{" })
    #expect(told["labels"] as? [String: String] == ["team": "web"])
    // The test of all hooks comes after all that was queued.
    #expect(try daemon.ask("test-alert").output == "sent to standard error, hook other, hook each\n")
    try daemon.waitFor("hook each: each got fdwatch")
    #expect(!daemon.said.contains("got dt-rule-b") && !daemon.said.contains("each got dt"))
    #expect(try daemon.status["watched"] as? Int == 2, "one is ignored")
    withExtendedLifetime(children) {}
  }

  @Test(.enabled(if: Machine.canRun("promtool", "--version"), "needs promtool (Debian: prometheus)"))
  func `is a metric that promtool finds nothing wrong with`() throws {
    let child = try fullChild(named: "dt-metrics")
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-metrics", hook))
    try daemon.waitFor("hook file: got alert")
    let text = try daemon.get("/metrics")
    #expect(text.contains("fdwatch_hook_runs_total{hook=\"file\",result=\"delivered\"} 1\n"))
    #expect(text.contains("fdwatch_fullest_ratio{unit=\"\"} 0.99\n"))
    let outcome = try ChildProcess.run(["promtool", "check", "metrics"], input: text)
    #expect(outcome.status == .exited(0) && outcome.output + outcome.errors == "")
    withExtendedLifetime(child) {}
  }
}
