// SPDX-License-Identifier: Apache-2.0
// fdwatch alerts: what was sent to a real journald, as a user sees it.

import Foundation
import TestSupport
import Testing

private let needsJournal = Comment(rawValue: "needs a journald of its own: \(PrivateJournal.obstacle ?? "")")

@Suite(.enabled(if: PrivateJournal.isUsable, needsJournal)) struct `fdwatch alerts` {
  private let journal: PrivateJournal

  init() throws { journal = try PrivateJournal() }

  private static let ids = [
    "alert": "f80c5fad4bca4abfab75624beaafb344", "resolved": "c2086a0c55884619a714cba8de4c5f2f",
    "notice": "f062dfe4958749cd8f54978705c2d09b",
  ]

  private func send(_ event: String, _ fields: [String], asNobody: Bool = false) throws {
    let user = asNobody ? ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"] : []
    let words = ["MESSAGE=a leak", "PRIORITY=3", "MESSAGE_ID=\(Self.ids[event] ?? "")", "FDWATCH_EVENT=\(event)"]
    let sender = try ChildProcess(
      journal.launcher + user + [Products.executable("journalsend")] + words + fields.map { "FDWATCH_" + $0 })
    try #require(try sender.readLine() == "sent")
    _ = try journal.read(["-n", "0"])
    sender.closeInput()
  }

  private let leak = [
    "TYPE=leak", "ALERT_ID=812-99-3", "PID=812", "COMM=orders", "UNIT=orders.service", "KIND=tcp",
    "TARGET=10.0.0.5:5432", "COUNT=200", "SOFT_LIMIT=1024", "LEAKED=58", "RATE_PER_HOUR=720.0", "CONFIDENCE=0.998",
    "SECONDS_TO_LIMIT=1310", "EVIDENCE=First.\nSecond.", "STACK=os.Open /go/os.go:3\nstore.Dial /src/pool.go:88",
    "STACK_SHARE=0.97", "STACK_BLAMED=store.Dial /src/pool.go:88", "LABEL=team=web", "LABEL=at=a=b",
    "FIRST_SEEN=1764000000.5", "PIDS=812 813", "PROCESS_COUNT=2",
  ]

  private func run(_ words: String...) throws -> ChildProcess.Outcome {
    try BuiltBinary.run(["alerts"] + words, launcher: journal.launcher)
  }

  @Test func `says in a sentence that there are none`() throws {
    let outcome = try run()
    #expect(outcome.status == .exited(0) && outcome.errors.isEmpty)
    #expect(outcome.output == "No alerts in the journal.\n")
    #expect(
      try run("--unit", "a\u{1b}b", "--since", "2026-01-31").output
        == "No alerts of a\\x1bb since 2026-01-31 00:00:00.\n")
    #expect(try run("--format", "json").output.isEmpty)
  }

  @Test func `names the host where journals of several may lie, and when it happened`() throws {
    try send("alert", leak + ["TIME=1764000001.25"])
    try send("alert", leak + ["TIME=99999999999"])
    try send("alert", leak + ["TIME=1764000001.25"], asNobody: true)
    let host = try #require(ProcessInfo.processInfo.hostName.split(separator: ".").first)
    let table = try run("-D", journal.directory).output.split(separator: "\n")
    #expect(table.first?.contains("HOST") == true && table.dropFirst().first?.contains(host) == true, "\(table)")
    #expect(try run("--merge").output.split(separator: "\n").first?.contains("HOST") == true)
    #expect(try run().output.split(separator: "\n").first?.contains("HOST") == false)
    let lines = try run("--format", "json", "--untrusted").output.split(separator: "\n")
    let events = try lines.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:] }
    #expect(events.count == 3 && events.allSatisfy { ($0["host"] as? String)?.isEmpty == false })
    let times = events.map { $0["time"] as? String ?? "" }
    #expect(times[0].hasPrefix("2025-11-24T"), "its own time, and not that of the journal: \(times)")
    // Not of a clock that is wrong, nor of a user who may be.
    #expect(!times[1].hasPrefix("5138") && times[2].prefix(10) == times[1].prefix(10))
    // What is asked for by time is asked for by its own.
    #expect(try run("--since", "2025-11-25", "--format", "json").output.split(separator: "\n").count == 1)
  }

  @Test func `shows what fills a table`() throws {
    try send(
      "alert",
      [
        "TYPE=limit", "ALERT_ID=9", "PID=812", "COMM=orders", "COUNT=1020", "SOFT_LIMIT=1024", "KIND=tcp",
        "TARGET=10.0.0.5:5432", "HELD=812",
      ])
    #expect(try run().output.contains("limit: 1020 of 1024 open, 812 are tcp 10.0.0.5:5432"))
    #expect(try run("--format", "json").output.contains("\"held\":812"))
  }

  @Test func `is a table, with who opened what leaks below`() throws {
    try send("alert", leak)
    try send("notice", leak)
    try send("resolved", leak + ["RESOLUTION=exited"])
    try send("alert", ["TYPE=leak", "PID=7", "COMM=a\u{1b}[2J\nb", "KIND=file", "TARGET=/x\u{202e}y"])
    let outcome = try run()
    #expect(outcome.status == .exited(0) && outcome.errors.isEmpty)
    let lines = outcome.output.split(separator: "\n").map(String.init)
    try #require(lines.count == 6, "\(outcome.output)")
    #expect(
      lines[0].split(separator: " ") == ["TIME", "EVENT", "ALERT", "WHO", "WHAT", "LEAKED", "RATE", "LIMIT", "IN"])
    #expect(
      lines[1].hasSuffix(
        "  alert     812-99-3  orders.service (2 processes)  tcp 10.0.0.5:5432      58  12/min       22m"))
    #expect(lines[2] == "    97 % opened by store.Dial /src/pool.go:88")
    #expect(lines[3].contains("  resolved  812-99-3  orders.service (2 processes)  tcp 10.0.0.5:5432 "))
    #expect(lines[4] == "    over: the process exited")
    #expect(lines[5].contains("  a\\x1b[2J\\nb[7]  ") && lines[5].contains("file /x\\u{202e}y"))
    #expect(try run("-n", "1").output.split(separator: "\n").count == 2)
    #expect(try run("--notices").output.contains("  notice  "))
    #expect(try run("--unit", "ord*", "--since", "1h").output.split(separator: "\n").count == 5)
    #expect(try run("--since", "2100-01-01").output == "No alerts since 2100-01-01 00:00:00.\n")
  }

  @Test func `gives way where the terminal is narrow, and says what has no column below`() throws {
    let path = "/very/long" + String(repeating: "/path", count: 40)
    try send("alert", ["TYPE=leak", "PID=7", "COMM=c", "KIND=file", "TARGET=\(path)", "STACK=main.\(path)"])
    try send("alert", ["TYPE=report", "UNIT=a.service", "EVIDENCE=Too many\nopen files"])
    try send("alert", ["SUPPRESSED=57", "UNITS=a.service"])
    let whole = try run().output.split(separator: "\n").map(String.init)
    #expect(whole[1].contains(path) && whole[2].contains(path))
    #expect(whole[3].contains("  a.service  report") && whole[4] == "    Too many\\nopen files")
    #expect(whole[5].hasSuffix("  57 more alerts") && whole[6] == "    a leak")
    let narrow = try BuiltBinary.start(
      ["alerts"], environment: ["NO_COLOR": "1"], launcher: journal.launcher, terminal: (24, 90))
    let lines = try narrow.finish().output.split(whereSeparator: \.isNewline).map(String.init)
    #expect(lines.count == 7 && lines.allSatisfy { $0.count <= 90 && !$0.contains("\u{1b}") && $0.last != " " })
    #expect(lines[1].contains("…") && lines[2].hasSuffix("…"))
    let colourful = try BuiltBinary.start(["alerts"], launcher: journal.launcher, terminal: (24, 90))
    #expect(try colourful.finish().output.contains("\u{1b}[1;31m"))
  }

  @Test func `is one JSON object a line, with the keys that hooks get`() throws {
    try send("alert", leak)
    let outcome = try run("--format", "json")
    let objects = try `One look`.objects(outcome.output)
    try #require(objects.count == 1)
    var object = objects[0]
    func take<Value: Equatable>(_ key: String, _ value: Value) {
      #expect(object.removeValue(forKey: key) as? Value == value, "\(key)")
    }
    let time = try #require(object.removeValue(forKey: "time") as? String)
    #expect(time.hasSuffix("Z") && object.removeValue(forKey: "host") as? String == ProcessInfo.processInfo.hostName)
    take("schema", 1)
    take("event", "alert")
    take("id", "812-99-3")
    take("type", "leak")
    take("priority", 3)
    take("first_seen", "2025-11-24T16:00:00.500Z")
    take("unit", "orders.service")
    take("pid", 812)
    take("pids", [812, 813])
    take("process_count", 2)
    take("comm", "orders")
    take("kind", "tcp")
    take("target", "10.0.0.5:5432")
    take("leaked", 58)
    take("rate_per_hour", 720.0)
    take("seconds_to_limit", 1310.0)
    take("confidence", 0.998)
    take("count", 200)
    take("soft_limit", 1024)
    take("evidence", ["First.", "Second."])
    take("stack", ["os.Open /go/os.go:3", "store.Dial /src/pool.go:88"])
    take("stack_share", 0.97)
    take("silenced", false)
    take("labels", ["at": "a=b", "team": "web"])
    take("message", "a leak")
    let stacks = object.removeValue(forKey: "stacks") as? [[String: Any]]
    #expect(stacks?.count == 1 && stacks?[0]["blamed"] as? String == "store.Dial /src/pool.go:88")
    #expect(object.isEmpty, "\(object)")
  }

  @Test(.enabled(if: Machine.canRunAsNobody, "needs root, and a build that others can run"))
  func `believes root alone, and may be closed to others`() throws {
    try send("alert", leak, asNobody: true)
    #expect(try run().output == "No alerts in the journal.\n")
    #expect(try run("--untrusted").output.contains("  alert (by uid 65534)  "))
    let object = try #require(try `One look`.objects(try run("--untrusted", "--format", "json").output).first)
    #expect(object["trusted"] as? Bool == false && object["sender_uid"] as? Int == 65534)
    let refused = try BuiltBinary.run(["alerts"], user: 65534, launcher: journal.launcher)
    #expect(refused.status == .exited(2) && refused.output.isEmpty)
    #expect(refused.errors.contains("add yourself to the group systemd-journal"), "\(refused.errors)")
  }

  @Test func `goes on with --follow, and reads a directory`() throws {
    try send("alert", leak)
    let follower = try BuiltBinary.start(["alerts", "--follow", "-D", journal.directory, "--format", "json", "-n", "1"])
    // From here on it follows: what is sent earlier may be what was there already.
    #expect(try follower.readLine()?.contains("\"event\":\"alert\"") == true)
    let table = try BuiltBinary.start(["alerts", "-f"], launcher: journal.launcher)
    #expect(try table.readLine()?.hasPrefix("TIME ") == true)
    #expect(try table.readLine()?.contains("  alert  812-99-3  orders.service") == true)
    _ = try table.readLine()
    try send("resolved", leak + ["RESOLUTION=closed"])
    #expect(try table.readLine()?.contains("  resolved  812-99-3  orders.service") == true)
    #expect(try table.readLine() == "    over: its descriptors were closed")
    let line = try #require(try follower.readLine())
    #expect(line.contains("\"event\":\"resolved\"") && line.contains("\"resolution\":\"closed\""))
    for child in [follower, table] {
      child.send(SIGINT)
      #expect(try child.finish().status == .killed(signal: SIGINT))
    }
  }

  @Test func `refuses what is no journal and no time`() throws {
    let missing = try run("-D", "/no/such\u{1b}")
    #expect(missing.status == .exited(2) && missing.errors == "fdwatch: there is no journal in /no/such\\x1b\n")
    for words in [["--since", "yesterday noon"], ["--since", "2026-02-30"], ["-n", "-1"], ["-D", "/x", "--merge"]] {
      #expect(try BuiltBinary.run(["alerts"] + words).status == .exited(64), "\(words)")
    }
  }
}
