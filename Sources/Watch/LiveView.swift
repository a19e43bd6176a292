// SPDX-License-Identifier: Apache-2.0
// What a person sees of a watch: one frame of the live view, and the table of a single look. Pure text, nothing is
// written here.

import Alerts
import Descriptors
import Detection
import Procfs

/// What is known of a watched process, for display.
package struct ProcessView: Sendable {
  package var identity: ProcessIdentity
  /// The beginning of its arguments.
  package var commandLine = ""
  package var userName: String
  package var unit: String?
  package var count: Int
  package var limits: Limits
  /// The count at each poll, oldest first.
  package var history: [Int] = []
  package var classes: [ClassReport] = []
  package var findings: [Finding] = []
  /// What was last to be told about its profiles.
  package var profileNote: String?
  /// Why it is not watched any more, where that is so.
  package var ended: String?

  package init(identity: ProcessIdentity, userName: String, unit: String?, count: Int, limits: Limits) {
    self.identity = identity
    self.userName = userName
    self.unit = unit
    self.count = count
    self.limits = limits
  }

  /// What to show first: leaks, then suspicion; what has ended comes last.
  var rank: Double {
    if !findings.isEmpty { return 2 }
    return ended == nil ? classes.reduce(0) { max($0, $1.suspicion) } : -1
  }

  /// `nginx[4711]`.
  package var name: String { "\(identity.command.printable)[\(identity.pid)]" }

  /// `241 of 1024 (24 %)`.
  package var usage: String {
    if limits.soft == .max { return "\(count), no limit" }
    if limits.soft == 0 { return "\(count) of 0" }
    return "\(count) of \(limits.soft) (\(UInt64(clamping: count) * 100 / limits.soft) %)"
  }

  /// The classes as a table: the most suspicious first.
  package func classTable(withRates: Bool) -> TextTable {
    var columns: [TextTable.Column] = [
      .init("KIND"), .init("TARGET", isFlexible: true), .init("OPEN", alignRight: true),
    ]
    if withRates {
      columns += [
        .init("OPENED/MIN", alignRight: true), .init("CLOSED/MIN", alignRight: true),
        .init("OLDEST", alignRight: true), .init("VERDICT"),
      ]
    }
    var table = TextTable(columns)
    for report in classes {
      var cells = [report.kind.rawValue, report.target?.printable ?? "", String(report.open)]
      if withRates {
        let oldest = report.oldest.map { (report.oldestIsLowerBound ? ">" : "") + $0.inColumn } ?? ""
        cells += [
          report.openedPerMinute?.rateInColumn ?? "", report.closedPerMinute?.rateInColumn ?? "", oldest,
          report.verdict.rawValue,
        ]
      }
      table.append(cells)
    }
    return table
  }
}

