// SPDX-License-Identifier: Apache-2.0
// The daemon's figures in the Prometheus text format, version 0.0.4. By unit and never by pid: what comes and goes would
// make a new series each time.

import Alerts
import Descriptors
import Detection
import Linux
import Watch

/// Figures of the daemon itself.
package struct OwnFigures: Sendable {
  package var version = ""
  package var polls: UInt64 = 0
  package var censuses: UInt64 = 0
  package var roundSeconds = 0.0
  package var unseen: [Unseen: Int] = [:]
  package var hooks: [String: HookRunner.Tally] = [:]
  package var journalPending = 0
  package var journalDropped = 0
  package var isReloadFailed = false
  package var alertEvents: [AlertWord: Int] = [:]
  package var firing: [AlertType: Int] = [:]
  package var hostHandles: HostHandles?
  package var isStateFailing = false
  package var reportsReceived: UInt64 = 0
  package var reportsDropped: UInt64 = 0
  package var unreadableProfiles = 0
  package var countedOnly = 0
  /// In words.
  package var problems: [String] = []

  package init() {}
}

/// `fs.file-nr`: see proc(5).
package struct HostHandles: Sendable, Equatable {
  package var open: UInt64
  package var limit: UInt64

  package init(open: UInt64, limit: UInt64) { (self.open, self.limit) = (open, limit) }

  /// Of the limit that is in use, 0…1.
  package var part: Double { limit == 0 ? 0 : Double(open) / Double(limit) }
}

