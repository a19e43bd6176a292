// SPDX-License-Identifier: Apache-2.0
// fdwatch status: what the daemon watches and believes now.

import Alerts
import ArgumentParser
import Daemon
import Descriptors
import FoundationEssentials
import Linux
import Watch

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "What the daemon watches and believes now.",
    discussion: """
      Units with a leak come first, then those that use the most of their limit. Exit status: 0 nothing leaks, 1 an alert \
      goes on, 2 no daemon answers.
      """
  )

  @OptionGroup var place: DaemonPlace

  @Option(help: "What to print: text, or json.")
  var format = OutputFormat.text

  @Flag(help: "Again every two seconds, until Ctrl-C.")
  var watch = false

  @Flag(help: "All units, and not only the first.")
  var all = false

  func run() throws {
    if watch { return try repeatedly() }
    let bytes = try asking { () throws(ControlError) in try place.client.get("/status") }
    let status = try DaemonStatus(bytes)
    if format == .json {
      Output.write(String(decoding: bytes, as: UTF8.self))
    } else {
      for line in status.lines(style: .forOutput, rows: all ? nil : 30, columns: Terminal.size(1)?.columns) {
        emit(line)
      }
    }
    try Output.check()
    if status.alerts.contains(where: { !$0.silenced && $0.type != "report" }) { throw ExitCode(1) }
  }

  private func repeatedly() throws {
    let signals = try SignalQueue()
    while true {
      let status = try DaemonStatus(asking { () throws(ControlError) in try place.client.get("/status") })
      if format == .json {
        emit(status.text)
      } else {
        let size = Terminal.size(1) ?? (24, 80)
        let lines = status.lines(style: .forOutput, rows: all ? nil : max(3, size.rows - 12), columns: size.columns)
        let isScreen = Terminal.isTerminal(1)
        Output.write((isScreen ? "\u{1b}[H\u{1b}[2J" : "") + lines.joined(separator: "\n") + "\n")
      }
      try Output.check()
      switch try signals.wait(until: .now + .seconds(2)) {
      case .interrupt, .terminate, .hangUp: return
      case .stop: Host.stop()
      case .windowChanged, nil: break
      }
    }
  }
}

/// What `/status` says, read back.
struct DaemonStatus {
  struct AlertLine: Decodable {
    var id: String
    var type: String
    var priority: Int
    var message: String
    var first_seen: String
    var silenced: Bool
    var unit: String?
    var pids: [Int32]?
  }

  struct UnitLine: Decodable {
    var unit: String?
    var comm: String
    var processes: Int
    var open: Int
    var soft_limit: UInt64?
    var fullest: Double
    var suspected: Int
    var leaked_per_hour: Double
    var seconds_to_limit: Double?
    var verdict: String
  }

  private struct Own: Decodable {
    var cpu_seconds: Double
    var resident_bytes: UInt64
    var open_descriptors: Int
  }

  private struct SilenceLine: Decodable {
    var subject: String
    var until: String
    var reason: String
    var by: String
  }

  private struct Form: Decodable {
    var version: String
    var pid: Int32
    var since: String
    var watched: Int
    var unseen: [String: Int]
    var configuration: [String]
    var configuration_problem: String?
    var problems: [String]?
    var alerts: [AlertLine]
    var suspected: [AlertLine]?
    var units: [UnitLine]
    var silences: [SilenceLine]
    var journal_pending: Int
    var own: Own?
  }

  private let form: Form
  let text: String

  init(_ bytes: [UInt8]) throws {
    text = String(decoding: bytes, as: UTF8.self)
    do {
      form = try JSONDecoder().decode(Form.self, from: Data(bytes))
    } catch {
      complain("the daemon's answer is not understood: is it of another version?")
      throw ExitCode(2)
    }
  }

  var alerts: [AlertLine] { form.alerts }
  var units: [UnitLine] { form.units }

