// SPDX-License-Identifier: Apache-2.0
// Events from the journal as lines for a person: a table, and below a row what explains it.

import Alerts
import Attribution
import Descriptors
import Linux
import Systemd

/// One event, made fit to be printed: strangers choose names.
package struct AlertRow: Sendable {
  fileprivate let cells: [String]
  fileprivate let host: String
  fileprivate let remark: String?
  fileprivate let urgency: Urgency

  fileprivate enum Urgency { case high, low, over, none }

  package init(_ event: LoggedEvent) {
    let type = event["FDWATCH_TYPE"] ?? ""
    let isOver = event.event == "resolved"
    let sender = event.isTrusted ? "" : " (by uid \(event.user.map { String($0) } ?? "?"))"
    host = (event.host ?? "").printable
    cells = [
      WallClock.local(event.time),
      (event.event.isEmpty ? "?" : event.event.printable) + (event["FDWATCH_SILENCED"] == "1" ? ", silenced" : "")
        + sender,
      (event["FDWATCH_ALERT_ID"] ?? "").printable,
      Self.who(event), Self.what(event, type),
      (event["FDWATCH_LEAKED"] ?? "").printable,
      event["FDWATCH_RATE_PER_HOUR"].flatMap { Double($0) }.map { $0.inHours } ?? "",
      isOver ? "" : event["FDWATCH_SECONDS_TO_LIMIT"].flatMap { Int64($0) }.map { Duration.seconds($0).inColumn } ?? "",
    ]
    remark = Self.remark(event, isOver: isOver)
    switch event.event {
    case "resolved": urgency = .over
    case "alert", "escalated", "reminder": urgency = event.priority <= 3 ? .high : .low
    default: urgency = .none
    }
  }

  private static func who(_ event: LoggedEvent) -> String {
    if let count = event["FDWATCH_PROCESS_COUNT"] {
      return "\((event.unit ?? event["FDWATCH_COMM"] ?? "").printable) (\(count.printable) processes)"
    }
    if let unit = event.unit { return unit.printable }
    guard let command = event["FDWATCH_COMM"], let pid = event["FDWATCH_PID"] else { return "" }
    return "\(command.printable)[\(pid.printable)]"
  }

  private static func what(_ event: LoggedEvent, _ type: String) -> String {
    if type == "limit", let count = event["FDWATCH_COUNT"], let limit = event["FDWATCH_SOFT_LIMIT"] {
      let held = event["FDWATCH_HELD"].map { held in
        ", \(held) are " + [event["FDWATCH_KIND"], event["FDWATCH_TARGET"]].compactMap { $0 }.joined(separator: " ")
      }
      return "limit: \(count) of \(limit) open\(held ?? "")".printable
    }
    if let kind = event["FDWATCH_KIND"] {
      return [kind, event["FDWATCH_TARGET"]].compactMap { $0?.printable }.joined(separator: " ")
    }
    if let more = event["FDWATCH_SUPPRESSED"] { return "\(more) more alerts".printable }
    return type.printable
  }

  /// How it ended, who opened what leaks, or what the columns have no place for.
  private static func remark(_ event: LoggedEvent, isOver: Bool) -> String? {
    if isOver {
      switch event["FDWATCH_RESOLUTION"] {
      case "closed"?: return "over: its descriptors were closed"
      case "exited"?: return "over: the process exited"
      case "retracted"?: return "over: they were closed after all, it was not a leak"
      case "merged"?: return "over: it is a part of another of its leaks"
      case "unwatched"?: return "over: it is not watched any more"
      default: return nil
      }
    }
    // A limit of a user or of the host is nobody's in the columns.
    let isInColumns =
      event["FDWATCH_KIND"] != nil || (event["FDWATCH_TYPE"] == "limit" && event["FDWATCH_PID"] != nil)
    guard let stack = event["FDWATCH_STACK"], !stack.isEmpty else {
      return isInColumns ? nil : (event["FDWATCH_EVIDENCE"] ?? event.message).printable
    }
    let frames = stack.split(separator: "\n").map(String.init)
    guard let frame = event["FDWATCH_STACK_BLAMED"] ?? frames[safely: FrameFilter().own(frames)] else { return nil }
    let share = event["FDWATCH_STACK_SHARE"].flatMap { Double($0) }.flatMap { Int(exactly: ($0 * 100).rounded()) }
    return (share.map { "\($0) % " } ?? "") + "opened by \(frame.printable)"
  }
}

/// Rows below each other, with columns as wide as what was shown last.
package struct AlertTable: Sendable {
  private var rows: [AlertRow] = []
  /// Which machine it was, is told from the first row on that comes from another.
  private var showsHost: Bool
  private let width: Int?
  private let style: TextStyle

  /// So many rows decide how wide the columns of the next one are.
  private static let remembered = 100

  /// - Parameters:
  ///   - width: of the terminal; `nil`: as wide as it is.
  ///   - isOfMany: it may hold entries of other machines, whether or not it does now.
  package init(_ rows: [AlertRow], width: Int?, style: TextStyle, isOfMany: Bool = false) {
    (self.rows, self.width, self.style) = (rows, width, style)
    showsHost = isOfMany || Set(rows.map(\.host)).count > 1
  }

  /// The title and all rows.
  package var lines: [String] {
    let made = table.lines(width: width)
    return [style.dim(made.title)] + zip(made.rows, rows).flatMap { decorated($0, $1) }
  }

  /// One more row, alone.
  package mutating func append(_ row: AlertRow) -> [String] {
    if rows.count >= 2 * Self.remembered { rows.removeFirst(rows.count - Self.remembered) }
    rows.append(row)
    if !showsHost, let first = rows.first, first.host != row.host { showsHost = true }
    return decorated(table.lines(width: width).rows.last ?? "", row)
  }

  private var table: TextTable {
    var columns: [TextTable.Column] = [
      .init("TIME"), .init("EVENT"), .init("ALERT"), .init("WHO"), .init("WHAT", isFlexible: true),
      .init("LEAKED", alignRight: true),
      .init("RATE", alignRight: true), .init("LIMIT IN", alignRight: true),
    ]
    if showsHost { columns.insert(.init("HOST"), at: 1) }
    var table = TextTable(columns)
    for row in rows {
      var cells = row.cells
      if showsHost { cells.insert(row.host, at: 1) }
      table.append(cells)
    }
    return table
  }

  private func decorated(_ padded: String, _ row: AlertRow) -> [String] {
    // The last columns may be empty.
    let line = String(padded.reversed().drop { $0 == " " }.reversed())
    let shown =
      switch row.urgency {
      case .high: style.alarm(line)
      case .low: style.warning(line)
      case .over: style.good(line)
      case .none: line
      }
    guard let remark = row.remark else { return [shown] }
    let text = "    " + remark
    return [shown, style.dim(width.map { text.fitted($0) } ?? text)]
  }
}

extension Double {
  /// `38/h`, or `12/min` for a fast one.
  fileprivate var inHours: String {
    guard isFinite, self >= 0, self < 1e12 else { return "?" }
    return self >= 600 ? "\((self / 60).rateInColumn)/min" : "\(rateInColumn)/h"
  }
}

extension Array {
  fileprivate subscript(safely index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
