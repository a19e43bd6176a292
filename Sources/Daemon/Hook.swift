// SPDX-License-Identifier: Apache-2.0
// One run of a hook: what it is given, how it is started, and how it came out. See fdwatch-hooks(7).

import Alerts
import Config
import Descriptors
import Linux
import Systemd

/// What a hook is to be told.
package struct HookJob: Sendable {
  package var hook: HookSettings
  /// `alert`, `escalated`, `reminder`, `resolved`, `test`.
  package var word: String
  package var id: String
  /// `FDWATCH_…=value`.
  package var environment: [String]
  /// One JSON object, and a line end.
  package var input: [UInt8]
  /// How often it was tried.
  package var attempts = 0
  /// Whose alert it is: see ``AlertProcess/account``.
  package var account = ""

  package init(_ hook: HookSettings, _ event: AlertEvent, json: String, host: String = Host.name) {
    self.hook = hook
    word = event.word.rawValue
    id = event.alert.id
    account = event.alert.account
    input = Array((json + "\n").utf8)
    let alert = event.alert
    let scalars: [(String, String?)] = [
      ("EVENT", word), ("TYPE", alert.type.rawValue), ("ALERT_ID", id), ("PRIORITY", String(event.priority)),
      ("UNIT", alert.unit ?? ""), ("PID", alert.worst.map { String($0.process.pid) }),
      ("COMM", alert.worst?.process.command.printable), ("KIND", alert.kind?.rawValue),
      ("TARGET", alert.target?.printable), ("MESSAGE", event.message), ("HOST", host),
    ]
    // A hook finds its programs, and nothing else of our environment.
    environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
    for case (let name, let value?) in scalars {
      environment.append("FDWATCH_\(name)=\(value.filter { $0 != "\0" && !$0.isNewline })")
    }
  }

  /// One that an earlier daemon has not come to.
  init(_ saved: SavedRun, _ hook: HookSettings) {
    (self.hook, word, id) = (hook, saved.word, saved.id)
    (environment, input, attempts) = (saved.environment, Array(saved.input.utf8), min(max(saved.attempts, 0), 1000))
    account = saved.account ?? ""
  }

  /// What is to be known of it to run it later.
  var saved: SavedRun {
    SavedRun(
      hook: hook.name, word: word, id: id, environment: environment, input: String(decoding: input, as: UTF8.self),
      attempts: attempts, account: account)
  }

  package var arguments: [String] {
    switch hook.action {
    case .command(let words): words + [word, id]
    case .shell(let script): ["/bin/sh", "-c", script, hook.name, word, id]
    case .unit(let template): [template]
    }
  }
}

/// A run that is kept over a restart. The hook is the one that has its name then.
package struct SavedRun: Sendable, Equatable, Codable {
  var hook: String
  var word: String
  var id: String
  var environment: [String]
  var input: String
  var attempts: Int
  var account: String?
}

/// How a run came out.
package enum HookResult: Sendable, Equatable {
  case delivered
  /// It says that it may be tried again: EX_TEMPFAIL of sysexits(3).
  case tryAgain
  case failed(String)

  static let temporary: Int32 = 75

  init(exitCode: Int32) {
    switch exitCode {
    case 0: self = .delivered
    case Self.temporary: self = .tryAgain
    // As shells and our own children tell a signal; what is above is a number of its own.
    case 129...192: self = .failed("it was ended by signal \(exitCode - 128)")
    default: self = .failed("it ended with \(exitCode)")
    }
  }

  package var word: String {
    switch self {
    case .delivered: "delivered"
    case .tryAgain: "tryagain"
    case .failed: "failed"
    }
  }
}

/// A run that has begun.
protocol HookRun: AnyObject {
  /// How it came out; `nil` while it runs. Takes no longer than a moment.
  func result(at now: Instant) -> HookResult?
}

/// A hook as a child of ours, where no systemd runs.
final class ChildRun: HookRun {
  private let child: ChildProcess
  private let output: Descriptor
  private let deadline: Instant
  /// From the request to end until it is ended.
  private let grace = Duration.seconds(2)
  private var toldToEnd = false
  private var said: [UInt8] = []
  private let log: (String) -> Void
  /// What a hook says goes into the log: so much of it.
  private static let mostOutput = 8 << 10

  init(_ job: HookJob, log: @escaping (String) -> Void) throws(HookFailure) {
    var user: HostUser?
    if let name = job.hook.user {
      guard let found = HostUser(named: name) else { throw HookFailure(reason: "no such user: \(name.printable)") }
      user = found
    }
    do throws(SystemCallError) {
      let pipe = try Pipe()
      child = try ChildProcess(
        job.arguments, environment: job.environment, input: job.input, output: pipe.writing, user: user)
      output = pipe.intoReading()
    } catch {
      let command = job.arguments[0].printable
      throw HookFailure(
        reason: error.meaning == .noSuchEntry
          ? "command not found: \(command)" : "command cannot be run: \(command): \(error.reason)")
    }
    deadline = .now + job.hook.timeout
    self.log = log
  }

