// SPDX-License-Identifier: Apache-2.0
// Which rule holds for a process, and which hooks hear of its alerts.

import Alerts
import Descriptors
import Detection
import Testing

@testable import Config
@testable import Daemon

@Suite struct `The treatment of a process` {
  private func treatments(_ text: String) throws -> Treatments {
    let loaded = Configuration.load(text: Array(text.utf8), path: "f")
    try #require(loaded.problems.isEmpty, "\(loaded.problems)")
    return Treatments(loaded.configuration)
  }

  private func facts(_ comm: String, user: String = "root") -> ProcessFacts {
    ProcessFacts(pid: 1, user: user, comm: comm)
  }

  @Test func `follows the first rule that matches`() throws {
    let treatments = try treatments(
      """
      interval = "20s"
      labels = { site = "x", team = "none" }
      [[watch]]
      comm = "a*"
      interval = "1s"
      sensitivity = "high"
      hooks = []
      labels = { team = "web" }
      [[watch]]
      comm = "*"
      user = "root"
      sensitivity = "low"
      hooks = ["mail"]
      [[hook]]
      name = "mail"
      command = ["/bin/true"]
      """)
    let first = try #require(treatments.treatment(of: facts("ab")))
    #expect(first.interval == .seconds(1) && first.patience == 0.5 && first.routing.hooks == [] && first.isCloseAlways)
    #expect(first.routing.labels == ["site": "x", "team": "web"])
    let second = try #require(treatments.treatment(of: facts("b")))
    #expect(second.interval == .seconds(20) && second.patience == 2 && second.routing.hooks == ["mail"])
    #expect(!second.isCloseAlways && second.routing.labels == ["site": "x", "team": "none"])
    #expect(treatments.treatment(of: facts("b", user: "www")) == nil, "no rule means it")
    #expect(treatments.asked == [.comm, .user])
  }

  @Test func `is none for what is ignored, whatever the rules say`() throws {
    let treatments = try treatments("[[watch]]\nall = true\n[[ignore]]\ncomm = \"chrome\"\n")
    #expect(treatments.treatment(of: facts("chrome")) == nil)
    #expect(treatments.treatment(of: facts("other")) != nil)
  }

  @Test func `is the ordinary one where there are no rules`() throws {
    let treatment = try #require(try treatments("").treatment(of: facts("any")))
    #expect(treatment.interval == .seconds(10) && treatment.patience == 1 && treatment.routing.hooks == nil)
  }
}

@Suite struct `A hook` {
  private func event(
    _ word: AlertWord, type: Alerts.AlertType = .leak, left: Duration? = nil, hooks: [String]? = nil
  )
    -> AlertEvent
  {
    let finding = Finding(
      id: 0, kind: .file, target: nil, leaked: 1, since: .zero, ratePerHour: 1, rateInterval: 0...1, timeToLimit: left,
      timeToLimitInterval: nil, confidence: 1, evidence: [])
    let process = AlertProcess(pid: 1, startTime: 1, command: "a", executable: nil, user: "", unit: nil)
    var alert = Alert(
      id: "1", type: type, firstSeen: 0, unit: nil,
      members: [AlertMember(process: process, finding: finding, count: 1, limits: Limits(soft: 1, hard: 1))])
    alert.routing.hooks = hooks
    return AlertEvent(word, alert)
  }

  @Test func `is told of what its filters let pass`() {
    var hook = HookSettings(name: "mail", action: .command(["/bin/true"]))
    #expect(hook.passes(event(.alert)) && hook.passes(event(.resolved)) && hook.passes(event(.escalated)))
    #expect(!hook.passes(event(.reminder)) && !hook.passes(event(.notice)))
    #expect(!hook.passes(event(.alert, type: .report)), "less urgent than a warning")
    hook.priority = .notice
    #expect(hook.passes(event(.alert, type: .report)))
    hook.types = [.limit]
    #expect(!hook.passes(event(.alert)) && hook.passes(event(.alert, type: .limit)))
    hook = HookSettings(name: "mail", action: .command(["/bin/true"]))
    hook.priority = .crit
    #expect(!hook.passes(event(.alert)) && hook.passes(event(.alert, left: .seconds(60))))
    #expect(!hook.passes(event(.suspected)))
    hook.events = [.suspected]
    #expect(hook.passes(event(.suspected)) && !hook.passes(event(.alert, left: .zero)), "whatever its priority")
    hook.events = [.reminder]
    #expect(!hook.passes(event(.alert, left: .zero)) && hook.passes(event(.reminder, left: .zero)))
  }

  @Test func `is told by the rule that names it, and of tests always`() {
    let hook = HookSettings(name: "mail", action: .command(["/bin/true"]))
    #expect(hook.passes(event(.alert, hooks: ["chat", "mail"])) && hook.passes(event(.resolved, hooks: ["mail"])))
    #expect(!hook.passes(event(.alert, hooks: ["chat"])) && !hook.passes(event(.alert, hooks: [])))
    #expect(hook.passes(event(.test, hooks: [])))
  }

  /// Nobody who names hooks for a rule wants reminders and ends to go to others.
  @Test func `that a rule does not name hears nothing of reminders and ends either`() {
    var book = AlertBook()
    let process = AlertProcess(pid: 1, startTime: 1, command: "a", executable: nil, user: "", unit: nil)
    let finding = event(.alert).alert.members[0].finding
    let limits = Limits(soft: 10, hard: 10)
    let start = Moment(time: .zero, wall: 0)
    var told = book.take(
      .alert(finding), of: process, count: 1, limits: limits, routing: AlertRouting(hooks: ["chat"]), at: start)
    told += book.tick(at: Moment(time: .seconds(5 * 3600), wall: 5))
    told += book.exited(process, at: Moment(time: .seconds(6 * 3600), wall: 6))
    #expect(told.map(\.word) == [.alert, .reminder, .resolved])
    #expect(told.allSatisfy { $0.alert.routing.hooks == ["chat"] })
  }
}
