// SPDX-License-Identifier: Apache-2.0
// How a watch is told: a live view on a terminal, lines elsewhere, JSON for machines, entries for the journal.

import Alerts
import Descriptors
import Detection
import Linux
import Procfs
import Systemd
import Trace
import Watch

/// The live view: repaints in place on the terminal's other screen, and leaves a summary behind.
struct LiveReporter: WatchReporter {
  let style: TextStyle
  private var tally = Tally()

  init(style: TextStyle) { self.style = style }

  mutating func began(_ processes: [ProcessView]) {
    tally.began(processes)
    resumed()
  }

  /// The other screen, without a cursor and without wrapping: what was on this one comes back at the end.
  mutating func resumed() { Output.write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l") }
  mutating func suspended() { Output.write("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l") }

  mutating func roundEnded(_ processes: [ProcessView], elapsed: Duration) {
    let size = Terminal.size(1) ?? (24, 80)
    let frame = LiveFrame(columns: size.columns, rows: size.rows, style: style)
    // Each line clears what is left of the old one, and the last all below: nothing flickers, nothing is left over.
    let lines = frame.lines(processes, elapsed: elapsed).map { $0 + "\u{1b}[K" }
    Output.write("\u{1b}[H" + lines.joined(separator: "\r\n") + "\u{1b}[J")
  }

  mutating func changed(_ process: ProcessView, _ event: DetectionEvent, at time: Duration) {
    tally.changed(process, event)
  }

  mutating func ended(_ process: ProcessView, verdict: Verdict, reason: String?, at time: Duration) {
    tally.ended(process, reason: reason)
  }

  mutating func finished(elapsed: Duration) {
    suspended()
    for line in tally.summary(elapsed: elapsed, style: style, columns: Terminal.size(1)?.columns ?? 80) { emit(line) }
  }
}

/// A line per change, for a pipe or a file.
struct LineReporter: WatchReporter {
  private var tally = Tally()
  private var verdicts: [String: Verdict] = [:]
  private var lastCount: [Int32: (count: Int, time: Duration)] = [:]
  /// A busy process changes at every poll: how it goes is told no more often than this.
  private static let leastPause = Duration.seconds(10)

  private func line(_ process: ProcessView, _ text: String) {
    emit("\(WallClock.timeOfDay(WallClock.now))  \(process.name)  \(text)")
  }

  mutating func began(_ processes: [ProcessView]) {
    tally.began(processes)
    for process in processes {
      let unit = process.unit.map { ", unit \($0.printable)" } ?? ""
      line(process, "\(process.usage) open, user \(process.userName.printable)\(unit)")
    }
  }

  mutating func polled(_ processes: [ProcessView], index: Int, poll: Poll, elapsed: Duration) {
    let process = processes[index]
    for report in process.classes where report.verdict != .undecided {
      let name = "\(process.identity.pid) \(report.kind.rawValue) \(report.target ?? "")"
      let before = verdicts.updateValue(report.verdict, forKey: name) ?? .undecided
      // A leak has a line of its own, and that a class is steady is no news.
      if before == report.verdict || report.verdict.isLeak || (before == .undecided && report.verdict == .steady) {
        continue
      }
      let target = report.target.map { " \($0.printable)" } ?? ""
      line(process, "\(report.kind.rawValue)\(target): \(report.verdict.rawValue), \(report.open) open")
    }
    let last = lastCount[process.identity.pid]
    if last == nil || (last?.count != process.count && elapsed - (last?.time ?? .zero) >= Self.leastPause) {
      if last != nil { line(process, "\(process.usage) open") }
      lastCount[process.identity.pid] = (process.count, elapsed)
    }
  }

  mutating func changed(_ process: ProcessView, _ event: DetectionEvent, at time: Duration) {
    tally.changed(process, event)
    switch event {
    case .suspected(let finding): line(process, finding.suspicionInWords)
    case .raised: break
    case .alert(let finding): line(process, "LEAK \(finding.subject): \(finding.paragraph(limits: process.limits))")
    case .escalated(let finding):
      line(process, "LEAK, more urgent, \(finding.subject): \(finding.paragraph(limits: process.limits))")
    case .attributed(let finding): line(process, "\(finding.subject): \(finding.blame?.sentence ?? "")")
    case .resolved(let finding, let how): line(process, "over: leak of \(finding.subject): \(how.inWords)")
    case .notice(let notice): line(process, notice.text.printable)
    }
  }

  mutating func noted(_ process: ProcessView, _ text: String, at time: Duration) {
    line(process, "profile: \(text.printable)")
  }

  mutating func ended(_ process: ProcessView, verdict: Verdict, reason: String?, at time: Duration) {
    tally.ended(process, reason: reason)
    if let reason { line(process, reason) }
  }

  mutating func finished(elapsed: Duration) {
    for line in tally.summary(elapsed: elapsed, style: TextStyle(isOn: false), columns: nil) { emit(line) }
  }
}

/// One event a line, for machines.
struct JSONReporter: WatchReporter {
  private func who(_ process: ProcessView) -> (pid: Int32, command: String) {
    (process.identity.pid, process.identity.command)
  }

  mutating func changed(_ process: ProcessView, _ event: DetectionEvent, at time: Duration) {
    emit(EventLine.json(event, at: time, process: who(process)))
  }

  mutating func noted(_ process: ProcessView, _ text: String, at time: Duration) {
    emit(EventLine.note(text, at: time, process: who(process)))
  }

  mutating func ended(_ process: ProcessView, verdict: Verdict, reason: String?, at time: Duration) {
    emit(EventLine.end(verdict, at: time, classes: process.classes, reason: reason, process: who(process)))
  }
}

/// Sends what a person should know to the journal.
struct JournalReporter: WatchReporter {
  private var hasComplained = false

  /// Before a live view hides it, and not only when there is something to send.
  init() {
    if !Journal.isListening { complain(JournalError.notListening(socket: Journal.socket)) }
  }

  mutating func changed(_ process: ProcessView, _ event: DetectionEvent, at time: Duration) {
    // It has been told, and is only more probable by now.
    if case .raised = event { return }
    do {
      try Journal.send(JournalEntry(event, of: process, at: WallClock.now).fields)
    } catch {
      complain(error)
    }
  }

  private mutating func complain(_ error: JournalError) {
    if !hasComplained { fdwatch.complain("\(error): alerts are told here only") }
    hasComplained = true
  }

  mutating func ended(_ process: ProcessView, verdict: Verdict, reason: String?, at time: Duration) {}
}