/// One frame of the live view.
package struct LiveFrame: Sendable {
  package var columns: Int
  package var rows: Int
  package var style: TextStyle

  package init(columns: Int, rows: Int, style: TextStyle) {
    self.columns = max(columns, 20)
    self.rows = max(rows, 6)
    self.style = style
  }

  /// What one process needs to be shown with a table and a finding.
  private static let roomOfOne = 8

  /// The frame's lines, at most as many as there are rows, none wider than the terminal.
  ///
  /// Where not all processes have room, the most suspicious are shown in full and the others in a line each.
  package func lines(_ processes: [ProcessView], elapsed: Duration) -> [String] {
    let room = rows - 1
    let fitting = max(1, room / Self.roomOfOne)
    // Those that have ended need no room of their own where others do.
    let inFull =
      processes.count <= fitting ? processes.count : min(fitting, max(1, processes.count { $0.rank >= 0 }))
    var shown = processes
    var rest: [String] = []
    if inFull < processes.count {
      shown = processes.enumerated().sorted { ($0.element.rank, $1.offset) > ($1.element.rank, $0.offset) }
        .map(\.element)
      let brief = min(processes.count - inFull, max(1, room / 3))
      let missing = processes.count - inFull - brief
      rest = shown.dropFirst(inFull).prefix(missing > 0 ? brief - 1 : brief).map { line(of: $0).fitted(columns) }
      if missing > 0 { rest.append(style.dim("… and \(missing + 1) more processes".fitted(columns))) }
    }
    var lines: [String] = []
    for (index, process) in shown.prefix(inFull).enumerated() {
      let left = inFull - index
      if index > 0 { lines.append("") }
      // The first ones take what they need, as long as those behind them have enough.
      lines += section(process, room: room - rest.count - lines.count - (left - 1) * Self.roomOfOne)
    }
    if !rest.isEmpty { lines.append("") }
    let foot = "watched for \(elapsed.inWords) · Ctrl-C ends"
    return Array((lines.prefix(room - rest.count) + rest).prefix(room)) + [style.dim(foot.fitted(columns))]
  }

  /// `4711  nginx  12 of 1024 (1 %) open  load`.
  private func line(of process: ProcessView) -> String {
    let state = process.ended ?? process.classes.first?.verdict.rawValue ?? ""
    return "\(process.identity.pid)  \(process.identity.command.printable)  \(process.usage) open  \(state)"
  }

  private func section(_ process: ProcessView, room: Int) -> [String] {
    var lines = head(process)
    let text = process.findings.flatMap { finding(of: process, $0) }
    let table = process.classTable(withRates: true).lines(width: columns)
    // The finding is what the person came for: the table takes what it leaves, and its first row at least.
    let tableRoom = max(0, room - lines.count - min(text.count, max(room - lines.count - 2, 0)))
    if tableRoom >= 2, !process.classes.isEmpty {
      lines.append(style.dim(table.title.fitted(columns)))
      let fitting = table.rows.count <= tableRoom - 1 ? table.rows.count : max(1, tableRoom - 2)
      for (row, report) in zip(table.rows, process.classes).prefix(fitting) {
        lines.append(paint(row.fitted(columns), report.verdict))
      }
      if fitting < table.rows.count, tableRoom > 2 {
        let hidden = process.classes.dropFirst(fitting).reduce(0) { $0 + $1.open }
        lines.append(style.dim("… \(table.rows.count - fitting) more classes, \(hidden) open".fitted(columns)))
      }
    }
    return lines + text.prefix(max(0, room - lines.count))
  }

  private func head(_ process: ProcessView) -> [String] {
    var who = "\(process.identity.pid)  \(commandLine(process))"
    who += "  user \(process.userName.printable)"
    if let unit = process.unit { who += "  unit \(unit.printable)" }
    if let ended = process.ended {
      return [style.bold(who.fitted(columns)), style.warning(ended.fitted(columns))]
    }
    let usage = "\(process.usage) open  "
    let bars = sparkline(process.history, width: min(60, columns - usage.columns))
    var lines = [style.bold(who.fitted(columns)), (usage + bars).fitted(columns)]
    if let note = process.profileNote { lines.append(style.dim("profile: \(note.printable)".fitted(columns))) }
    return lines
  }

  /// The name, and the arguments where they say more.
  private func commandLine(_ process: ProcessView) -> String {
    let arguments = process.commandLine.printable
    let name = process.identity.command.printable
    return arguments.isEmpty
      ? name : arguments.contains(name) ? arguments.fitted(columns / 2) : "\(name)  \(arguments.fitted(columns / 2))"
  }

  private func finding(of process: ProcessView, _ finding: Finding) -> [String] {
    let head = "LEAK  \(finding.subject)".fitted(columns)
    let text = finding.paragraph(limits: process.limits).wrapped(columns - 2)
    return ["", style.alarm(head)] + text.map { "  " + $0 } + stackLines(finding)
  }

  /// The stack that accounts for most of it: the program's own frame stands out, the others are dimmed.
  private func stackLines(_ finding: Finding) -> [String] {
    guard let stack = finding.blame?.stacks.first else { return [] }
    return stack.frames.enumerated().map { index, frame in
      let line = "    \(frame.printable)".fitted(columns)
      return index == stack.own ? style.bold(line) : style.dim(line)
    }
  }

  private func paint(_ row: String, _ verdict: Verdict) -> String {
    switch verdict {
    case .leak: style.alarm(row)
    case .collector: style.warning(row)
    default: row
    }
  }
}
