// SPDX-License-Identifier: Apache-2.0
// fdwatch openers PID: the call stacks that opened what stays open.

import ArgumentParser
import Descriptors
import Linux
import Openers
import Parsing
import Procfs
import Watch

struct OpenersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "openers",
    abstract: "Trace a process for a while and print which code opened what stays open.",
    discussion: """
      The process needs no change, no restart and no debug data. A BPF program in the kernel notes the call stack of each \
      descriptor that is opened; those still open at the end are printed, the most first. Each open and close costs the \
      process 2 to 3 µs while it is traced.

      Needs root, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE (CAP_DAC_READ_SEARCH, too, for processes of other users), on \
      x86-64 with Linux 5.17 or newer.

      Not seen: descriptors received from another process (SCM_RIGHTS) or made by io_uring, and numbers above 65535.

      Exit status: 0 done, 2 the process could not be traced, 64 wrong usage.

      Examples:
        fdwatch openers 4711 --for 30s
        fdwatch openers 4711 --format collapsed | flamegraph.pl > openers.svg
        fdwatch openers 4711 --format pprof > openers.pb.gz
      """
  )

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case table, json, pprof, collapsed
  }

  @Argument(help: "The number of the process.")
  var pid: Int32

  @Option(name: .customLong("for"), help: ArgumentHelp("How long to trace, such as 10s, 1m.", valueName: "time"))
  var span = TimeSpan("10s", .seconds(10))

  @Option(help: "What to print: table, json, pprof, or collapsed (root;…;leaf COUNT).")
  var format = Format.table

  @Option(help: ArgumentHelp("How many stacks the table shows.", valueName: "n"))
  var top = 10

  func validate() throws {
    if pid <= 0 { throw ValidationError("\(pid) is not the number of a process.") }
    if top <= 0 { throw ValidationError("--top takes a number above 0.") }
    if span.duration > .seconds(3600) { throw ValidationError("--for takes at most 1h: tracing costs the process.") }
    if format == .pprof, Terminal.isTerminal(1) {
      throw ValidationError("A profile is binary: redirect it, as in fdwatch openers \(pid) --format pprof > FILE")
    }
  }

  func run() throws {
    Host.ignoreBrokenPipes()
    let report: OpenersReport
    do {
      report = try trace()
    } catch let error as OpenersError {
      complain("process \(pid): \(error)")
      throw ExitCode(2)
    } catch let error as OpenerStacksError {
      complain("process \(pid): reading its stacks failed: \(error)")
      throw ExitCode(2)
    } catch let error as ProcfsError {
      complain("process \(pid): \(error)")
      throw ExitCode(2)
    }
    switch format {
    case .table: emit(report.table(top: top, style: .forOutput))
    case .json: emit(report.json)
    case .pprof: Output.write(report.pprof)
    case .collapsed: Output.write(report.collapsed)
    }
    if format == .pprof || format == .collapsed { for line in report.remarks { complain(line) } }
    try Output.check()
  }

  /// Until the time is over, the process exits, or Ctrl-C: what was seen by then is printed.
  private func trace() throws -> OpenersReport {
    // Before the process: what it takes to read that is among them.
    let missing = OpenersError.missingCapabilities
    if !missing.isEmpty { throw OpenersError.missing(missing) }
    let procfs = try openProcfs("/proc")
    let directory = try ProcessDirectory(pid: pid, in: procfs)
    try directory.checkAccess()
    let identity = try directory.identity()
    let signals = try SignalQueue()
    let exit = try ExitHandle(pid: pid)
    let trace = try OpenerTrace(directory)
    let start = Instant.now
    let end = start + span.duration
    complain("tracing \(identity.command.printable) (\(pid)) for \(span); Ctrl-C ends it earlier")
    while Instant.now < end, !trace.wasReplaced {
      if try signals.wait(until: min(end, .now + .milliseconds(50)), orExitOf: [exit]) != nil { break }
      trace.read(directory)
      if try !directory.isAlive { throw ProcfsError.gone }
    }
    if trace.wasReplaced { throw OpenersError.replaced }
    let elapsed = Instant.now - start
    let grace = min(.seconds(1), elapsed / 5)
    let survivors = try trace.survivors(directory, grace: grace)
    let groups = trace.groups(of: survivors)
    let counts = trace.counts
    trace.detach()
    let stacks = try OpenerStacks(groups, of: trace.process, by: .forked)
    return OpenersReport(
      identity: identity, elapsed: elapsed, grace: grace, counts: counts, survivors: survivors, groups: groups,
      stacks: stacks, target: { (try? directory.target(of: $0)) ?? nil })
  }
}