  func lines(style: TextStyle, rows: Int?, columns: Int?) -> [String] {
    var lines = [
      style.bold("fdwatch \(form.version)[\(form.pid)]") + ", since \(Self.local(form.since))",
      "watching \(form.watched) processes\(blind)",
    ]
    if let own = form.own {
      lines.append(
        style.dim(
          "own cost: \(Duration(clampingSeconds: own.cpu_seconds).inWords) of CPU time, \(own.resident_bytes >> 20) MiB resident, "
            + "\(own.open_descriptors) descriptors"))
    }
    if let problem = form.configuration_problem {
      lines += ["", style.alarm("The new configuration is refused, the old one holds:")]
      lines += problem.split(whereSeparator: \.isNewline).map { "  " + String($0).printable }
    }
    for problem in form.problems ?? [] { lines.append(style.warning("Degraded: \(problem.printable)")) }
    if form.journal_pending > 0 { lines.append(style.warning("\(form.journal_pending) entries wait for a journald")) }
    lines.append("")
    lines += alertLines(style, columns)
    for suspicion in form.suspected ?? [] {
      lines.append(style.dim("\("suspect".padded(8))  \(suspicion.id)  \(suspicion.message.printable)"))
    }
    for silence in form.silences {
      lines.append(
        style.dim(
          "silent until \(Self.local(silence.until)): \(silence.subject.printable) (\(silence.reason.printable), by \(silence.by.printable))"
        ))
    }
    return form.units.isEmpty ? lines : lines + [""] + unitLines(style, rows, columns)
  }

  private static func local(_ time: String) -> String { WallClock.seconds(of: time).map(WallClock.local) ?? time }

  private var blind: String {
    let unseen = form.unseen.filter { $0.value > 0 }.sorted { $0.key < $1.key }
    if unseen.isEmpty { return "" }
    return "; cannot see " + unseen.map { "\($0.value) (\($0.key))" }.joined(separator: ", ")
  }

  private func alertLines(_ style: TextStyle, _ columns: Int?) -> [String] {
    if form.alerts.isEmpty, form.watched == 0 {
      return [style.warning("Nothing is watched: no process that can be seen fits a [[watch]] rule.")]
    }
    if form.alerts.isEmpty {
      return [form.suspected?.isEmpty ?? true ? style.good("Nothing leaks.") : "No alerts; leaks are suspected:"]
    }
    return form.alerts.flatMap { alert -> [String] in
      let word =
        alert.silenced ? "silenced" : ["LEAK", "LEAK", "CRIT", "ERROR", "WARN", "NOTE"][min(max(alert.priority, 0), 5)]
      let head = "\(word.padded(8))  \(alert.id)  "
      let text = "\(alert.message.printable) (since \(Self.local(alert.first_seen).prefix(16)))"
      let wrapped = text.wrapped(max(40, (columns ?? 200) - head.columns))
      return wrapped.enumerated().map { index, line in
        let start = index == 0 ? (alert.priority <= 3 && !alert.silenced ? style.alarm(head) : style.warning(head)) : ""
        return (index == 0 ? start : String(repeating: " ", count: head.columns)) + line
      }
    }
  }

  private func unitLines(_ style: TextStyle, _ rows: Int?, _ columns: Int?) -> [String] {
    var table = TextTable([
      .init("UNIT", isFlexible: true), .init("PROCESSES", alignRight: true), .init("OPEN", alignRight: true),
      .init("FULLEST", alignRight: true), .init("SUSPECT", alignRight: true), .init("LEAKED/H", alignRight: true),
      .init("LIMIT IN", alignRight: true), .init("VERDICT"),
    ])
    for unit in form.units.prefix(rows ?? form.units.count) {
      table.append([
        (unit.unit ?? "\(unit.comm) (no unit)").printable, String(unit.processes), String(unit.open),
        unit.soft_limit == nil ? "-" : "\(Int(clamping: unit.fullest * 100)) %",
        unit.suspected == 0 ? "" : String(unit.suspected),
        unit.leaked_per_hour == 0 ? "" : unit.leaked_per_hour.rateInColumn,
        unit.seconds_to_limit.map { Duration(clampingSeconds: $0).inColumn } ?? "", unit.verdict,
      ])
    }
    let lines = table.lines(width: columns)
    let more = form.units.count - (rows ?? form.units.count)
    return [style.dim(lines.title)] + lines.rows + (more > 0 ? [style.dim("and \(more) more: --all")] : [])
  }
}
