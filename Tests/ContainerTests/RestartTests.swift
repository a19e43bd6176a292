// SPDX-License-Identifier: Apache-2.0
// The daemon reloaded, stuck, killed, stopped, restarted with its sockets, and without a journald.

import Foundation
import TestSupport
import Testing

private let obstacle = SystemdContainer.obstacle ?? DebianPackage.obstacle
private let needsContainer = Comment(rawValue: "cannot boot a container with the package: \(obstacle ?? "")")

@Suite(.enabled(if: obstacle == nil, needsContainer), .serialized) struct `A service that is disturbed` {
  private static let keeper = HostKeeper()
  private let host: DaemonHost
  private var container: SystemdContainer { host.container }

  init() throws { host = try Self.keeper.ready() }

  @Test func `refuses a bad configuration when it is reloaded, and holds to the old one`() throws {
    let bad = "/etc/fdwatch/fdwatch.d/20-bad.toml"
    try container.shell("printf 'interval = \"7 parsecs\"\\n[[hook]]\\nname = 1\\n' >\(bad)")
    #expect(try container.run(["systemctl", "reload", "fdwatch.service"]).status != .exited(0))
    #expect(try container.output(of: "systemctl", "is-active", "fdwatch.service") == "active\n")
    // Every mistake, with its place.
    let refusal = try host.entry("MESSAGE_ID=7b4c2d9e5f6a4138b1d0e3c5a7f9284d")
    for place in ["\(bad):1:12: interval", "\(bad):3:8: "] {
      #expect(refusal["MESSAGE"]?.contains(place) == true, "\(refusal["MESSAGE"] ?? "")")
    }
    #expect(refusal["PRIORITY"] == "3")
    #expect(try host.status().configuration_problem?.contains(bad) == true)
    #expect(try host.get("/metrics").contains("fdwatch_config_reload_failed 1\n"))
    #expect(try host.statusTable().contains("\(bad):1:12: "))

    try container.output(of: "rm", bad)
    try container.output(of: "systemctl", "reload", "fdwatch.service")
    try host.eventually("the good one is read") { try host.status().configuration_problem == nil }
    #expect(try host.get("/metrics").contains("fdwatch_config_reload_failed 0\n"))
  }

  @Test(arguments: ["STOP", "KILL"])
  func `is started anew when it is stuck or killed, and tells of no leak twice`(signal: String) throws {
    let units = ["leaky.service", "pool.service"]
    for unit in units { _ = try host.alert(of: unit) }
    let cursor = try host.journalEnd()
    try container.shell(
      """
      mkdir -p /run/systemd/system/fdwatch.service.d
      printf '[Service]\\nWatchdogSec=5s\\n' >/run/systemd/system/fdwatch.service.d/watchdog.conf
      systemctl daemon-reload
      systemctl restart fdwatch.service
      """)
    let before = try host.status()
    let alert = try #require(before.alert(of: "leaky.service"))
    try container.output(of: "systemctl", "kill", "--signal=\(signal)", "--kill-who=main", "fdwatch.service")
    // systemd's own message of a unit that has failed, and why.
    let failure = try host.entry("UNIT=fdwatch.service", "UNIT_RESULT=\(signal == "STOP" ? "watchdog" : "signal")")
    #expect(failure["MESSAGE"]?.contains("Failed with result") == true)
    try host.eventually("another one answers") { try host.status().pid != before.pid }
    let after = try host.status()
    #expect(after.alert(of: "leaky.service")?.id == alert.id)
    // The detector's own word, and not what the book of alerts remembers. How much has leaked is told by it as long as it
    // goes on as fast as before: this one has slowed down.
    try host.eventually("its detector knows what it knew") {
      try host.get("/metrics").contains("\nfdwatch_leaking{unit=\"leaky.service\"} 1\n")
    }
    #expect(try (host.status().alert(of: "leaky.service")?.leaked ?? 0) * 10 >= (alert.leaked ?? .max) * 9)
    for unit in units {
      for word in ["alert", "resolved"] {
        #expect(try host.entries("FDWATCH_UNIT=\(unit)", "FDWATCH_EVENT=\(word)", after: cursor).isEmpty, "\(unit)")
      }
    }
  }

  /// A connection that nobody takes starts the service again and again, and so does a datagram that nobody reads.
  @Test func `does not start for ever where its configuration is refused, and starts when it is mended`() throws {
    let bad = "/etc/fdwatch/fdwatch.d/20-bad.toml"
    try container.shell("printf 'interval = 0\n' >\(bad); systemctl restart fdwatch.service || true")
    _ = try container.run(["curl", "--max-time", "1", "--unix-socket", "/run/fdwatch/fdwatch.sock", "http://x/"])
    _ = try container.run(["logger", "--udp", "--socket", "/run/fdwatch/report.sock", "unclosed"])
    // systemd gives up: see systemd.socket(5), "TriggerLimitBurst=".
    try host.eventually("nobody starts it any more") {
      try container.run(["systemctl", "is-failed", "fdwatch-report.socket"]).output == "failed\n"
    }
    #expect(try container.run(["systemctl", "is-failed", "fdwatch.service"]).output == "failed\n")
    let told = try host.entries("_SYSTEMD_UNIT=fdwatch.service", "_TRANSPORT=stdout").compactMap { $0["MESSAGE"] }
    #expect(told.last?.contains("\(bad):1:12: interval") == true, "\(told.last ?? "")")

    // Mended, it starts at once.
    try container.output(of: "rm", bad)
    try container.output(of: "systemctl", "start", "fdwatch.service")
    for unit in ["fdwatch.service", "fdwatch.socket", "fdwatch-report.socket"] {
      #expect(try container.output(of: "systemctl", "is-active", unit) == "active\n")
    }
    #expect(try host.status().configuration_problem == nil)
  }

  private static let sockets = ["fdwatch.socket", "fdwatch-report.socket"]

  private func isActive(_ unit: String) throws -> Bool {
    try container.run(["systemctl", "is-active", unit]).output == "active\n"
  }

  /// The natural step after it was edited.
  @Test(arguments: sockets) func `is restarted with its socket, and answers at the new one`(socket: String) throws {
    let alert = try #require(try host.alert(of: "leaky.service")["FDWATCH_ALERT_ID"])
    let (cursor, pid) = (try host.journalEnd(), try host.property("MainPID"))
    try container.output(of: "systemctl", "restart", socket)
    try host.eventually("another one has taken the new socket") {
      try host.property("MainPID") != pid && host.status().alert(of: "leaky.service")?.id == alert
    }
    for unit in ["fdwatch.service"] + Self.sockets { #expect(try isActive(unit), "\(unit)") }
    // Nothing is told again, and whoever reports is heard.
    #expect(try host.entries("FDWATCH_UNIT=leaky.service", "FDWATCH_EVENT=alert", after: cursor).isEmpty)
    try container.output(of: "fdwatch", "report", "unclosed by \(socket)")
    let report = try host.entry("MESSAGE_ID=9a6b8a3ed2be4bb58fd3b4ef7c3b1d5e") {
      $0["MESSAGE"]?.contains("unclosed by \(socket)") == true
    }
    #expect(report["FDWATCH_COMM"] == "fdwatch")
  }

  @Test func `comes back when it was ended by a plain SIGTERM`() throws {
    let pid = try host.property("MainPID")
    try container.output(of: "kill", "-TERM", pid)
    try host.eventually("another one runs") { try host.property("MainPID") != pid && host.status().pid > 0 }
    #expect(try isActive("fdwatch.service"))
  }

  @Test func `stays stopped, whoever asks it or reports to it`() throws {
    try container.output(of: "systemctl", "stop", "fdwatch.service")
    for unit in ["fdwatch.service"] + Self.sockets { #expect(try !isActive(unit), "\(unit)") }
    #expect(try container.run(["fdwatch", "status"]).status == .exited(2))
    #expect(try container.run(["runuser", "-u", "nobody", "--", "fdwatch", "report", "unclosed"]).status == .exited(2))
    _ = try container.run(["logger", "--udp", "--socket", "/run/fdwatch/report.sock", "unclosed"])
    #expect(try !isActive("fdwatch.service"))

    try container.output(of: "systemctl", "start", "fdwatch.service")
    for unit in ["fdwatch.service"] + Self.sockets { #expect(try isActive(unit), "\(unit)") }
    #expect(try host.statusTable().contains("fdwatch.service"))
  }

  /// As at a boot that has opened its sockets and has not come to the service yet.
  @Test func `is started by who asks it where only its sockets are open`() throws {
    try container.shell("systemctl stop fdwatch.service; systemctl start fdwatch.socket fdwatch-report.socket")
    #expect(try !isActive("fdwatch.service"))
    try container.output(of: "fdwatch", "report", "unclosed file /srv/forgotten")
    let report = try host.entry("MESSAGE_ID=9a6b8a3ed2be4bb58fd3b4ef7c3b1d5e") {
      $0["MESSAGE"]?.contains("unclosed file /srv/forgotten") == true
    }
    #expect(report["FDWATCH_TYPE"] == "report")
    #expect(try isActive("fdwatch.service"))
  }

  @Test func `is the only one in its folders`() throws {
    let pid = try host.status().pid
    let second = try container.run(["fdwatch", "daemon"])
    #expect(second.status == .exited(69))
    #expect(second.errors.contains("another fdwatch daemon (pid \(pid)) uses /var/lib/fdwatch: "), "\(second.errors)")

    // The other way round, it gives up instead of trying for ever.
    try container.output(of: "systemctl", "stop", "fdwatch.service")
    let foreign = try container.start(["fdwatch", "daemon"])
    defer { foreign.send(SIGKILL) }
    try host.eventually("the foreign one answers") { try host.status().pid > 0 }
    // systemd's sockets then take the place of its own.
    let other = try host.status().pid
    defer { _ = try? container.run(["kill", "-KILL", "\(other)"]) }
    #expect(try container.run(["systemctl", "start", "fdwatch.service"]).status != .exited(0))
    #expect(try host.property("ActiveState") == "failed")
    #expect(try host.property("ExecMainStatus") == "69")
    let said = try host.entries("_SYSTEMD_UNIT=fdwatch.service", "_TRANSPORT=stdout").last?["MESSAGE"]
    #expect(said?.contains("another fdwatch daemon (pid \(other)) uses /var/lib/fdwatch: ") == true, "\(said ?? "")")
  }

  @Test func `says of hooks that cannot be started why, and the check says so before`() throws {
    let file = "/etc/fdwatch/fdwatch.d/20-hooks.toml"
    try container.shell(
      """
      cat >\(file) <<'END'
      [[hook]]
      name = "nocommand"
      command = ["/no/such/program"]
      [[hook]]
      name = "nouser"
      shell = "true"
      user = "no-such-user"
      END
      """)
    let check = try container.run(["fdwatch", "check-config"])
    #expect(check.status == .exited(1))
    #expect(
      check.output.contains("\(file):3:1: hook nocommand: command not found: /no/such/program\n"), "\(check.output)")
    #expect(check.output.contains("\(file):7:1: hook nouser: no such user: no-such-user\n"), "\(check.output)")
    // In the daemon's sandbox nobody can know: the reload is none of its business.
    try container.output(of: "systemctl", "reload", "fdwatch.service")
    try container.output(of: "fdwatch", "test-alert")
    for (hook, reason) in [
      ("nocommand", "command not found, or not executable: /no/such/program"), ("nouser", "no such user: no-such-user"),
    ] {
      let failed = try host.entry("MESSAGE_ID=1e8f6a9d3b7c4d25a0c9e7f4b2d86a35", "FDWATCH_HOOK=\(hook)")
      #expect(failed["MESSAGE"] == "hook \(hook): test test: \(reason)", "\(failed["MESSAGE"] ?? "")")
    }
  }

  @Test func `keeps for a journald that is away what it is to be told`() throws {
    let test = ["FDWATCH_EVENT=test", "_SYSTEMD_UNIT=fdwatch.service"]
    let before = try host.entries(test[0], test[1]).count
    try container.output(
      of: "systemctl", "stop", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald.service")
    try container.output(of: "fdwatch", "test-alert")
    try container.output(of: "fdwatch", "test-alert")
    #expect(try !host.get("/metrics").contains("fdwatch_journal_pending 0\n"))
    try container.output(of: "systemctl", "start", "systemd-journald.service")
    try host.eventually("the journal has what was kept for it") {
      try host.get("/metrics").contains("fdwatch_journal_pending 0\n")
    }
    // Asked to do so, journald has written all that it took.
    try container.output(of: "journalctl", "--sync")
    #expect(try host.entries(test[0], test[1]).count == before + 2)
    #expect(try host.get("/metrics").contains("fdwatch_journal_dropped_total 0\n"))
  }

  /// It stands for what a host of an earlier version leaves: the unit of a hook whose end nobody has seen.
  @Test func `collects the units that an earlier run of it has left`() throws {
    try container.shell(
      """
      systemd-run --quiet --unit=fdwatch-hook-file-1-1.service --remain-after-exit true
      systemd-run --quiet --unit=fdwatch-hook-file-1-2.service --remain-after-exit false
      systemctl restart fdwatch.service
      """)
    try host.eventually("both are forgotten") {
      try container.output(of: "systemctl", "list-units", "--all", "--no-legend", "fdwatch-hook-file-1-*") == ""
    }
  }
}