  func result(at now: Instant) -> HookResult? {
    drain()
    // What it has started and left behind, in whatever session, has ended with it.
    if let code = child.exitCode() {
      drain()
      flush(all: true)
      return toldToEnd ? .failed("it took longer than allowed") : HookResult(exitCode: code)
    }
    if now >= deadline + grace {
      toldToEnd = true
      child.end(byForce: true)
    } else if now >= deadline, !toldToEnd {
      toldToEnd = true
      child.end(byForce: false)
    }
    return nil
  }

  private func drain() {
    // One that floods is read, so that it does not block, and its words are let go of.
    for _ in 0..<16 {
      guard let more = (try? output.receive(upTo: 4096)) ?? nil, !more.isEmpty else { break }
      if said.count < Self.mostOutput { said += more.prefix(Self.mostOutput - said.count) }
    }
    flush(all: false)
  }

  private func flush(all: Bool) {
    guard all, !said.isEmpty else { return }
    for line in String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).prefix(50) {
      log(String(line).printable)
    }
    said = []
  }
}

/// A hook as a unit of its own, which our sandbox does not bind.
final class TransientRun: HookRun {
  private let bus: Bus
  private let name: String
  private let command: String
  private let user: String?
  private let deadline: Instant

  private static let prefix = "fdwatch-hook-"
  /// The names of all of them.
  static let pattern = prefix + "*.service"

  init(_ job: HookJob, number: Int, bus: Bus) throws(HookFailure) {
    self.bus = bus
    (command, user) = (job.arguments[0], job.hook.user)
    // The manager ends it; what is left to us is not to wait for a manager that does not.
    deadline = .now + job.hook.timeout + .seconds(15)
    do throws(BusError) {
      if case .unit(let template) = job.hook.action {
        name = Unit.instance(of: template, job.id)
        isOurs = false
        try bus.startUnit(name)
        return
      }
      isOurs = true
      name = "\(Self.prefix)\(job.hook.name)-\(Host.ownPID)-\(number).service"
      var service = TransientService(name: name, command: job.arguments)
      service.description = "fdwatch hook \(job.hook.name): \(job.word) \(job.id)"
      service.environment = job.environment
      service.standardInput = job.input
      service.user = job.hook.user
      service.identifier = "fdwatch-hook-\(job.hook.name)"
      service.timeout = job.hook.timeout
      try bus.start(service)
    } catch {
      switch error {
      // A manager that executes itself anew, or that is busy, is back in a moment.
      case .unreachable, .timedOut(call: "connect", unit: _): throw HookFailure(reason: "\(error)", isTemporary: true)
      // It may have started it all the same: that shows.
      case .timedOut where isOurs, .failed where isOurs: isUncertain = true
      default: throw HookFailure(reason: "\(error)")
      }
    }
  }

  private let isOurs: Bool
  /// Whether it has been started is not known.
  private var isUncertain = false

  func result(at now: Instant) -> HookResult? {
    // A unit that somebody else has written lives as long as it likes.
    if !isOurs { return .delivered }
    do throws(BusError) {
      let outcome = try bus.state(of: name).outcome
      if isUncertain, outcome == .gone { return .tryAgain }
      isUncertain = false
      if outcome == .running { return now < deadline ? nil : .failed("the service manager does not end it") }
      try bus.collect(name)
      switch outcome {
      case .exited(let code): return HookResult(exitCode: code)
      case .notStarted(let failure): return .failed(reason(failure))
      case .killed(let signal): return .failed("it was ended by signal \(signal)")
      case .timedOut: return .failed("it took longer than allowed")
      case .failed(let how): return .failed("the service manager says: \(how)")
      case .gone, .running: return .failed("its unit \(name) is gone")
      }
    } catch {
      if isUncertain, error.isNoSuchUnit { return .tryAgain }
      return now < deadline ? nil : .failed("\(error)")
    }
  }
}

extension TransientRun {
  private func reason(_ failure: UnitState.StartFailure) -> String {
    switch failure {
    case .noCommand: "command not found, or not executable: \(command.printable)"
    case .noUser: "no such user: \((user ?? "root").printable)"
    case .noGroup: "user \((user ?? "root").printable) has no valid group"
    case .other(let status):
      "the service manager could not start it: status \(status) (systemd.exec(5), PROCESS EXIT CODES)"
    }
  }
}

/// Why a hook could not be started.
struct HookFailure: Error {
  var reason: String
  /// Another try may do.
  var isTemporary = false
}
