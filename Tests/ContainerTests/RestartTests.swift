// SPDX-License-Identifier: Apache-2.0
// The daemon reloaded, stuck, killed, started by who asks it, and without a journald.

import Foundation
import TestSupport
import Testing

extension `The service` {
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
    // A socket answers once somebody is there who takes connections.
    let after = try host.status()
    #expect(after.pid != before.pid)
    #expect(after.alert(of: "leaky.service")?.id == alert.id)
    // The detector's own word, and not what the book of alerts remembers. How much has leaked is told by it as long as it
    // goes on as fast as before: this one has slowed down.
    try host.eventually("its detector knows what it knew") {
      try host.get("/metrics").contains("\nfdwatch_leaking{unit=\"leaky.service\"} 1\n")
    }
    #expect(try (host.status().alert(of: "leaky.service")?.leaked ?? 0) * 10 >= (alert.leaked ?? .max) * 9)
    for unit in units {
      #expect(try host.entries("FDWATCH_UNIT=\(unit)", "FDWATCH_EVENT=alert").count == 1, "\(unit)")
      #expect(try host.entries("FDWATCH_UNIT=\(unit)", "FDWATCH_EVENT=resolved").isEmpty, "\(unit)")
    }
    try container.shell("rm /run/systemd/system/fdwatch.service.d/watchdog.conf; systemctl daemon-reload")
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

    // The limit holds for two seconds: no administrator is that quick.
    try container.shell("rm \(bad); sleep 2; systemctl start fdwatch.service")
    for unit in ["fdwatch.service", "fdwatch.socket", "fdwatch-report.socket"] {
      #expect(try container.output(of: "systemctl", "is-active", unit) == "active\n")
    }
    #expect(try host.get("/healthz") == "ok\n")
  }

  @Test func `is started by who asks it or reports to it`() throws {
    func isActive() throws -> Bool {
      try container.run(["systemctl", "is-active", "fdwatch.service"]).output == "active\n"
    }
    try container.output(of: "systemctl", "stop", "fdwatch.service")
    #expect(try !isActive())
    #expect(try host.statusTable().contains("fdwatch.service"))
    #expect(try isActive())

    try container.output(of: "systemctl", "stop", "fdwatch.service")
    try container.output(
      of: "logger", "--udp", "--socket", "/run/fdwatch/report.sock", "unclosed file /srv/forgotten")
    let report = try host.entry("MESSAGE_ID=9a6b8a3ed2be4bb58fd3b4ef7c3b1d5e") {
      $0["MESSAGE"]?.contains("unclosed file /srv/forgotten") == true
    }
    #expect(report["FDWATCH_TYPE"] == "report")
    #expect(try isActive())
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
