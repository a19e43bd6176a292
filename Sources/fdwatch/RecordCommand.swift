// SPDX-License-Identifier: Apache-2.0
// fdwatch record PID -o FILE: keep what a watch sees, to be replayed anywhere.

import ArgumentParser
import Descriptors
import Detection
import Linux
import Procfs
import Trace
import Watch

struct RecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Record what a watch of one process sees.",
    discussion: """
      The recording holds targets (paths, addresses) but no contents. It can be read up to its last second even if the \
      recording is killed. Look at it with: fdwatch replay FILE
      """
  )

  @OptionGroup var targets: TargetArguments
  @OptionGroup(title: "Profiles") var profiles: ProfileArguments

  @Option(name: .shortAndLong, help: ArgumentHelp("The file to write, gzip-compressed.", valueName: "file"))
  var output: String

  @Option(help: ArgumentHelp("Time between two looks.", valueName: "time"))
  var interval = TimeSpan("1s", .seconds(1))

  @Option(name: .customLong("for"), help: ArgumentHelp("How long to record, such as 60s, 5m, 1h.", valueName: "time"))
  var span: TimeSpan?

  func run() throws {
    let procfs = try openProcfs(targets.root)
    let found = Found(targets.selectors, in: procfs, interval: interval.duration, profiling: try profiles.profiling())
    for failure in found.failures { complain(failure) }
    guard let process = found.processes.first, found.failures.isEmpty else { throw ExitCode(2) }
    guard found.processes.count == 1 else {
      complain(
        "a recording is of one process; these match: \(found.processes.map { String($0.identity.pid) }.joined(separator: ", "))"
      )
      throw ExitCode(2)
    }
    do {
      let header = TraceHeader(
        command: process.identity.command, pid: process.identity.pid, interval: interval.duration,
        start: WallClock.rfc3339(WallClock.now), limits: process.limits)
      var report = RecordReporter(writer: try TraceWriter(path: output, header: header))
      let signals = try SignalQueue()
      var session = WatchSession(
        found.processes, views: found.views, sockets: procfs.sockets, interval: interval.duration, span: span?.duration,
        untilLeak: false,
        start: .now)
      let outcome = try session.run(signals, &report)
      if let error = report.error { throw error }
      try report.writer.close()
      if outcome.failed { throw ExitCode(2) }
    } catch let error as TraceError {
      complain(error.description)
      throw ExitCode(2)
    }
  }
}

/// Writes every poll, and shows on a terminal how far it is.
private struct RecordReporter: WatchReporter {
  let writer: TraceWriter
  /// The first thing that went wrong, such as a full disk. Nothing is written after it.
  private(set) var error: TraceError?
  private var polls = 0
  private let showsProgress = Terminal.isTerminal(2)

  init(writer: TraceWriter) { self.writer = writer }

  var isDone: Bool { error != nil }

  mutating func polled(_ processes: [ProcessView], index: Int, poll: Poll, elapsed: Duration) {
    guard error == nil else { return }
    do {
      try writer.write(poll)
      polls += 1
    } catch {
      self.error = error
    }
    if showsProgress {
      try? Terminal.write("\r\(processes[index].name): \(polls) polls, \(processes[index].usage) open\u{1b}[K", to: 2)
    }
  }

  mutating func changed(_ process: ProcessView, _ event: DetectionEvent, at time: Duration) {}

  mutating func noted(_ process: ProcessView, _ text: String, at time: Duration) {
    complain("\(process.name): profile: \(text.printable)")
  }

  mutating func ended(_ process: ProcessView, verdict: Verdict, reason: String?, at time: Duration) {}

  mutating func finished(elapsed: Duration) {
    if showsProgress { try? Terminal.write("\n", to: 2) }
  }
}
