// SPDX-License-Identifier: Apache-2.0
// The loop of `fdwatch PID`: poll, tell, wait.

import Descriptors
import Detection
import Linux
import Procfs
import Systemd

/// Who is told what a watch sees.
package protocol WatchReporter {
  /// The watch has begun: these are watched.
  mutating func began(_ processes: [ProcessView])
  /// A process was looked at. Comes after the events of the same poll.
  mutating func polled(_ processes: [ProcessView], index: Int, poll: Poll, elapsed: Duration)
  /// The detector changed its mind about a process.
  mutating func changed(_ process: ProcessView, _ event: DetectionEvent, at time: Duration)
  /// Something about how a process is watched that a person should know, such as a profile that cannot be read.
  mutating func noted(_ process: ProcessView, _ text: String, at time: Duration)
  /// A process is not watched any more.
  mutating func ended(_ process: ProcessView, verdict: Verdict, reason: String?, at time: Duration)
  /// All of them have been looked at: the time to draw.
  mutating func roundEnded(_ processes: [ProcessView], elapsed: Duration)
  /// The watch is over.
  mutating func finished(elapsed: Duration)
  /// We are about to be stopped, as by Ctrl-Z, and go on again.
  mutating func suspended()
  mutating func resumed()
  /// Whether it can take no more, as when a disk is full: the watch ends.
  var isDone: Bool { get }
}

extension WatchReporter {
  package mutating func began(_ processes: [ProcessView]) {}
  package mutating func noted(_ process: ProcessView, _ text: String, at time: Duration) {}
  package mutating func polled(_ processes: [ProcessView], index: Int, poll: Poll, elapsed: Duration) {}
  package mutating func roundEnded(_ processes: [ProcessView], elapsed: Duration) {}
  package mutating func finished(elapsed: Duration) {}
  package mutating func suspended() {}
  package mutating func resumed() {}
  package var isDone: Bool { false }
}

/// Several reporters, told in turn.
package struct ReporterList: WatchReporter {
  private var all: [any WatchReporter]

  package init(_ all: [any WatchReporter]) { self.all = all }

  package mutating func began(_ processes: [ProcessView]) { forEach { $0.began(processes) } }

  package mutating func polled(_ processes: [ProcessView], index: Int, poll: Poll, elapsed: Duration) {
    forEach { $0.polled(processes, index: index, poll: poll, elapsed: elapsed) }
  }

  package mutating func changed(_ process: ProcessView, _ event: DetectionEvent, at time: Duration) {
    forEach { $0.changed(process, event, at: time) }
  }

  package mutating func noted(_ process: ProcessView, _ text: String, at time: Duration) {
    forEach { $0.noted(process, text, at: time) }
  }

  package mutating func ended(_ process: ProcessView, verdict: Verdict, reason: String?, at time: Duration) {
    forEach { $0.ended(process, verdict: verdict, reason: reason, at: time) }
  }

  package mutating func roundEnded(_ processes: [ProcessView], elapsed: Duration) {
    forEach { $0.roundEnded(processes, elapsed: elapsed) }
  }

  package mutating func finished(elapsed: Duration) { forEach { $0.finished(elapsed: elapsed) } }

  package mutating func suspended() { forEach { $0.suspended() } }
  package mutating func resumed() { forEach { $0.resumed() } }
  package var isDone: Bool { all.contains { $0.isDone } }

  private mutating func forEach(_ body: (inout any WatchReporter) -> Void) {
    for index in all.indices { body(&all[index]) }
  }
}

/// How a watch came out.
package struct WatchOutcome: Sendable, Equatable {
  /// A leak was told at some time during the watch, and not retracted.
  package var leakSeen: Bool { standingAlerts > 0 }
  var standingAlerts = 0
  /// A process could not be watched to the end, for want of permission or because reading it failed.
  package var failed = false
  /// What ended it, if a signal did.
  package var signal: Signal?
}

