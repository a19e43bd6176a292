// SPDX-License-Identifier: Apache-2.0
// A leak from its alert to its end, by the daemon as it is installed.

import Foundation
import TestSupport
import Testing

@Suite struct `A daemon` {
  private let hook = """
    [[hook]]
    name = "mail"
    command = ["/bin/sh", "-c", "echo \\"got $*: $FDWATCH_TYPE $FDWATCH_KIND\\"; cat", "hook"]
    """

  @Test func `tells of a leak, shows, explains and hands on what it knows, and tells its end`() throws {
    let child = try leakingChild(named: "dt-leak")
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-leak", hook))
    let line = try daemon.waitFor("dt-leak[\(child.pid)] leaks eventfd")
    #expect(line.contains("limit of 2000 reached in"))
    let alert = try #require(try daemon.alerts.first)
    let id = try #require(alert["id"] as? String)

    let words = try daemon.waitFor("hook mail: got alert \(id): leak eventfd")
    #expect(words.hasPrefix("fdwatch: hook mail: "))
    let told = try object(try daemon.waitFor("hook mail: {").drop { $0 != "{" })
    for key in [
      "schema", "event", "id", "type", "priority", "time", "first_seen", "host", "unit", "pid", "pids",
      "process_count", "comm", "exe", "user", "kind", "target", "leaked", "rate_per_hour", "seconds_to_limit",
      "confidence", "count", "soft_limit", "evidence", "silenced", "labels", "message",
    ] { #expect(told[key] != nil, "\(key)") }
    #expect(told["id"] as? String == id && told["event"] as? String == "alert" && told["schema"] as? Int == 1)
    #expect(told["pid"] as? Int32 == child.pid && told["soft_limit"] as? Int == 2000)

    let status = try daemon.ask("status")
    #expect(status.status == .exited(1) && status.output.contains(id) && status.output.contains("dt-leak (no unit)"))
    let check = try daemon.ask("check", ["\(child.pid)"])
    let code: Int32 = (alert["priority"] as? Int ?? 9) <= 2 ? 2 : 1
    #expect(check.status == .exited(2) || check.status == .exited(code))
    #expect(check.output.hasPrefix("FDWATCH ") && check.output.contains("leaks eventfd"))
    #expect(check.output.contains("|open=") && check.output.split(separator: "\n").count == 1)
    let explained = try daemon.ask("explain", [id])
    #expect(explained.status == .exited(0) && explained.output.contains("anon_inode:[eventfd]"))
    #expect(explained.output.contains("== alert.json") && explained.output.contains("== verdicts.txt"))

    try child.exit()
    try daemon.waitFor("dt-leak[\(child.pid)] leaked eventfd: over, the process exited")
    try daemon.waitFor("hook mail: got resolved \(id)")
    #expect(try daemon.ask("status").status == .exited(0))
    #expect(try daemon.terminate().status == .exited(0))
  }

  @Test func `that is restarted or killed tells nothing again, and what exited meanwhile is over`() throws {
    let child = try leakingChild(named: "dt-again")
    let place = try RunningDaemon.Place()
    try place.configure(RunningDaemon.watching("dt-again"))
    var daemon = try RunningDaemon(place)
    try daemon.waitFor("dt-again[\(child.pid)] leaks eventfd")
    let before = try #require(try daemon.alerts.first)
    for isKilled in [false, true] {
      if isKilled { try daemon.kill() } else { _ = try daemon.terminate() }
      daemon = try RunningDaemon(place)
      try daemon.waitUntilItListens()
      // What its detector knew is there again, and has been looked at.
      try daemon.eventually {
        guard try daemon.metric("fdwatch_polls_total") ?? 0 >= 3 else { return false }
        return try (daemon.status["units"] as? [[String: Any]])?.first?["verdict"] as? String == "leak"
      }
      let after = try #require(try daemon.alerts.first)
      #expect(after["id"] as? String == before["id"] as? String)
      #expect(after["first_seen"] as? String == before["first_seen"] as? String)
      #expect(try daemon.metric("fdwatch_alert_events_total{event=\"alert\"}") == 0)
      #expect(!daemon.said.contains(" leaks eventfd: ") || daemon.said.contains("More urgent: "))
    }
    try daemon.kill()
    try child.exit()
    daemon = try RunningDaemon(place)
    try daemon.waitFor("dt-again[\(child.pid)] leaked eventfd: over, the process exited")
    #expect(try daemon.alerts.isEmpty)
  }

  @Test func `that finds another one in its folders names it and does not start`() throws {
    let place = try RunningDaemon.Place()
    try place.configure(RunningDaemon.watching("dt-none"))
    let first = try RunningDaemon(place)
    try first.waitUntilItListens()
    // One of the two folders is enough: whose alerts are they, who answers there?
    for options in [
      place.options, ["--runtime-dir", place.path + "/other", "--state-dir", place.state],
      ["--runtime-dir", place.runtime, "--state-dir", place.path + "/other"],
    ] {
      let second = try BuiltBinary.run(["daemon", "--root", place.path, "--config", "/fdwatch.toml"] + options)
      #expect(second.status == .exited(69))
      #expect(second.errors.hasPrefix("fdwatch: another fdwatch daemon (pid \(first.process.pid)) uses \(place.path)/"))
    }
    #expect(try first.get("/healthz") == "ok\n", "the first one is not disturbed")
    // Killed, it holds nothing: what it has left in the folders is no daemon.
    try first.kill()
    let next = try RunningDaemon(place)
    try next.waitUntilItListens()
    #expect(try next.terminate().status == .exited(0))
  }

  @Test func `that is restarted knows the stack of a leak though its profile has gone`() throws {
    let child = try leakingChild(named: "dt-stack")
    let place = try RunningDaemon.Place()
    let profile = place.path + "/profile"
    func write() throws {
      let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(child.pid)/fd").count
      let text = "file profile: total \(open)\n\(open) @ 0x10 0x20\n#\t0x10\tmain.leak+0x1\t/src/main.go:7\n\n"
      try text.write(toFile: profile, atomically: true, encoding: .utf8)
    }
    try write()
    try place.configure(
      RunningDaemon.watching("dt-stack").replacing(
        "comm = \"dt-stack\"", with: "comm = \"dt-stack\"\nprofile = [\"\(profile)\"]"))
    var daemon = try RunningDaemon(place)
    try daemon.eventually {
      try write()
      return try "\(daemon.alerts.first?["message"] ?? "")".contains("main.leak")
    }
    #expect(try daemon.terminate().status == .exited(0))
    try FileManager.default.removeItem(atPath: profile)
    daemon = try RunningDaemon(place)
    try daemon.waitUntilItStarts()
    // It has been looked at, and its profile has been asked for in vain.
    try daemon.eventually {
      try daemon.metric("fdwatch_polls_total") ?? 0 >= 3 && daemon.metric("fdwatch_profiles_unreadable") == 1
    }
    let alert = try #require(try daemon.alerts.first)
    #expect("\(alert["message"] ?? "")".contains("main.leak"), "\(alert)")
    #expect((alert["stack"] as? [String])?.first?.hasPrefix("main.leak") == true, "\(alert)")
    // Which is said wherever somebody may look.
    #expect(try daemon.get("/healthz").hasPrefix("degraded\ncannot read the profile of dt-stack[\(child.pid)]: "))
    #expect(try daemon.ask("status").output.contains("Degraded: cannot read the profile of dt-stack["))
  }

  @Test func `that ends before a hook has delivered lets the next one do it`() throws {
    let place = try RunningDaemon.Place()
    try place.configure(
      RunningDaemon.watching(
        "dt-none",
        "[[hook]]\nname = \"h\"\nshell = '[ -e \(place.path)/up ] || exit 75; echo \"delivered $1\"'"))
    var daemon = try RunningDaemon(place)
    try daemon.waitUntilItListens()
    #expect(try daemon.ask("test-alert").status == .exited(0))
    try daemon.eventually { try daemon.get("/metrics").contains("result=\"tryagain\"} 1\n") }
    #expect(try daemon.terminate().status == .exited(0))
    try "".write(toFile: place.path + "/up", atomically: true, encoding: .utf8)
    daemon = try RunningDaemon(place)
    try daemon.waitFor("hook h: delivered test")
    #expect(try daemon.terminate().status == .exited(0))
    // And no other one does it again.
    daemon = try RunningDaemon(place)
    try daemon.waitUntilItListens()
    #expect(try !daemon.get("/metrics").contains("result=\"delivered\"} 1\n"))
  }

  @Test(.enabled(if: PrivateJournal.isUsable, "needs a journald of its own"))
  func `keeps for a journald that is away what it has to say`() throws {
    let journal = try PrivateJournal()
    let child = try child(named: "dt-journal")
    try child.limit(soft: 1000)
    let daemon = try RunningDaemon(RunningDaemon.watching("dt-journal", journal: true), launcher: journal.launcher)
    try daemon.eventually { try journal.entries(["SYSLOG_IDENTIFIER=fdwatch"]).count > 0 }
    #expect(!daemon.said.contains("begins"), "it is in the journal alone")

    try journal.endServer()
    try child.open("eventfd", 987)
    try daemon.waitFor("alerts come here until it is")
    try daemon.waitFor("dt-journal[\(child.pid)]: 990 of 1000 descriptors are open")
    #expect(try daemon.metric("fdwatch_journal_pending") ?? 0 > 0)

    let server = try journal.startServer()
    try daemon.waitFor("the journal is back")
    #expect(try daemon.metric("fdwatch_journal_pending") == 0)
    let entries = try journal.entries(["FDWATCH_PID=\(child.pid)"])
    #expect(entries.count == 1 && entries.first?["MESSAGE_ID"] == "3f0f7a5e1a5b4a0bb0b5a8d52a6f3b90")
    #expect(daemon.said.components(separatedBy: "alerts come here until it is").count == 2, "said once")
    server.send(SIGKILL)
  }
}

extension PrivateJournal {
  /// The process that holds its namespace.
  private var holder: String { String(directory.split(separator: "/")[1]) }

  private func link(_ pid: String) -> String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/mnt")
  }

  /// Ends the journald as if it had crashed.
  func endServer() throws {
    let own = try #require(link(holder))
    let servers = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { pid in
      Int32(pid) != nil && link(pid) == own
        && (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) == "systemd-journal\n"
    }
    try #require(servers.count == 1)
    for pid in servers { kill(Int32(pid) ?? 0, SIGKILL) }
  }

  /// Another one in its place, which takes what is sent from now on.
  func startServer() throws -> ChildProcess {
    try ChildProcess(
      launcher + [
        "sh", "-c",
        "exec \"$(ls /usr/lib/systemd/systemd-journald /lib/systemd/systemd-journald 2>/dev/null | head -1)\"",
      ])
  }
}
