// SPDX-License-Identifier: Apache-2.0
// The daemon as a service of a real systemd: what an administrator sees of it.

import Foundation
import TestSupport
import Testing

private let obstacle = SystemdContainer.obstacle ?? DebianPackage.obstacle
private let needsContainer = Comment(rawValue: "cannot boot a container with the package: \(obstacle ?? "")")

@Suite(.enabled(if: obstacle == nil, needsContainer), .serialized) struct `The service` {
  private static let keeper = HostKeeper()
  private let host: DaemonHost
  private var container: SystemdContainer { host.container }

  init() throws { host = try Self.keeper.ready() }

  @Test func `is ready when it has looked at all processes, and says what it watches`() throws {
    #expect(try container.output(of: "systemctl", "is-active", "fdwatch.service") == "active\n")
    let status = try container.output(of: "systemctl", "show", "--property=StatusText", "fdwatch.service")
    #expect(status.hasPrefix("StatusText=watching ") && status.contains(" units: "))
    #expect(try host.statusTable().contains("init.scope"))
  }

  @Test func `is bound by the limits of its unit`() throws {
    #expect(
      try container.output(of: "systemctl", "show", "--property=MemoryMax,OOMScoreAdjust,TasksMax", "fdwatch")
        == "MemoryMax=67108864\nTasksMax=64\nOOMScoreAdjust=-200\n")
    let limits = try container.output(of: "cat", "/proc/\(host.status().pid)/limits").split(separator: "\n")
    let open = try #require(limits.first { $0.hasPrefix("Max open files") }).split(separator: " ")
    // As the unit says, or what there is where that is less.
    #expect(Int(open[3]).map { $0 > 1024 && $0 <= 65536 } == true && open[3] == open[4], "\(open)")
  }

  @Test(.enabled(if: Self.mayOutliveOthers, "needs CAP_SYS_RESOURCE, as who sets oom_score_adj below 0 does"))
  func `goes later than others where memory runs short`() throws {
    #expect(try container.output(of: "cat", "/proc/\(host.status().pid)/oom_score_adj") == "-200\n")
  }

  private static let mayOutliveOthers = Machine.canRun("sh", "-c", "echo -200 > /proc/self/oom_score_adj")

  @Test func `tells of a leak in the log of the service that leaks`() throws {
    let alert = try host.alert(of: "leaky.service")
    #expect(alert["OBJECT_SYSTEMD_UNIT"] == "leaky.service")
    #expect(alert["OBJECT_PID"] == alert["FDWATCH_PID"])
    #expect(alert["SYSLOG_IDENTIFIER"] == "fdwatch")
    #expect(alert["FDWATCH_EVENT"] == "alert" && alert["FDWATCH_TYPE"] == "leak")
    #expect(alert["FDWATCH_COMM"] == "leak" && alert["FDWATCH_EXE"]?.hasSuffix("/bash") == true)
    #expect(alert["FDWATCH_KIND"] == "file" && alert["FDWATCH_TARGET"] == "/srv/spool/leaky")
    #expect(alert["FDWATCH_SOFT_LIMIT"] == "1024")
    #expect(alert["FDWATCH_LABEL"] == "team=web")
    #expect(alert["MESSAGE"]?.hasPrefix("leaky.service leak[") == true, "\(alert["MESSAGE"] ?? "")")
    for number in [
      "PRIORITY", "FDWATCH_PRIORITY", "FDWATCH_COUNT", "FDWATCH_LEAKED", "FDWATCH_RATE_PER_HOUR",
      "FDWATCH_SECONDS_TO_LIMIT", "FDWATCH_CONFIDENCE", "FDWATCH_FIRST_SEEN",
    ] {
      #expect(Double(alert[number] ?? "") != nil, "\(number)")
    }
    let id = try #require(alert["FDWATCH_ALERT_ID"])

    // By the unit, and with the catalog's words.
    let log = try container.output(of: "journalctl", "--unit=leaky.service", "--catalog", "--quiet")
    #expect(log.contains(": leaky.service leak["))
    #expect(log.contains("Subject: leak leaks descriptors: file /srv/spool/leaky\n"))
    #expect(log.contains("fdwatch explain \(id)\n"))

    #expect(try container.output(of: "fdwatch", "alerts", "--unit", "leaky").contains("/srv/spool/leaky"))
    #expect(try host.statusTable().contains(id))
    #expect(try container.output(of: "fdwatch", "explain", id).contains("/srv/spool/leaky"))
    try host.eventually("the service's own status names who leaks") {
      try container.output(of: "systemctl", "show", "--property=StatusText", "fdwatch.service").contains(
        "leaky.service")
    }
  }

  @Test func `tells of the workers of a unit once`() throws {
    _ = try host.alert(of: "pool.service")
    try host.eventually("all three are known to leak") {
      try host.status().alert(of: "pool.service")?.process_count == 3
    }
    let id = try #require(try host.status().alert(of: "pool.service")?.id)
    #expect(try host.entries("FDWATCH_ALERT_ID=\(id)", "FDWATCH_EVENT=alert").count == 1)
    #expect(try host.statusTable().contains("pool.service"))
  }

  @Test(.enabled(if: DaemonHost.hasGo, "needs Go (Debian: golang-go)"))
  func `names who opened what leaks, by the profile that the unit points to`() throws {
    let blaming = try host.entry("FDWATCH_UNIT=orders.service") { $0["FDWATCH_STACK"] != nil }
    #expect(blaming["FDWATCH_STACK"]?.contains("main.leakA") == true, "\(blaming["FDWATCH_STACK"] ?? "")")
    #expect(blaming["FDWATCH_PROFILE"] == "file")
  }

  @Test(.enabled(if: DaemonHost.hasGo, "needs Go (Debian: golang-go)"))
  func `says how a profile is reached for which it has no network`() throws {
    let note = try host.entry("_SYSTEMD_UNIT=fdwatch.service") { $0["MESSAGE"]?.contains("127.0.0.1:7070") == true }
    #expect(note["MESSAGE"]?.contains("/usr/lib/fdwatch/network.conf") == true, "\(note["MESSAGE"] ?? "")")
    #expect(note["OBJECT_SYSTEMD_UNIT"] == "faraway.service")
    try host.eventually("status, metrics and health say so, too") {
      try host.get("/healthz").contains("cannot read the profile of goleak[")
        && host.get("/metrics").contains("\nfdwatch_profiles_unreadable 1\n")
        && host.statusTable().contains("Degraded: cannot read the profile of goleak[")
    }
  }

  @Test func `runs hooks outside of its sandbox`() throws {
    let id = try #require(try host.alert(of: "leaky.service")["FDWATCH_ALERT_ID"])
    let said = try host.entry("SYSLOG_IDENTIFIER=fdwatch-hook-file") { $0["MESSAGE"] == "the hook was told of \(id)" }
    #expect(said["_SYSTEMD_UNIT"]?.hasPrefix("fdwatch-hook-file-") == true)
    #expect(try container.output(of: "cat", "/root/\(id)-alert") == "3:a word:alert:leaky.service\n")
    let json = try container.output(of: "cat", "/srv/\(id)-alert.json")
    let told = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(told["schema"] as? Int == 1 && told["id"] as? String == id && told["event"] as? String == "alert")
    #expect((told["labels"] as? [String: String]) == ["team": "web"])

    // A unit that is there already is started with the alert as its instance.
    let evidence = try host.entry("_SYSTEMD_UNIT=fdwatch-alert@\(id).service") {
      $0["MESSAGE"]?.contains("/srv/spool/leaky") == true
    }
    #expect(evidence["SYSLOG_IDENTIFIER"] == "fdwatch-alert")

    let failed = try host.entry("MESSAGE_ID=1e8f6a9d3b7c4d25a0c9e7f4b2d86a35", "FDWATCH_HOOK=refusing")
    #expect(failed["MESSAGE"]?.contains("ended with 1") == true)
    // Of each a run more, for the daemon may have been started anew since.
    try container.output(of: "fdwatch", "test-alert")
    try host.eventually("each run is counted") {
      let metrics = try host.get("/metrics")
      return [("file", "delivered"), ("refusing", "failed"), ("template", "delivered")].allSatisfy {
        metrics.contains("fdwatch_hook_runs_total{hook=\"\($0)\",result=\"\($1)\"}")
      }
    }
    try host.eventually("no unit is left of a run") {
      try container.output(of: "systemctl", "list-units", "--all", "--no-legend", "fdwatch-hook-*") == ""
    }
  }

  @Test func `has every metric that the alerting rules and the dashboard ask for`() throws {
    let metrics = try host.get("/metrics")
    let rules = try Repository.text(of: "packaging/prometheus/fdwatch.rules.yml")
    let dashboard = try Repository.text(of: "packaging/grafana/fdwatch.json")
    let asked = Set(
      (rules + dashboard).split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":")) }
        .filter { ($0.hasPrefix("fdwatch_") || $0.hasPrefix("process_")) && !$0.contains(":") })
    #expect(asked.count > 10)
    for name in asked { #expect(metrics.contains("# TYPE \(name) "), "\(name)") }
  }
}
