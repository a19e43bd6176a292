// SPDX-License-Identifier: Apache-2.0
// fdwatch replay FILE…: the detector's word on what was recorded.

import Alerts
import ArgumentParser
import Attribution
import Descriptors
import Detection
import Linux
import Trace
import Watch

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Run the detector on a recording.",
    discussion: """
      Says what a live watch of the same process said, at the same times. Exits with 0 when it has read the recording to \
      its end, whatever it found, unless --exit-code is given.
      """
  )

  @Argument(help: "Recordings: files that fdwatch record has written.")
  var file: [String]

  @Option(help: "What to print: text, or json (one event a line).")
  var format = OutputFormat.text

  @Flag(help: "Also print, whenever it changes, what was considered and why it was accepted or rejected.")
  var explain = false

  @Option(help: ArgumentHelp("Frames not to be blamed, such as 'main.openTracked': a glob.", valueName: "glob"))
  var skipFrames: [String] = []

  @Flag(help: "Exit with 1 if a leak was found.")
  var exitCode = false

  func run() throws {
    var leakSeen = false
    var failed = false
    for path in file {
      do {
        leakSeen = try replay(path) || leakSeen
      } catch let error as TraceError {
        complain(error.description.printable)
        failed = true
      }
    }
    if failed { throw ExitCode(2) }
    try Output.check()
    if leakSeen, exitCode { throw ExitCode(1) }
  }

  private func replay(_ path: String) throws -> Bool {
    let trace = try TraceReader(path: path)
    let header = trace.header
    if format == .text {
      let title = "\(path.printable): \(header.command.printable)[\(header.pid)], every \(header.interval.seconds) s"
      emit(TextStyle.forOutput.bold("\(title), from \(header.start.printable)"))
    }
    var analysis = Analysis(detector: Detector { "+" + $0.inWords }, filter: FrameFilter(skipping: skipFrames))
    var state = ReplayState(limits: header.limits)
    // Of a recording that was cut off, what there is counts; the error comes after it.
    defer { end(analysis.detector, state) }
    while let poll = try trace.next() {
      state.take(poll)
      for event in analysis.observe(poll) { tell(event, &state, header) }
      if explain, poll.isCensus { state.explain(analysis.detector, as: format) }
    }
    return state.leakSeen
  }

  private func end(_ detector: Detector, _ state: ReplayState) {
    switch format {
    case .json: emit(EventLine.end(detector.overall, at: state.time, classes: detector.classReports))
    case .text:
      // What is suspected is no alert, and no all-clear either.
      let suspect = detector.classReports.first { $0.probability >= 0.5 }.map {
        "no alert, but \($0.kind.rawValue)\($0.target.map { " \($0.printable)" } ?? "") may leak (\($0.probability.percent))"
      }
      let verdict = "no leak seen, \(detector.overall.rawValue)"
      emit(
        "\(state.column)  end of the recording: \(state.leakSeen ? "a leak, \(detector.overall.rawValue)" : suspect ?? verdict)"
      )
    }
  }

  private func tell(_ event: DetectionEvent, _ state: inout ReplayState, _ header: TraceHeader) {
    switch event {
    case .alert: state.standingAlerts += 1
    case .resolved(_, .retracted): state.standingAlerts -= 1
    default: break
    }
    if format == .json { return emit(EventLine.json(event, at: state.time)) }
    let style = TextStyle.forOutput
    let limits = state.limits ?? Limits(soft: .max, hard: .max)
    switch event {
    case .suspected(let finding):
      emit("\(state.column)  \(finding.suspicionInWords)")
    case .raised: break
    case .alert(let finding):
      emit("\(state.column)  \(style.alarm("LEAK  \(finding.subject)"))  probability \(finding.confidence)")
      for line in finding.paragraph(limits: limits).wrapped(100) { emit("            \(line)") }
    case .escalated(let finding):
      emit("\(state.column)  \(style.alarm("LEAK, more urgent  \(finding.subject)"))")
      emit("            \(finding.forecast(limits: limits))")
    case .attributed(let finding):
      emit("\(state.column)  \(finding.subject): \(finding.blame?.sentence ?? "")")
    case .resolved(let finding, let how): emit("\(state.column)  over: leak of \(finding.subject): \(how.inWords)")
    case .notice(let notice): emit("\(state.column)  \(notice.text.printable)")
    }
  }
}

/// What a replay remembers between polls.
private struct ReplayState {
  var time = Duration.zero
  var limits: Limits?
  var leakSeen: Bool { standingAlerts > 0 }
  /// Alerts that were not retracted.
  var standingAlerts = 0
  private var explained: [Int: Consideration] = [:]

  init(limits: Limits?) { self.limits = limits }

  mutating func take(_ poll: Poll) {
    time = poll.time
    limits = poll.limits ?? limits
  }

  var column: String { "\(Int(clamping: time.seconds)) s".padded(10, alignRight: true) }

  /// Prints what is considered, where that has changed by more than a figure.
  mutating func explain(_ detector: Detector, as format: OutputFormat) {
    for new in detector.considerations where new.isNews(after: explained[new.id]) {
      explained[new.id] = new
      let line = new.text
      switch format {
      case .text: emit("\(column)  considered: \(line)")
      case .json: emit(EventLine.considered(line, at: time))
      }
    }
  }
}
