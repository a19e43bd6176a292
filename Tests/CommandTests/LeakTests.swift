// SPDX-License-Identifier: Apache-2.0
// A live process that leaks, from its first descriptor to the exit code, the journal and the recording.

import Descriptors
import Detection
import Foundation
import Linux
import Procfs
import TestSupport
import Testing
import Trace
import Watch

private let needsJournal = Comment(rawValue: "needs a journald of its own: \(PrivateJournal.obstacle ?? "")")

@Suite struct `A process that leaks` {
  /// One that opens an eventfd every 20 ms and closes none.
  private func leaking(limit: Int = 400) throws -> FDFactory {
    let child = try FDFactory()
    try child.limit(soft: limit)
    try child.startLeak(of: "eventfd", every: .milliseconds(20), count: limit - 50)
    return child
  }

  private let quickly = ["--interval", "100ms", "--for", "60s", "--until-leak"]

  @Test func `ends a watch that waits for it, with status 1`() throws {
    let child = try leaking()
    let outcome = try BuiltBinary.run(quickly + ["\(child.pid)"])
    #expect(outcome.status == .exited(1) && outcome.errors.isEmpty)
    let leak = try #require(outcome.output.split(separator: "\n").first { $0.contains("LEAK") })
    #expect(
      leak.contains("eventfd") && leak.contains("never closed") && leak.contains("the limit of 400 is reached in"))
    #expect(outcome.output.contains("\nLEAK  eventfd\n"), "the summary tells it again")
  }

  /// What a program's own log says of it is believed at once by who knows that program.
  @Test(
    .enabled(if: PrivateJournal.isUsable, needsJournal),
    .enabled(if: CgroupUnit.isUsable, "needs root and a writable cgroup2 hierarchy"))
  func `is told with what its own log says`() throws {
    let journal = try PrivateJournal()
    let unit = try CgroupUnit()
    let child = try leaking()
    try unit.add(child.pid)
    let logger = try ChildProcess(
      journal.launcher + [
        "sh", "-c", "read go; exec \"$0\" \"$1\"", Products.executable("journalsend"),
        "MESSAGE=accept4: Too many open files (24)",
      ])
    try unit.add(logger.pid)
    try logger.write("go\n")
    #expect(try logger.readLine() == "sent")
    // It lives until journald has looked at it: of one that has exited the unit is not known.
    #expect(try journal.read(["_SYSTEMD_UNIT=\(unit.name)"]).contains("Too many open files"))
    logger.closeInput()
    let outcome = try BuiltBinary.run(quickly + ["--format", "json", "\(child.pid)"], launcher: journal.launcher)
    let alert = try #require(try `One look`.objects(outcome.output).first { $0["event"] as? String == "alert" })
    let evidence = (alert["evidence"] as? [String] ?? []).joined(separator: " ")
    #expect(evidence.contains("Its own log says: \"accept4: Too many open files (24)\""), "\(outcome.output)")
  }

  @Test(.enabled(if: PrivateJournal.isUsable, needsJournal))
  func `is in the journal with every field that JSON has`() throws {
    let journal = try PrivateJournal()
    let child = try leaking()
    let outcome = try BuiltBinary.run(
      quickly + ["--journal", "--format", "json", "\(child.pid)"], launcher: journal.launcher)
    #expect(outcome.status == .exited(1) && outcome.errors.isEmpty)
    let alert = try #require(try `One look`.objects(outcome.output).first { $0["event"] as? String == "alert" })
    let entries = try journal.entries(["SYSLOG_IDENTIFIER=fdwatch"])
    #expect(entries.map { $0.sent["FDWATCH_EVENT"] } == ["suspected", "alert"], "a suspicion first, then the alert")
    #expect(entries.first?.sent["PRIORITY"] == "5")
    #expect(Set(entries.map { $0.sent["FDWATCH_ALERT_ID"] }).count == 1, "of one leak")
    let entry = try #require(entries.last)
    var sent = entry.sent

    func take(_ name: String) -> String { sent.removeValue(forKey: "FDWATCH_" + name) ?? "(no \(name))" }
    let count = try #require(Int(take("COUNT")))
    #expect((6...400).contains(count))
    #expect(take("PID") == "\(child.pid)" && take("COMM") == "fdfactory" && take("SOFT_LIMIT") == "400")
    #expect(take("EXE") == Products.executable("fdfactory"))
    #expect(take("EVENT") == "alert" && take("TYPE") == "leak")
    #expect(take("ALERT_ID").hasPrefix("\(child.pid)-") && take("KIND") == "eventfd")
    #expect(take("TARGET") == "(no TARGET)", "an eventfd has none")
    #expect(Int(take("LEAKED")) == alert["leaked"] as? Int)
    func isNear(_ text: String, _ key: String, within tolerance: Double) -> Bool {
      guard let a = Double(text), let b = alert[key] as? Double else { return false }
      return abs(a - b) <= tolerance
    }
    #expect(isNear(take("RATE_PER_HOUR"), "rate_per_hour", within: 0.001))
    #expect(isNear(take("SECONDS_TO_LIMIT"), "seconds_to_limit", within: 0.5))
    #expect(isNear(take("CONFIDENCE"), "confidence", within: 0.001))
    #expect(isNear(take("PROBABILITY"), "probability", within: 0.001))
    #expect(take("RUNNER_UP") == (alert["runner_up"] as? [String: Any])?["explanation"] as? String)
    #expect(take("SETTLES") == alert["settles"] as? String)
    #expect(take("EVIDENCE").split(separator: "\n").map(String.init) == alert["evidence"] as? [String])
    // It may run in a unit, as on a machine with systemd.
    sent["FDWATCH_UNIT"] = nil
    #expect(sent.removeValue(forKey: "OBJECT_PID") == "\(child.pid)")
    // What journald adds about that process.
    sent = sent.filter { !$0.key.hasPrefix("OBJECT_") }

    #expect(sent.removeValue(forKey: "MESSAGE")?.hasPrefix("fdfactory[\(child.pid)] leaks eventfd: ") == true)
    #expect(sent.removeValue(forKey: "MESSAGE_ID") == "f80c5fad4bca4abfab75624beaafb344")
    // Less than ten minutes are left.
    #expect(sent.removeValue(forKey: "PRIORITY") == "2" && sent.removeValue(forKey: "FDWATCH_PRIORITY") == "2")
    #expect(sent.removeValue(forKey: "FDWATCH_FIRST_SEEN").flatMap { Double($0) } ?? 0 > 1.7e9)
    #expect(sent.removeValue(forKey: "SYSLOG_IDENTIFIER") == "fdwatch")
    #expect(sent.isEmpty, "and nothing else")
  }

  @Test func `shows its verdict in a table, and as JSON`() throws {
    let child = try FDFactory()
    try child.open("eventfd", 5)
    let outcome = try BuiltBinary.run(["--once", "--format", "json", "\(child.pid)"])
    let look = try #require(try `One look`.objects(outcome.output).first)
    let classes = try #require(look["classes"] as? [[String: Any]])
    let eventfd = try #require(classes.first { $0["kind"] as? String == "eventfd" })
    // One look proves nothing.
    #expect(eventfd["open"] as? Int == 5 && eventfd["verdict"] == nil)
  }
}

