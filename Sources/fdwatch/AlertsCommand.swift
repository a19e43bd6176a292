// SPDX-License-Identifier: Apache-2.0
// fdwatch alerts: what the journal knows of alerts.

import ArgumentParser
import Descriptors
import Linux
import Systemd
import Watch

/// `2d` (ago), `2026-11-23`, `2026-11-23 14:02`, `2026-11-23T14:02:11Z`.
struct PointInTime: ExpressibleByArgument {
  var epoch: Double

  init?(argument: String) {
    if let span = TimeSpan(argument: argument) {
      epoch = WallClock.now - span.duration.seconds
    } else if let seconds = WallClock.seconds(of: argument) {
      epoch = seconds
    } else {
      return nil
    }
  }
}

struct AlertsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "alerts",
    abstract: "Show the alerts that are in the journal.",
    discussion: """
      The journal is where alerts are kept: of this machine, or, with --directory, of many, as systemd-journal-remote \
      collects them. Without --since and -n, the latest 100 are shown.

      Anybody may log an entry that looks like an alert. Only those that root has sent are shown, unless --untrusted is \
      given, which marks the others.

      Examples:
        fdwatch alerts --since 2d
        fdwatch alerts --unit 'orders*' --follow
        fdwatch alerts -D /var/log/journal/remote --format json
      """
  )

  @Option(
    help: ArgumentHelp("Not what is older: 2d, 2026-11-23, '2026-11-23 14:02', or RFC 3339.", valueName: "time"))
  var since: PointInTime?

  @Option(help: ArgumentHelp("Only of these units: a glob.", valueName: "glob"))
  var unit: String?

  @Option(name: .customShort("n"), help: ArgumentHelp("Only the latest ones.", valueName: "number"))
  var most: Int?

  @Flag(name: [.long, .customShort("f")], help: "Go on, and show each alert as it comes.")
  var follow = false

  @Option(
    name: [.long, .customShort("D")], help: ArgumentHelp("Read the journals of this directory.", valueName: "path"))
  var directory: String?

  @Flag(help: "Also those of other machines whose journals lie beside this machine's.")
  var merge = false

  @Flag(help: "Also notices: what is worth a line and wakes nobody.")
  var notices = false

  @Flag(help: "Also what others than root have sent, marked.")
  var untrusted = false

  @Option(help: "What to print: text, or json (one event a line).")
  var format = OutputFormat.text

  func validate() throws {
    if let most, most < 0 { throw ValidationError("-n takes a number of alerts, 0 or more.") }
    if directory != nil, merge { throw ValidationError("--directory reads all that is there: it takes no --merge.") }
  }

  private var filter: JournalFilter {
    var filter = JournalFilter()
    filter.since = since?.epoch
    filter.unit = unit
    filter.includesUntrusted = untrusted
    if !notices { filter.events = ["alert", "escalated", "reminder", "resolved", "report", "test"] }
    return filter
  }

  func run() throws {
    let source: JournalSource = directory.map { .directory($0) } ?? (merge ? .allMachines : .machine)
    do {
      let query = try JournalQuery(source, filter)
      for path in query.closedFiles { complain("may not read \(path.printable): alerts in it are missing") }
      switch format {
      case .json: try showJSON(query)
      case .text: try showText(query)
      }
    } catch let error as JournalReadError {
      complain("\(error)".printable)
      throw ExitCode(2)
    }
    try Output.check()
  }

  /// How many of those that are there already. All of a span that was asked for; else as many as one reads.
  private var limit: Int { most ?? (since == nil ? 100 : .max) }

  /// The latest of what is there, each made into what is kept of it.
  private func latest<Kept>(_ query: JournalQuery, _ keep: (LoggedEvent) -> Kept) throws -> [Kept] {
    var kept: [Kept] = []
    while let event = try query.next() {
      kept.append(keep(event))
      // Not one by one: that would move all others each time.
      if kept.count / 2 > limit { kept.removeFirst(kept.count - limit) }
    }
    return kept.suffix(limit)
  }

  private func goOn(_ query: JournalQuery, _ show: (LoggedEvent) -> Void) throws {
    while follow {
      while let event = try query.next() { show(event) }
      try Output.check()
      _ = try query.wait()
    }
  }

  private func showJSON(_ query: JournalQuery) throws {
    for line in try latest(query, \.json) { emit(line) }
    try goOn(query) { emit($0.json) }
  }

  private func showText(_ query: JournalQuery) throws {
    let rows = try latest(query) { AlertRow($0) }
    let width = Terminal.isTerminal(1) ? Terminal.size(1)?.columns : nil
    var table = AlertTable(rows, width: width, style: .forOutput, isOfMany: merge || directory != nil)
    if rows.isEmpty, !follow { return emit(nothing) }
    for line in table.lines { emit(line) }
    try goOn(query) { event in for line in table.append(AlertRow(event)) { emit(line) } }
  }

  private var nothing: String {
    let of = unit.map { " of \($0.printable)" } ?? ""
    return "No alerts\(of)" + (since.map { " since \(WallClock.local($0.epoch))" } ?? " in the journal") + "."
  }
}
