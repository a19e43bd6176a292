// SPDX-License-Identifier: Apache-2.0
// What Prometheus reads.

import Alerts
import Descriptors
import Linux
import Procfs
import TestSupport
import Testing
import Watch

@testable import Config
@testable import Daemon

@Suite struct `The metrics` {
  private func watched(_ child: FDFactory, unit: String?) throws -> Watched {
    var directory = try ProcessDirectory(pid: child.pid, in: try Procfs())
    let start = directory.startTime
    _ = try directory.countOrExplain()
    let sentry = try Sentry(directory, at: .zero)
    // Limits are read at the first poll.
    _ = try sentry.poll(at: .zero)
    return Watched(
      sentry,
      AlertProcess(pid: child.pid, startTime: start, command: "x", executable: nil, user: "root", unit: unit),
      Treatment(nil, in: Configuration(), units: .init()), nextPoll: .zero, since: .zero)
  }

  private func lines(_ overview: Overview, _ own: OwnFigures = OwnFigures()) -> [Substring] {
    Metrics(overview, own).text.split(separator: "\n")
  }

  @Test func `of a unit are sums, the lowest limit and the fullest process`() throws {
    let (small, large) = try (FDFactory(), FDFactory())
    try small.limit(soft: 100)
    try small.open("eventfd", 47)
    try large.limit(soft: 1000)
    try large.open("eventfd", 97)
    var overview = Overview()
    for child in [small, large] { overview.add(try watched(child, unit: "a.service")) }
    overview.finish()
    let text = lines(overview)
    for line in [
      "fdwatch_processes{unit=\"a.service\"} 2", "fdwatch_open_descriptors{unit=\"a.service\"} 150",
      "fdwatch_soft_limit_descriptors{unit=\"a.service\"} 100", "fdwatch_fullest_ratio{unit=\"a.service\"} 0.5",
      "fdwatch_suspected_descriptors{unit=\"a.service\"} 0", "fdwatch_leaking{unit=\"a.service\"} 0",
    ] { #expect(text.contains(line[...]), "\(line)") }
    #expect(!text.contains { $0.hasPrefix("fdwatch_seconds_to_limit{") }, "nothing is forecast")
  }

  @Test func `of processes outside of units are one row, and labels are escaped`() throws {
    let (one, other) = try (FDFactory(), FDFactory())
    var overview = Overview()
    overview.add(try watched(one, unit: "a\\b\"c\nd.service"))
    overview.add(try watched(other, unit: nil))
    let text = lines(overview)
    #expect(text.contains("fdwatch_processes{unit=\"a\\\\b\\\"c\\nd.service\"} 1"))
    #expect(text.contains("fdwatch_processes{unit=\"\"} 1"))
  }

  @Test func `of the daemon itself say what it was told`() {
    var own = OwnFigures()
    own.version = "1.2"
    (own.polls, own.censuses, own.roundSeconds) = (7, 3, 0.25)
    own.unseen = [.denied: 2]
    own.hooks = ["mail": .init(results: ["delivered": 4, "failed": 1], dropped: 9)]
    (own.journalPending, own.isReloadFailed) = (5, true)
    own.alertEvents = [.alert: 6]
    own.firing = [.leak: 1]
    own.hostHandles = HostHandles(open: 10, limit: 1 << 62)
    own.isStateFailing = true
    (own.reportsReceived, own.reportsDropped, own.unreadableProfiles) = (11, 8, 12)
    let text = lines(Overview(), own)
    for line in [
      "fdwatch_build_info{version=\"1.2\"} 1", "fdwatch_polls_total 7", "fdwatch_censuses_total 3",
      "fdwatch_round_duration_seconds 0.25", "fdwatch_unseen_processes{reason=\"denied\"} 2",
      "fdwatch_unseen_processes{reason=\"limit\"} 0", "fdwatch_hook_runs_total{hook=\"mail\",result=\"delivered\"} 4",
      "fdwatch_hook_runs_total{hook=\"mail\",result=\"failed\"} 1", "fdwatch_hook_dropped_total{hook=\"mail\"} 9",
      "fdwatch_journal_pending 5", "fdwatch_config_reload_failed 1", "fdwatch_alert_events_total{event=\"alert\"} 6",
      "fdwatch_alerts{type=\"leak\"} 1", "fdwatch_alerts{type=\"report\"} 0", "fdwatch_host_file_handles 10",
      "fdwatch_host_file_handles_limit 4.611686018427388e+18", "fdwatch_state_write_failed 1",
      "fdwatch_reports_total 11", "fdwatch_reports_dropped_total 8", "fdwatch_profiles_unreadable 12",
    ] { #expect(text.contains(line[...]), "\(line)") }
    // Each name has its help and its type before its values, once.
    let helps = text.filter { $0.hasPrefix("# HELP ") }.map { $0.split(separator: " ")[2] }
    #expect(helps.count == Set(helps).count)
  }
}
