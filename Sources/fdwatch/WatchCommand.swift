// SPDX-License-Identifier: Apache-2.0
// fdwatch PID…: watch processes now, and tell.

import ArgumentParser
import Linux
import Procfs
import Systemd
import Watch

struct WatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Watch processes and tell what leaks (the default command)."
  )

  @OptionGroup var targets: TargetArguments
  @OptionGroup(title: "Profiles") var profiles: ProfileArguments

  @Option(help: ArgumentHelp("Time between two looks.", valueName: "time"))
  var interval = TimeSpan("1s", .seconds(1))

  @Option(name: .customLong("for"), help: ArgumentHelp("How long to watch, such as 60s, 5m, 1h.", valueName: "time"))
  var span: TimeSpan?

  @Option(help: "What to print: text, or json (one event a line).")
  var format = OutputFormat.text

  @Flag(help: "Send alerts to the journal, too.")
  var journal = false

  @Flag(help: "Look once, print what is open, and exit.")
  var once = false

  @Flag(help: "End at the first leak, with status 1.")
  var untilLeak = false

  func validate() throws {
    if interval.duration < .milliseconds(10) { throw ValidationError("The shortest --interval is 10ms.") }
    if once, untilLeak || span != nil { throw ValidationError("--once looks once: it takes no --for or --until-leak.") }
  }

  func run() throws {
    let procfs = try openProcfs(targets.root)
    let found = Found(
      targets.selectors, in: procfs, interval: interval.duration,
      profiling: once ? .none : try profiles.profiling())
    for failure in found.failures { complain(failure) }
    guard !found.processes.isEmpty else { throw ExitCode(2) }
    if once { return try look(at: found) }

    var reporters: [any WatchReporter] = [reporter()]
    if journal { reporters.append(JournalReporter()) }
    var report = ReporterList(reporters)
    let signals = try SignalQueue()
    var session = WatchSession(
      found.processes, views: found.views, sockets: procfs.sockets, interval: interval.duration, span: span?.duration,
      untilLeak: untilLeak,
      start: .now)
    let outcome = try session.run(signals, &report)
    if let file = profiles.saveProfile { try saveProfile(of: found, in: file) }
    if outcome.leakSeen { throw ExitCode(1) }
    try Output.check()
    if outcome.failed || !found.failures.isEmpty { throw ExitCode(2) }
  }

  private func saveProfile(of found: Found, in file: String) throws {
    guard let bytes = found.processes.lazy.compactMap(\.lastProfile).first else {
      return complain("there is no profile to save in \(file)")
    }
    do {
      try Host.write(bytes, to: file)
    } catch {
      complain("\(file): \(error.reason)")
      throw ExitCode(2)
    }
  }

  private func reporter() -> any WatchReporter {
    if format == .json { return JSONReporter() }
    if Terminal.isTerminal(1), Host.environment("TERM") != "dumb" { return LiveReporter(style: TextStyle.forOutput) }
    return LineReporter()
  }

  private func look(at found: Found) throws {
    var failed = !found.failures.isEmpty
    for (process, var view) in zip(found.processes, found.views) {
      do {
        _ = try process.poll(at: .zero)
        view.update(from: process)
        emit(format == .json ? OnceReport(view).json : OnceReport(view).text(style: .forOutput))
      } catch {
        complain("\(view.name): \(error)")
        failed = true
      }
    }
    try Output.check()
    if failed { throw ExitCode(2) }
  }
}
