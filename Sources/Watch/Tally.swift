// SPDX-License-Identifier: Apache-2.0
// What is left to say when a watch is over.

import Alerts
import Descriptors
import Detection
import Procfs

/// Adds up a watch, for its summary.
package struct Tally: Sendable {
  private struct Row {
    var first: Int
    var last: ProcessView
    var leaks: [Int: (finding: Finding, resolution: Resolution?)] = [:]
    var reason: String?
  }

  private var rows: [Row] = []

  package init() {}

  package mutating func began(_ processes: [ProcessView]) {
    rows = processes.map { Row(first: $0.count, last: $0) }
  }

  package mutating func changed(_ process: ProcessView, _ event: DetectionEvent) {
    guard let index = index(of: process) else { return }
    switch event {
    case .alert(let finding), .escalated(let finding), .attributed(let finding):
      rows[index].leaks[finding.id] = (finding, nil)
    case .resolved(let finding, let how): rows[index].leaks[finding.id] = (finding, how)
    case .suspected, .raised, .notice: break
    }
  }

  package mutating func ended(_ process: ProcessView, reason: String?) {
    guard let index = index(of: process) else { return }
    rows[index].last = process
    rows[index].reason = reason
    for finding in process.findings { rows[index].leaks[finding.id]?.finding = finding }
  }

  private func index(of process: ProcessView) -> Int? {
    rows.firstIndex { $0.last.identity.pid == process.identity.pid }
  }

  /// The summary's lines.
  /// - Parameter columns: to wrap at; lines are not broken if `nil`.
  package func summary(elapsed: Duration, style: TextStyle, columns: Int?) -> [String] {
    rows.flatMap { row in
      let process = row.last
      let change = "\(row.first) open at the start, \(process.usage) at the end"
      var text = "\(process.name): watched for \(elapsed.inWords), \(change)."
      if let reason = row.reason { text += " \(reason.prefix(1).uppercased())\(reason.dropFirst())." }
      if row.leaks.isEmpty { return wrap(text + " No leak seen.", columns) }
      var lines = wrap(text, columns)
      for (finding, resolution) in row.leaks.values.sorted(by: { $0.finding.id < $1.finding.id }) {
        lines.append(style.alarm("LEAK  \(finding.subject)"))
        let over = resolution.map { " Over: \($0.inWords)." } ?? ""
        lines += wrap(finding.paragraph(limits: process.limits) + over, columns.map { $0 - 2 }).map { "  " + $0 }
      }
      return lines
    }
  }

  private func wrap(_ text: String, _ columns: Int?) -> [String] { columns.map { text.wrapped($0) } ?? [text] }
}
