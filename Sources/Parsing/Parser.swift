// SPDX-License-Identifier: Apache-2.0
// Reading foreign files without waiting for them: some threads, some helpers, and a fair share for each owner.

import Linux
import Procfs
import Synchronization

/// Who is to be served like others, however many processes he has: a service, or else a user.
package struct ProcessOwner: Sendable, Hashable, CustomStringConvertible {
  package let name: String

  /// - Parameter unit: only a service of the system is an owner of its own. Sessions and users' services a user makes at
  ///   will.
  package init(user: UInt32, unit: String?) {
    if let unit, unit.hasSuffix(".service"), !unit.hasPrefix("user@") { name = unit } else { name = "uid \(user)" }
  }

  package var description: String { name }
}

/// Runs jobs about processes on threads of its own, at most two at once for one owner, in turns.
package final class Parser: Sendable {
  /// For one job, from its start to its answer.
  package static let deadline = Duration.seconds(10)

  private static let mostAtOnce = 8
  private static let mostOfOwner = 2
  /// A job that has run for so long waits for a file server, or worse: it is not counted among those at once.
  private static let stuck = Duration.seconds(20)
  /// With those that are stuck. `TasksMax=` of the unit is 64.
  private static let mostThreads = 24
  /// Bytes that wait to be read: of one owner so many, or one profile of any size. Together with those that are being
  /// fetched, 16 MiB, they leave a third of the unit's `MemoryMax=64M` to all else.
  private static let mostBytesOfOwner = 8 << 20
  private static let mostBytes = 24 << 20
  private static let mostWaitingOfOwner = 64
  /// Helpers, at work and idle: `MaxConnections=` of the socket is 16.
  private static let mostConnections = 12
  private static let idle = Duration.seconds(30)

  private let source: @Sendable () -> HelperSource
  private let state = Mutex(State())
  /// Rung when there may be something for the thread that lingers.
  private let bell: Bell?
  /// Why there is no helper, while there is none.
  private let trouble = Mutex<String?>(nil)

  private struct Job: Sendable {
    var owner: ProcessOwner
    var bytes: Int
    var work: @Sendable () -> Void
  }

  private struct State: ~Copyable {
    var waiting: [ProcessOwner: [Job]] = [:]
    /// Owners with waiting jobs, the one whose turn is next first.
    var turns: [ProcessOwner] = []
    var running: [Int: (owner: ProcessOwner, began: Instant)] = [:]
    var nextNumber = 0
    var threads = 0
    var isLingering = false
    var bytes: [ProcessOwner: Int] = [:]
    /// Helpers that nobody asks now, the one that was asked last at the end.
    var idle: [(process: ProcessKey, since: Instant, connection: Held)] = []
    var connections = 0
  }

  /// Used by one thread at a time: it is taken out of the list of idle ones before.
  @safe
  private struct Held: @unchecked Sendable { let connection: HelperConnection }

  /// - Parameter source: asked whenever a helper is needed.
  package init(_ source: @escaping @Sendable () -> HelperSource) {
    self.source = source
    bell = try? Bell()
  }

  /// As `fdwatch PID` needs it: forks its own program.
  package static let forked = Parser { .program("/proc/self/exe") }

  /// Why no helper can be had; `nil` where the last one could.
  package var problem: String? { trouble.withLock { $0 } }

  // MARK: Jobs

  /// Has `work` run on another thread, when it is the owner's turn.
  /// - Parameter bytes: that the job holds in memory.
  package func perform(
    for owner: ProcessOwner, holding bytes: Int = 0, _ work: @escaping @Sendable () -> Void
  ) throws(ParserError) {
    enum Next { case refused, ring, start, nothing }
    let next = state.withLock { state -> Next in
      let held = state.bytes[owner] ?? 0
      guard state.waiting[owner]?.count ?? 0 < Self.mostWaitingOfOwner,
        bytes == 0 || held == 0 || held + bytes <= Self.mostBytesOfOwner,
        bytes == 0 || state.bytes.values.reduce(0, +) + bytes <= Self.mostBytes
      else { return .refused }
      if bytes > 0 { state.bytes[owner] = held + bytes }
      if state.waiting[owner] == nil { state.turns.append(owner) }
      state.waiting[owner, default: []].append(Job(owner: owner, bytes: bytes, work: work))
      if state.isLingering { return .ring }
      guard state.threads < Self.mostThreads, Self.canStart(state.running) else { return .nothing }
      state.threads += 1
      return .start
    }
    switch next {
    case .refused: throw .busy
    case .ring: bell?.ring()
    case .start: startThread()
    case .nothing: break
    }
  }

  private func startThread() {
    do { try BackgroundThread.start { self.serve() } } catch {
      // It is tried again with the next job; a thread that runs takes this one, too.
      state.withLock { $0.threads -= 1 }
    }
  }

  private static func canStart(_ running: [Int: (owner: ProcessOwner, began: Instant)]) -> Bool {
    let now = Instant.now
    return running.values.count { now - $0.began < stuck } < mostAtOnce
  }

  /// Runs jobs for as long as there are any. The last thread stays for a while, to close helpers that nobody asks.
  private func serve() {
    while true {
      if let (number, job) = nextJob() {
        job.work()
        state.withLock { state in
          state.running[number] = nil
          let left = (state.bytes[job.owner] ?? 0) - job.bytes
          state.bytes[job.owner] = left > 0 ? left : nil
        }
        continue
      }
      let until = state.withLock { state -> Instant? in
        if state.isLingering || state.idle.isEmpty || bell == nil {
          state.threads -= 1
          return nil
        }
        state.isLingering = true
        return state.idle[0].since + Self.idle
      }
      guard let until else { return }
      bell?.wait(until: until)
      let expired = state.withLock { state -> [Held] in
        state.isLingering = false
        return Self.removeIdle(&state) { Instant.now - $0.since >= Self.idle }
      }
      _ = expired
    }
  }

  private func nextJob() -> (Int, Job)? {
    let (found, isMore) = state.withLock { state -> ((Int, Job)?, Bool) in
      guard Self.canStart(state.running) else { return (nil, false) }
      for (place, owner) in state.turns.enumerated() {
        guard state.running.values.count(where: { $0.owner == owner }) < Self.mostOfOwner,
          var jobs = state.waiting[owner], !jobs.isEmpty
        else { continue }
        let job = jobs.removeFirst()
        state.turns.remove(at: place)
        state.waiting[owner] = jobs.isEmpty ? nil : jobs
        if !jobs.isEmpty { state.turns.append(owner) }
        state.nextNumber += 1
        state.running[state.nextNumber] = (owner, .now)
        // Others may run beside it.
        let isMore = !state.turns.isEmpty && state.threads < Self.mostThreads && Self.canStart(state.running)
        if isMore { state.threads += 1 }
        return ((state.nextNumber, job), isMore)
      }
      return (nil, false)
    }
    if isMore { startThread() }
    return found
  }

  // MARK: Helpers

  /// Asks a helper, on the thread of a job.
  /// - Parameters:
  ///   - inputs: of the process that the request is about.
  ///   - file: what is to be read, if it is one. It stays the caller's.
  package func parse(
    _ request: ParseRequest, about inputs: borrowing ProcessInputs, file: CInt? = nil
  ) throws(ParserError) -> Result<ParseAnswer, ParseFailure> {
    let held = try connection(for: request.process, inputs.paths)
    do throws(ParserError) {
      let answer = try held.connection.ask(
        request.job, about: inputs, bytes: request.bytes, file: file, withNames: request.withNames,
        until: request.deadline)
      keep(held, of: request.process)
      return answer
    } catch {
      state.withLock { $0.connections -= 1 }
      throw error
    }
  }

  private func connection(for process: ProcessKey, _ paths: [String]) throws(ParserError) -> Held {
    let (known, dropped) = state.withLock { state -> (Held?, [Held]) in
      var known: Held?
      if let place = state.idle.firstIndex(where: { $0.process == process }) {
        known = state.idle.remove(at: place).connection
      }
      var dropped: [Held] = []
      if known == nil {
        // Room for one more.
        if state.connections >= Self.mostConnections, let first = state.idle.first {
          dropped = Self.removeIdle(&state) { $0.process == first.process }
        }
        state.connections += 1
      }
      return (known, dropped)
    }
    _ = dropped
    if let known, known.connection.isUsable, known.connection.knows(paths) { return known }
    do throws(ParserError) {
      let new = Held(connection: try HelperConnection(source()))
      trouble.withLock { $0 = nil }
      return new
    } catch {
      state.withLock { $0.connections -= 1 }
      if case .unavailable(let advice) = error { trouble.withLock { $0 = advice } }
      throw error
    }
  }

  private func keep(_ held: Held, of process: ProcessKey) {
    state.withLock { $0.idle.append((process, .now, held)) }
  }

  private static func removeIdle(
    _ state: inout State, where isRemoved: ((process: ProcessKey, since: Instant, connection: Held)) -> Bool
  ) -> [Held] {
    var removed: [Held] = []
    state.idle.removeAll { entry in
      guard isRemoved(entry) else { return false }
      removed.append(entry.connection)
      return true
    }
    state.connections -= removed.count
    // Closed by who called, outside of the lock: to end a child takes a moment.
    return removed
  }
}

/// One question to a helper.
package struct ParseRequest: Sendable {
  package var process: ProcessKey
  package var job: ParseJob
  package var bytes: [UInt8] = []
  /// Look up names of addresses. Without, a stack is places in files: so where that has ended the helper before.
  package var withNames = true
  package var deadline = Instant.now + Parser.deadline

  package init(_ process: ProcessKey, _ job: ParseJob) { (self.process, self.job) = (process, job) }
}