package struct Metrics: Sendable {
  package private(set) var text = ""
  /// Classes are named by paths: so many at most.
  private static let mostClasses = 50

  /// - Parameter withProcess: also what every exporter says of its own process: not in a file that another one reads, which
  ///   says the same of itself.
  package init(_ overview: Overview, _ own: OwnFigures, withProcess: Bool = true) {
    about("fdwatch_build_info", "gauge", "The version that runs.")
    add("fdwatch_build_info", [("version", own.version)], 1)
    addUnits(overview.units)
    about("fdwatch_class_descriptors", "gauge", "Open descriptors of classes that look like a leak, the largest first.")
    for suspect in overview.suspects.prefix(Self.mostClasses) {
      add(
        "fdwatch_class_descriptors",
        [("unit", suspect.unit ?? ""), ("kind", suspect.kind.rawValue), ("target", (suspect.target ?? "").printable)],
        Double(suspect.open))
    }
    addAlerts(own)
    addOwn(own)
    if withProcess { addProcess() }
  }

  private mutating func addUnits(_ rows: [UnitRow]) {
    // Processes outside of units have one row together.
    var units: [String: UnitRow] = [:]
    for row in rows {
      guard var sum = units[row.unit ?? ""] else {
        units[row.unit ?? ""] = row
        continue
      }
      sum.processes += row.processes
      sum.open += row.open
      sum.softLimit = [sum.softLimit, row.softLimit].compactMap { $0 }.min()
      sum.fullest = max(sum.fullest, row.fullest)
      sum.suspected += row.suspected
      sum.leakedPerSecond += row.leakedPerSecond
      sum.timeToLimit = [sum.timeToLimit, row.timeToLimit].compactMap { $0 }.min()
      if row.verdict.isLeak { sum.verdict = .leak }
      units[row.unit ?? ""] = sum
    }
    let sorted = units.sorted { $0.key < $1.key }
    func family(_ name: String, _ help: String, _ value: (UnitRow) -> Double?) {
      about(name, "gauge", help)
      for (unit, row) in sorted { if let value = value(row) { add(name, [("unit", unit)], value) } }
    }
    family("fdwatch_processes", "Processes that are watched.") { Double($0.processes) }
    family("fdwatch_open_descriptors", "Open descriptors of all processes of a unit.") { Double($0.open) }
    family("fdwatch_soft_limit_descriptors", "The lowest soft limit (RLIMIT_NOFILE) among the processes of a unit.") {
      $0.softLimit.map { Double($0) }
    }
    family("fdwatch_fullest_ratio", "The highest part of a soft limit that is in use by a process of the unit.") {
      $0.fullest
    }
    family("fdwatch_suspected_descriptors", "Open descriptors in classes that look like a leak.") {
      Double($0.suspected)
    }
    family("fdwatch_leak_descriptors_per_second", "Descriptors that are leaked, by leaks that were told.") {
      $0.leakedPerSecond
    }
    family("fdwatch_seconds_to_limit", "Forecast until a process of the unit reaches its soft limit.") {
      $0.timeToLimit.map { $0 / .seconds(1) }
    }
    family("fdwatch_leaking", "Whether a leak of the unit was told and goes on.") { $0.verdict.isLeak ? 1 : 0 }
  }

  private mutating func addAlerts(_ own: OwnFigures) {
    about("fdwatch_alerts", "gauge", "Alerts that go on.")
    for type in AlertType.allCases { add("fdwatch_alerts", [("type", type.rawValue)], Double(own.firing[type] ?? 0)) }
    about("fdwatch_alert_events_total", "counter", "What was told of alerts.")
    for word in AlertWord.allCases {
      add("fdwatch_alert_events_total", [("event", word.rawValue)], Double(own.alertEvents[word] ?? 0))
    }
    about("fdwatch_hook_runs_total", "counter", "Runs of hooks, by how they came out.")
    for (hook, tally) in own.hooks.sorted(by: { $0.key < $1.key }) {
      for (result, count) in tally.results.sorted(by: { $0.key < $1.key }) {
        add("fdwatch_hook_runs_total", [("hook", hook), ("result", result)], Double(count))
      }
    }
    about("fdwatch_hook_dropped_total", "counter", "Runs of hooks that were dropped, as the queue was full.")
    for (hook, tally) in own.hooks.sorted(by: { $0.key < $1.key }) {
      add("fdwatch_hook_dropped_total", [("hook", hook)], Double(tally.dropped))
    }
    about("fdwatch_journal_pending", "gauge", "Entries that wait for a journald.")
    add("fdwatch_journal_pending", [], Double(own.journalPending))
    about("fdwatch_journal_dropped_total", "counter", "Entries that were given up, as too many waited.")
    add("fdwatch_journal_dropped_total", [], Double(own.journalDropped))
  }

  private mutating func addOwn(_ own: OwnFigures) {
    about("fdwatch_polls_total", "counter", "Looks at processes.")
    add("fdwatch_polls_total", [], Double(own.polls))
    about("fdwatch_censuses_total", "counter", "Full lists of a process's descriptors.")
    add("fdwatch_censuses_total", [], Double(own.censuses))
    about("fdwatch_round_duration_seconds", "gauge", "How long the last round of looks took.")
    add("fdwatch_round_duration_seconds", [], own.roundSeconds)
    about("fdwatch_unseen_processes", "gauge", "Processes that cannot be watched.")
    for why in Unseen.allCases {
      add("fdwatch_unseen_processes", [("reason", why.rawValue)], Double(own.unseen[why] ?? 0))
    }
    about("fdwatch_config_reload_failed", "gauge", "Whether the last configuration was refused.")
    add("fdwatch_config_reload_failed", [], own.isReloadFailed ? 1 : 0)
    about("fdwatch_state_write_failed", "gauge", "Whether the state directory cannot be written.")
    add("fdwatch_state_write_failed", [], own.isStateFailing ? 1 : 0)
    about("fdwatch_reports_total", "counter", "Reports received from processes.")
    add("fdwatch_reports_total", [], Double(own.reportsReceived))
    about("fdwatch_reports_dropped_total", "counter", "Reports dropped, as a process sent more than reports.rate.")
    add("fdwatch_reports_dropped_total", [], Double(own.reportsDropped))
    about("fdwatch_profiles_unreadable", "gauge", "Watched processes whose profile cannot be read.")
    add("fdwatch_profiles_unreadable", [], Double(own.unreadableProfiles))
    about(
      "fdwatch_processes_counted_only", "gauge",
      "Watched processes with too many descriptors to be looked at closely.")
    add("fdwatch_processes_counted_only", [], Double(own.countedOnly))
    guard let handles = own.hostHandles else { return }
    about("fdwatch_host_file_handles", "gauge", "Open file descriptions of the host (fs.file-nr).")
    add("fdwatch_host_file_handles", [], Double(handles.open))
    about("fdwatch_host_file_handles_limit", "gauge", "How many there may be (fs.file-max).")
    add("fdwatch_host_file_handles_limit", [], Double(handles.limit))
  }

  /// As every exporter names them.
  private mutating func addProcess() {
    guard let usage = OwnUsage.now else { return }
    about("process_cpu_seconds_total", "counter", "CPU time of the daemon.")
    add("process_cpu_seconds_total", [], usage.cpuSeconds)
    about("process_resident_memory_bytes", "gauge", "Resident memory of the daemon.")
    add("process_resident_memory_bytes", [], Double(usage.residentBytes))
    about("process_open_fds", "gauge", "Open descriptors of the daemon.")
    add("process_open_fds", [], Double(usage.openDescriptors))
    about("process_max_fds", "gauge", "The soft limit of the daemon.")
    add("process_max_fds", [], Double(usage.softLimit))
    about("process_start_time_seconds", "gauge", "When the daemon was started, since 1970.")
    add("process_start_time_seconds", [], usage.startTime)
  }

  // MARK: Text

  private mutating func about(_ name: String, _ type: String, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
  }

  private mutating func add(_ name: String, _ labels: [(String, String)], _ value: Double) {
    text += name
    if !labels.isEmpty {
      text += "{" + labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",") + "}"
    }
    text += value == value.rounded() && abs(value) < 1e15 ? " \(Int64(value))\n" : " \(value)\n"
  }

  private static func escaped(_ value: String) -> String {
    var text = ""
    for character in value.unicodeScalars {
      switch character {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      // Prometheus would take it, and whoever looks at a dashboard would be shown something else.
      case let character where character.isHidden: text += "\\\\u{" + String(character.value, radix: 16) + "}"
      default: text.unicodeScalars.append(character)
      }
    }
    return text
  }
}
