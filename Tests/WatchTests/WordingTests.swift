// SPDX-License-Identifier: Apache-2.0
// Figures and findings in words.

import Alerts
import Descriptors
import Testing

@testable import Detection

@Suite struct `In words` {
  @Test(
    arguments: [
      (.zero, "0 s", "0s"), (.seconds(-5), "0 s", "0s"), (.seconds(45), "45 s", "45s"),
      (.seconds(119), "119 s", "119s"),
      (.seconds(120), "2 min", "2m"), (.seconds(17 * 60 + 20), "17 min", "17m"), (.seconds(3600 * 2), "2 h", "2h"),
      (.seconds(3600 * 47), "47 h", "47h"), (.seconds(86400 * 3), "3 days", "3d"),
      (.seconds(86400 * 2000), "years", "years"),
    ] as [(Duration, String, String)]) func `a duration is as precise as a person needs`(
      duration: Duration, text: String, column: String
    )
  {
    #expect(duration.inWords == text && duration.inColumn == column)
  }

  @Test(arguments: [
    (0, "0"), (0.01, "<0.1"), (0.4, "0.4"), (9.94, "9.9"), (9.96, "10"), (1234.4, "1234"),
  ]) func `a rate fits a column`(rate: Double, text: String) { #expect(rate.rateInColumn == text) }

  @Test func `kinds have a plural`() {
    #expect(Kind.tcp.inWords(1) == "TCP socket" && Kind.tcp.inWords(12) == "TCP sockets")
    #expect(Kind.directory.inWords(1) == "directory" && Kind.directory.inWords(2) == "directories")
    #expect(Kind.eventpoll.inWords(2) == "epoll instances" && Kind.anon.inWords(2) == "anonymous inodes")
  }

  @Test func `a finding says what, how fast and how long`() {
    let limits = Limits(soft: 1024, hard: 4096)
    #expect(
      headline(finding, limits)
        == "orders[812] leaks tcp 10.0.0.5:5432: 12 open that were never closed, +38/h, limit of 1024 reached in 19 h")
    #expect(
      finding.forecast(limits: limits)
        == "At this rate (38/h) the limit of 1024 is reached in 19 h (between 15 h and 26 h).")
    #expect(finding.paragraph(limits: limits).hasPrefix("First. Second. At this rate"))
  }

  @Test func `a finding without a forecast says so`() {
    var finding = finding
    (finding.timeToLimit, finding.timeToLimitInterval) = (nil, nil)
    let text = finding.forecast(limits: Limits(soft: .max, hard: .max))
    #expect(text == "It grows by 38/h; the limit of unlimited is not in sight.")
    #expect(!headline(finding, Limits(soft: 10, hard: 10)).contains("limit"))
  }

  @Test func `a fast leak is told by the minute, and a hostile target is escaped`() {
    var finding = finding
    (finding.ratePerHour, finding.target) = (7200, "/tmp/\u{1b}[2J")
    #expect(finding.rateInWords == "120/min")
    #expect(finding.subject == "tcp /tmp/\\x1b[2J")
  }
}

private func headline(_ finding: Finding, _ limits: Limits) -> String {
  let process = AlertProcess(pid: 812, startTime: 9, command: "orders", executable: nil, user: "www", unit: nil)
  let member = AlertMember(process: process, finding: finding, count: 20, limits: limits)
  return Alert(id: "a", type: .leak, firstSeen: 0, unit: nil, members: [member]).headline
}

@Suite struct `Who opened it, in words` {
  private func stack(_ function: String, _ share: Double) -> Blame.Stack {
    .init(frames: ["\(function) /src/x.go:7"], own: 0, share: share)
  }

  @Test func `is a sentence`() {
    #expect(
      Blame(profile: "file", stacks: [stack("a.B", 0.97)]).sentence == "97 % were opened by a.B (x.go:7).")
    #expect(
      Blame(profile: "file", stacks: [stack("a.B", 0.6), stack("c.D", 0.2)]).sentence
        == "60 % were opened by a.B (x.go:7), 20 % were opened by c.D (x.go:7); 20 % is not explained.")
    let unseen = Blame.Stack(frames: ["code that ran before tracing began"], own: 0, share: 0.3)
    #expect(
      Blame(profile: "openers", stacks: [stack("a.B", 0.7), unseen]).sentence
        == "70 % were opened by a.B (x.go:7), 30 % were opened by code that ran before tracing began.")
    #expect(
      Blame(profile: "goroutine", isWitness: true, stacks: [stack("a.B", 1)], remark: "by two snapshots only").sentence
        == "100 % are held by what waits at a.B (x.go:7) (by two snapshots only).")
    #expect(
      Blame(profile: "file", stacks: [], remark: "it counts \u{1b}[2J").sentence
        == "Who opened them is not known: it counts \\x1b[2J.")
  }
}

/// A leak of sockets to a database.
let finding = Finding(
  id: 3, kind: .tcp, target: "10.0.0.5:5432", leaked: 12, since: .seconds(60), ratePerHour: 38, rateInterval: 30...45,
  timeToLimit: .seconds(19 * 3600), timeToLimitInterval: .seconds(15 * 3600)...(.seconds(26 * 3600)),
  confidence: 0.9876,
  evidence: ["First.", "Second."])