/// A watch over a few processes, until it ends.
package struct WatchSession: ~Copyable {
  private let interval: Duration
  /// How long to watch; without end if `nil`.
  private let span: Duration?
  private let untilLeak: Bool
  private let sockets: SocketTables
  private static let mostExitHandles = 100
  private var processes: [WatchedProcess]
  private var views: [ProcessView]
  private var isRunning: [Bool]
  private let start: Instant

  package init(
    _ processes: [WatchedProcess], views: [ProcessView], sockets: SocketTables, interval: Duration, span: Duration?,
    untilLeak: Bool, start: Instant
  ) {
    self.processes = processes
    self.views = views
    self.interval = interval
    self.span = span
    self.untilLeak = untilLeak
    self.sockets = sockets
    self.start = start
    isRunning = processes.map { _ in true }
  }

  /// Watches until the processes have gone, the time is over, a signal comes in, or, if asked to, a leak is found.
  package mutating func run(
    _ signals: borrowing SignalQueue, _ report: inout some WatchReporter
  ) throws(SystemCallError) -> WatchOutcome {
    var outcome = WatchOutcome()
    // To notice an exit at once is a courtesy; of very many processes the next round tells.
    var exits = processes.enumerated().map { $0 < Self.mostExitHandles ? try? ExitHandle(pid: $1.identity.pid) : nil }
    report.began(views)
    var next = start
    var wasWoken = false
    while true {
      let elapsed = Instant.now - start
      let running = isRunning.count { $0 }
      for index in processes.indices where isRunning[index] {
        pollOne(index, elapsed, isOverdue: wasWoken, &outcome, &report)
      }
      sockets.roundEnded()
      report.roundEnded(views, elapsed: elapsed)
      if !isRunning.contains(true) || (untilLeak && outcome.leakSeen) || report.isDone { break }
      if let span, Instant.now - start >= span { break }

      // A handle that woke us though none has exited (its number was given away before we held it) would do so for ever.
      if wasWoken, running == isRunning.count(where: { $0 }) { exits = exits.map { _ in nil } }
      // Rounds that were missed, as after a suspend, are not made up for.
      while next <= .now { next = next + interval }
      let deadline = span.map { min(next, start + $0) } ?? next
      switch try wait(signals, until: deadline, exits, elapsed: { [start] in .now - start }, &report) {
      case .time: wasWoken = false
      case .exit: wasWoken = true
      case .signal(let signal): outcome.signal = signal
      }
      if outcome.signal != nil { break }
    }
    let elapsed = Instant.now - start
    for index in processes.indices where isRunning[index] {
      report.ended(views[index], verdict: processes[index].detector.overall, reason: nil, at: elapsed)
    }
    report.finished(elapsed: elapsed)
    return outcome
  }

  private enum Wake {
    case time, exit
    case signal(Signal)
  }

  /// Waits until the next round is due: at its time, or when a process exits, or never, as a signal ends the watch.
  private func wait(
    _ signals: borrowing SignalQueue, until deadline: Instant, _ exits: [ExitHandle?], elapsed: () -> Duration,
    _ report: inout some WatchReporter
  ) throws(SystemCallError) -> Wake {
    while true {
      let handles = zip(exits, isRunning).compactMap { $1 ? $0 : nil }
      switch try signals.wait(until: deadline, orExitOf: handles) {
      case .windowChanged: report.roundEnded(views, elapsed: elapsed())
      case .stop:
        report.suspended()
        Host.stop()
        report.resumed()
        report.roundEnded(views, elapsed: elapsed())
      case let signal?: return .signal(signal)
      case nil: return Instant.now < deadline ? .exit : .time
      }
    }
  }

  private mutating func pollOne(
    _ index: Int, _ elapsed: Duration, isOverdue: Bool, _ outcome: inout WatchOutcome,
    _ report: inout some WatchReporter
  ) {
    let process = processes[index]
    do {
      let looked = try process.poll(at: elapsed, isOverdue: isOverdue)
      for note in process.takeNotes() {
        views[index].profileNote = note
        report.noted(views[index], note, at: elapsed)
      }
      guard let (poll, events) = looked else { return }
      views[index].update(from: process)
      for event in events { tell(event, of: index, at: poll.time, &outcome, &report) }
      report.polled(views, index: index, poll: poll, elapsed: elapsed)
    } catch .gone {
      end(index, "the process has exited", at: elapsed, &outcome, &report)
    } catch .zombie {
      end(index, "the process has exited", at: elapsed, &outcome, &report)
    } catch {
      // What was seen until now stands; what comes is unknown, and must not look like an all-clear.
      outcome.failed = true
      isRunning[index] = false
      views[index].ended = error.description
      report.ended(views[index], verdict: process.detector.overall, reason: error.description, at: elapsed)
    }
  }

  private mutating func end(
    _ index: Int, _ reason: String, at elapsed: Duration, _ outcome: inout WatchOutcome,
    _ report: inout some WatchReporter
  ) {
    let verdict = processes[index].detector.overall
    for event in processes[index].exited(at: elapsed) { tell(event, of: index, at: elapsed, &outcome, &report) }
    isRunning[index] = false
    views[index].ended = reason
    report.ended(views[index], verdict: verdict, reason: reason, at: elapsed)
  }

  private func tell(
    _ event: DetectionEvent, of index: Int, at time: Duration, _ outcome: inout WatchOutcome,
    _ report: inout some WatchReporter
  ) {
    switch event {
    case .alert: outcome.standingAlerts += 1
    case .resolved(_, .retracted): outcome.standingAlerts -= 1
    default: break
    }
    report.changed(views[index], witnessed(event, of: views[index]), at: time)
  }

  /// Adds to an alert what the process's unit has logged of running out of descriptors, or of dropping one unclosed.
  private func witnessed(_ event: DetectionEvent, of process: ProcessView) -> DetectionEvent {
    guard case .alert(var finding) = event, let unit = process.unit else { return event }
    finding.evidence += [Finding.quote(logOf: unit)].compactMap { $0 }
    return .alert(finding)
  }
}

extension Finding {
  /// How far back a unit's own log is looked through.
  private static let logSpan = 3600.0

  /// What a unit has logged of descriptors, as evidence.
  package static func quote(logOf unit: String) -> String? {
    let lines = JournalReader().lines(of: unit, since: WallClock.now - logSpan)
    return lines.isEmpty
      ? nil : "Its own log says: \(lines.map { "\"\($0.printable)\"" }.joined(separator: ", "))."
  }
}

extension ProcessView {
  /// Polls that the history line remembers.
  private static let longestHistory = 600

  package mutating func update(from process: WatchedProcess) {
    if identity != process.identity || commandLine.isEmpty { commandLine = process.commandLine }
    identity = process.identity
    count = process.count - min(process.count, process.ownConnections)
    limits = process.limits
    if history.count == Self.longestHistory { history.removeFirst() }
    history.append(count)
    classes = process.detector.classReports
    findings = process.findings
  }
}