@Suite struct `A recording` {
  /// Polls a live child as often as time is made to pass, and returns what the watch said, as lines.
  private func watch(_ child: FDFactory, recordTo path: String) throws -> [String] {
    let process = try WatchedProcess(pid: child.pid, in: try Procfs(), interval: .seconds(1), start: 0)
    let writer = try TraceWriter(
      path: path,
      header: TraceHeader(
        command: process.identity.command, pid: child.pid, interval: .seconds(1), start: "2026-11-23T14:02:11Z",
        limits: process.limits))
    var lines: [String] = []
    var served: [Int32] = []
    for second in 0..<150 {
      try child.open("eventfd", 1)
      served += try child.open("tcp-established", 2) + child.open("file", 1)
      if served.count > 12 {
        try child.close(Array(served.prefix(3)))
        served.removeFirst(3)
      }
      let time = Duration.milliseconds(second * 1000 + second % 7)
      guard let (poll, events) = try process.poll(at: time) else { continue }
      try writer.write(poll)
      lines += events.map { EventLine.json($0, at: poll.time) }
    }
    return lines + [
      EventLine.end(
        process.detector.overall, at: .milliseconds(149_000 + 149 % 7), classes: process.detector.classReports)
    ]
  }

  /// Evidence names moments by the clock in a live watch, and by their distance in a replay.
  private func withoutWords(_ line: Substring) throws -> [String: String] {
    var object = try #require(try `One look`.objects(String(line)).first)
    object["evidence"] = nil
    return try object.mapValues {
      String(decoding: try JSONSerialization.data(withJSONObject: [$0], options: .sortedKeys), as: UTF8.self)
    }
  }

  @Test func `says when replayed what the live watch said`() throws {
    let file = TemporaryFile()
    let path = file.path
    let live = try watch(try FDFactory(), recordTo: path)
    try #require(live.contains { $0.contains("\"alert\"") }, "the watch has to say something")
    let replay = try BuiltBinary.run(["replay", "--format", "json", path])
    #expect(replay.status == .exited(0))
    #expect(try replay.output.split(separator: "\n").map(withoutWords) == live.map { try withoutWords($0[...]) })
    #expect(try BuiltBinary.run(["replay", "--exit-code", path]).status == .exited(1))
  }

  @Test func `is made by the command, even if it is killed`() throws {
    let file = TemporaryFile()
    let path = file.path
    let child = try FDFactory()
    let recording = try BuiltBinary.start(["record", "\(child.pid)", "-o", path, "--interval", "50ms"])
    // It is flushed every second: what was written before the kill can be read.
    try child.startLeak(of: "pipe", every: .milliseconds(50), count: 60)
    try child.finishLeak()
    recording.send(SIGKILL)
    _ = try recording.finish()
    let replay = try BuiltBinary.run(["replay", path])
    #expect(replay.output.contains("fdfactory[\(child.pid)], every 0.05 s"))
    let trace = try TraceReader(path: path)
    #expect(trace.header.pid == child.pid)
    #expect(try trace.next()?.isCensus == true)
  }

  @Test(arguments: [("shop", true), ("stock-service", false), ("collector", false)])
  func `of a real program is judged as it was`(name: String, leaks: Bool) throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Traces/\(name).trace.gz").path
    let replay = try BuiltBinary.run(["replay", "--format", "json", path])
    #expect(replay.status == .exited(0))
    let alerts = try `One look`.objects(replay.output).filter { $0["event"] as? String == "alert" }
    #expect(alerts.count == (leaks ? 1 : 0))
    guard leaks, let alert = alerts.first else { return }
    #expect(alert["kind"] as? String == "tcp")
    #expect((alert["target"] as? String)?.hasSuffix(" CLOSE_WAIT") == true)
    // Two a second since its beginning.
    let time = try #require(alert["t"] as? Double)
    let leaked = try #require(alert["leaked"] as? Int)
    #expect(abs(Double(leaked) - 2 * time) < 12)
  }
}
