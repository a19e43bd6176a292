// SPDX-License-Identifier: Apache-2.0
// Runs hooks on a thread of their own: whatever they do, no poll and no alert waits for them.

import Alerts
import Config
import Linux
import Synchronization
import Systemd

/// Queues of hooks, one for each.
package final class HookRunner: Sendable {
  /// What is to be told of hooks.
  package struct Note: Sendable {
    package var hook: String
    package var text: String
    package var isFailure: Bool
  }

  package struct Tally: Sendable, Equatable {
    package var results: [String: Int] = [:]
    package var dropped = 0
  }

  fileprivate struct State {
    var waiting: [String: [HookJob]] = [:]
    var notes: [Note] = []
    var tallies: [String: Tally] = [:]
    var running = 0
    /// Why each hook has failed since it last worked.
    var failures: [String: Set<String>] = [:]
    /// To be tried again.
    var later: [HookJob] = []
    /// By hook and account: the number of the last run that was started. See ``Swift/Array/nextIndex(_:served:)``.
    var served: [String: [String: Int]] = [:]
    var started = 0
    var isEnding = false
  }

  private let state = Mutex(State())
  private let bell: Bell
  private let usesSystemd: Bool
  /// Of a hook that says it may be tried again: a day of them, with the pauses below.
  private let mostAttempts: Int
  private let firstPause: Duration
  private static let longestPause = Duration.seconds(600)
  /// So many wait to be taken; a flood is cut.
  fileprivate static let mostNotes = 200

  /// - Parameters:
  ///   - usesSystemd: hooks are units of their own.
  ///   - firstPause: before a run that asked for it is tried again; each next pause is twice as long, up to ten minutes.
  ///   - mostAttempts: then it is given up.
  package init(
    usesSystemd: Bool, firstPause: Duration = .seconds(10), mostAttempts: Int = 150
  ) throws(SystemCallError) {
    (self.usesSystemd, self.firstPause, self.mostAttempts) = (usesSystemd, firstPause, mostAttempts)
    bell = try Bell()
    try BackgroundThread.start { [self] in work() }
  }

  /// Queues a run. Returns at once.
  package func run(_ job: HookJob) {
    let name = job.hook.name
    state.withLock { state in
      let later = state.later.filter { $0.hook.name == name }
      if state.waiting[name, default: []].admit(job, besides: later) != nil {
        state.tallies[name, default: Tally()].dropped += 1
        let dropped = state.tallies[name]?.dropped ?? 0
        // Told at 1, 10, 100 …: a flood is not answered by a flood.
        if String(dropped).dropFirst().allSatisfy({ $0 == "0" }), String(dropped).first == "1" {
          state.note(
            Note(hook: name, text: "\(dropped) runs dropped: its queue of \(job.hook.queue) is full", isFailure: true))
        }
      }
    }
    bell.ring()
  }

  package func takeNotes() -> [Note] {
    state.withLock { state in
      defer { state.notes = [] }
      return state.notes
    }
  }

  package var tallies: [String: Tally] { state.withLock { $0.tallies } }

  /// Whether all that was queued has been run.
  package var isIdle: Bool { state.withLock { $0.running == 0 && $0.waiting.values.allSatisfy(\.isEmpty) } }

  /// Runs that have not begun, or are to be tried again.
  package var unfinished: [HookJob] { state.withLock { $0.later + $0.waiting.values.joined() } }

  /// The thread ends. What it has started goes on without it.
  package func end() {
    state.withLock { $0.isEnding = true }
    bell.ring()
  }

  // MARK: The thread

  private struct Running {
    var job: HookJob
    var run: any HookRun
  }

  private func work() {
    let bus = Bus()
    var running: [Running] = []
    var later: [(job: HookJob, due: Instant)] = []
    var number = 0
    var left = usesSystemd ? LeftRuns(bus) : nil
    while true {
      let now = Instant.now
      left?.collect(bus, at: now)
      for entry in later where entry.due <= now {
        // Before what has been said of its alert since.
        state.withLock { $0.waiting[entry.job.hook.name, default: []].insert(entry.job, at: 0) }
      }
      later.removeAll { $0.due <= now }
      var unfinished: [Running] = []
      for entry in running {
        guard let result = entry.run.result(at: now) else {
          unfinished.append(entry)
          continue
        }
        if let again = finished(entry.job, result) { later.append((again, now + pause(again.attempts))) }
      }
      running = unfinished
      // After those that are over have made room: who waits for it then waits for one that runs, and is looked after.
      while let job = next(running, later.map(\.job)) {
        number += 1
        switch start(job, number, bus) {
        case .running(let run): running.append(Running(job: job, run: run))
        case .over(let again?): later.append((again, now + pause(again.attempts)))
        case .over(nil): break
        }
      }
      let isEnding = state.withLock { state in
        // What is to be tried again in a while is not waited for.
        state.running = running.count
        state.later = later.map(\.job)
        return state.isEnding
      }
      if isEnding { return }
      // A child's end has no bell: it is looked for ten times a second.
      bell.wait(
        until: running.isEmpty
          ? min(later.map(\.due).min() ?? now + .seconds(3600), left?.due ?? now + .seconds(3600))
          : now + .milliseconds(100))
    }
  }

  /// After so many attempts.
  private func pause(_ attempts: Int) -> Duration { min(firstPause * (1 << min(attempts, 10)) / 2, Self.longestPause) }

  /// What is to be run now. Of one alert a hook is told one thing after the other: the end of it not before its beginning,
  /// which is to be tried again.
  private func next(_ running: [Running], _ later: [HookJob]) -> HookJob? {
    let before = running.map(\.job) + later
    return state.withLock { state -> HookJob? in
      for (name, jobs) in state.waiting {
        let busy = before.filter { $0.hook.name == name }
        guard let index = jobs.nextIndex(busy, served: state.served[name] ?? [:]),
          running.count(where: { $0.job.hook.name == name }) < jobs[index].hook.concurrency
        else { continue }
        let job = jobs[index]
        state.waiting[name]?.remove(at: index)
        state.started += 1
        // As many accounts as anybody could be served after.
        if (state.served[name]?.count ?? 0) >= 1000 { state.served[name] = nil }
        state.served[name, default: [:]][job.account] = state.started
        // Not idle until the thread has said how it came out.
        state.running += 1
        return job
      }
      return nil
    }
  }

  private enum Start {
    case running(any HookRun)
    /// - the job, if it is to be tried again.
    case over(HookJob?)
  }

  private func start(_ job: HookJob, _ number: Int, _ bus: Bus) -> Start {
    do throws(HookFailure) {
      if usesSystemd { return .running(try TransientRun(job, number: number, bus: bus)) }
      if case .unit(let name) = job.hook.action {
        throw HookFailure(reason: "no systemd runs here that could start \(name)")
      }
      return .running(
        try ChildRun(job) { [self] line in
          state.withLock { $0.note(Note(hook: job.hook.name, text: line, isFailure: false)) }
        })
    } catch {
      return .over(finished(job, error.isTemporary ? .tryAgain : .failed(error.reason)))
    }
  }

  /// - Returns: the job, if it is to be tried again.
  private func finished(_ job: HookJob, _ result: HookResult) -> HookJob? {
    let name = job.hook.name
    return state.withLock { state in
      let isLast = result == .tryAgain && job.attempts + 1 >= mostAttempts
      let word = isLast ? HookResult.failed("").word : result.word
      state.tallies[name, default: Tally()].results[word, default: 0] += 1
      switch result {
      case .delivered:
        if state.failures.removeValue(forKey: name) != nil {
          state.note(Note(hook: name, text: "\(job.word) \(job.id) was delivered: it works again", isFailure: false))
        }
        return nil
      case .tryAgain where !isLast:
        var again = job
        again.attempts += 1
        return again
      case .tryAgain: fail(job, "it was not delivered in \(mostAttempts) tries", &state)
      case .failed(let reason): fail(job, reason, &state)
      }
      return nil
    }
  }

  /// Once for each reason, until it works again.
  private func fail(_ job: HookJob, _ reason: String, _ state: inout State) {
    guard state.failures[job.hook.name, default: []].insert(reason).inserted else { return }
    state.note(Note(hook: job.hook.name, text: "\(job.word) \(job.id): \(reason)", isFailure: true))
  }
}

/// Runs that an earlier daemon has started and not lived to see the end of: the manager keeps them until they are
/// collected.
private struct LeftRuns {
  private var names: [String]
  private(set) var due: Instant?
  private static let pause = Duration.seconds(5)

  init(_ bus: Bus) {
    names = (try? bus.units(matching: [TransientRun.pattern])) ?? []
    due = names.isEmpty ? nil : .now
  }

  mutating func collect(_ bus: Bus, at now: Instant) {
    guard let due, due <= now else { return }
    names.removeAll { name in
      do throws(BusError) {
        // One that still runs is let run: the manager ends it in time.
        if try bus.state(of: name).outcome == .running { return false }
        try bus.collect(name)
        return true
      } catch {
        return error.isNoSuchUnit
      }
    }
    self.due = names.isEmpty ? nil : now + Self.pause
  }
}

extension HookRunner.State {
  fileprivate mutating func note(_ note: HookRunner.Note) {
    if notes.count < HookRunner.mostNotes { notes.append(note) }
  }
}
