// SPDX-License-Identifier: Apache-2.0
// Who is watched: processes as they come and go.

import Alerts
import Config
import Detection
import Linux
import Procfs
import Systemd
import Watch

/// Why a process is not watched.
package enum Unseen: String, Sendable, CaseIterable {
  /// For want of a capability.
  case denied
  /// We have no descriptor left for it.
  case limit
  case failed
}

/// All processes that are watched, and those that were looked at and left alone.
package final class Roster {
  package private(set) var watched: [Watched] = []
  /// By pid: what else is known to run.
  private var others: [Int32: Other] = [:]
  private var indices: [Int32: Int] = [:]
  private let remembered: StateStore.Remembered
  private var treatments: Treatments
  private var isFirstListing = true
  /// Of our own descriptors, so many are for processes; one each, and one more for those that are looked at closely.
  private let budget: Int
  private var closeCount = 0
  /// Those that are only counted since the last question: see ``takeCountedOnly()``.
  private var newlyCountedOnly: [AlertProcess] = []
  private var tracking: TrackingBudget
  package let users = UserNames()

  /// What is left for whoever asks, for hooks, evidence, state and the lists of descriptors themselves.
  private static let reserve = 24...64

  private enum Other {
    /// Seen in one listing: most of what lives for less than a moment is never looked at.
    case new
    /// Ignored by a rule, or by none meant, or of the kernel.
    case leftAlone
    case unseen(Unseen)
  }

  /// - Parameters:
  ///   - descriptors: how many we may have open ourselves.
  ///   - tracking: how many of others' may be followed one by one.
  package init(
    _ treatments: Treatments, remembered: StateStore.Remembered, descriptors: UInt64,
    tracking: TrackingBudget = TrackingBudget()
  ) {
    (self.treatments, self.remembered, self.tracking) = (treatments, remembered, tracking)
    let limit = Int(clamping: descriptors)
    budget = max(2, limit - min(max(limit / 8, Self.reserve.lowerBound), Self.reserve.upperBound))
  }

  /// Whether another process can be watched; a quarter is kept for those that will have to be looked at closely.
  private var hasRoom: Bool { watched.count < budget - budget / 4 && hasRoomForCloseLook }
  private var hasRoomForCloseLook: Bool { watched.count + closeCount < budget }

  package var unseen: [Unseen: Int] {
    others.values.reduce(into: [:]) { if case .unseen(let why) = $1 { $0[why, default: 0] += 1 } }
  }

  package func withWatched(_ index: Int, _ body: (inout Watched) -> Void) {
    let wasClose = watched[index].close != nil
    body(&watched[index])
    if wasClose, watched[index].close == nil {
      closeCount -= 1
      tracking.release(watched[index].subject.pid)
    }
  }

  /// Another configuration holds.
  /// - Returns: those who are not watched any more.
  package func use(_ treatments: Treatments, in procfs: borrowing Procfs, at time: Duration) -> [Watched] {
    self.treatments = treatments
    return reconsider(in: procfs, at: time)
  }

  /// Looks at everybody anew, for by another program that it executes a process may fall under another rule. What is known
  /// of those who stay is kept.
  /// - Returns: those who are not watched any more.
  package func reconsider(in procfs: borrowing Procfs, at time: Duration) -> [Watched] {
    others = others.mapValues { _ in .new }
    if !treatments.hasRules, watched.allSatisfy({ $0.treatment === treatments.ordinary }) { return [] }
    var dropped: [Watched] = []
    for index in watched.indices.reversed() {
      let pid = watched[index].subject.pid
      guard let directory = try? ProcessDirectory(pid: pid, in: procfs),
        directory.startTime == watched[index].subject.startTime
      else { continue }
      let facts = facts(directory)
      if facts.uid != nil, facts.user == nil { continue }
      if let treatment = treatments.treatment(of: facts) {
        if treatment === watched[index].treatment { continue }
        watched[index].treatment = treatment
        watched[index].close?.reprofile(treatment.profiling)
        // Who was to be looked at once an hour, and now is to be looked at each second, does not wait for the hour's end.
        watched[index].nextPoll = min(watched[index].nextPoll, time + treatment.interval)
        watched[index].isMet = false
        if treatment.isCloseAlways { lookClosely(index, in: procfs, at: time) }
      } else {
        dropped.append(remove(index))
        others[pid] = .leftAlone
      }
    }
    return dropped
  }

  /// Lists what runs and takes in what is new.
  /// - Parameters:
  ///   - pids: of all processes that can be seen.
  ///   - time: since boot.
  package func list(_ pids: [Int32], in procfs: borrowing Procfs, at time: Duration) {
    var seen: [Int32: Other] = [:]
    seen.reserveCapacity(others.count)
    for pid in pids where indices[pid] == nil {
      switch others[pid] {
      case .leftAlone: seen[pid] = .leftAlone
      // Others have gone meanwhile, and left it room.
      case .unseen(.limit) where hasRoom: seen[pid] = takeIn(pid, in: procfs, at: time)
      case .unseen(let why): seen[pid] = .unseen(why)
      case nil where !isFirstListing: seen[pid] = .new
      case nil, .new: seen[pid] = takeIn(pid, in: procfs, at: time)
      }
    }
    others = seen
    // At the start, looks at everybody would all come at once.
    let spread = max(Duration.seconds(2), .milliseconds(20) * watched.count)
    if isFirstListing {
      for index in watched.indices {
        watched[index].nextPoll = time + spread * Self.place(of: watched[index].subject.pid)
      }
    }
    isFirstListing = false
  }

  /// From 0 to 1, and far apart for neighbours: Knuth's multiplicative hash.
  private static func place(of pid: Int32) -> Double {
    Double((UInt32(bitPattern: pid) &* 2_654_435_761) >> 16) / 65536
  }

  private func takeIn(_ pid: Int32, in procfs: borrowing Procfs, at time: Duration) -> Other? {
    if !hasRoom { return .unseen(.limit) }
    do throws(ProcfsError) {
      let directory = try ProcessDirectory(pid: pid, in: procfs)
      if directory.isKernelThread { return .leftAlone }
      let facts = facts(directory)
      // Whose name is out may be another's whom a rule names.
      if treatments.asked.contains(.user), facts.uid != nil, facts.user == nil { return .new }
      guard let treatment = treatments.treatment(of: facts) else { return .leftAlone }
      let startTime = directory.startTime
      let unit = Unit.name(of: pid)
      let subject = AlertProcess(
        pid: pid, startTime: startTime, command: try directory.command(), executable: nil,
        user: users.name(try directory.user()), unit: unit,
        sessionUser: Unit.sessionUser(of: pid, unit: unit).map(users.name))
      let wait = treatment.interval * Self.place(of: pid)
      let sentry = try Sentry(directory, at: time)
      indices[pid] = watched.count
      watched.append(Watched(sentry, subject, treatment, nextPoll: time + wait, since: time))
      watched[watched.count - 1].run = unit.flatMap { Unit.run(of: $0) }
      let memory = remembered.state(of: StateStore.Key(subject))
      if treatment.isCloseAlways || memory != nil { lookClosely(watched.count - 1, memory, in: procfs, at: time) }
      return nil
    } catch .gone {
      return nil
    } catch .zombie {
      return nil
    } catch {
      return .unseen(failure(error))
    }
  }

  /// Takes a process up whose count grows, or of which more is known than a count.
  package func lookClosely(
    _ index: Int, _ memory: (state: [UInt8], savedAt: Duration)? = nil, in procfs: borrowing Procfs, at time: Duration
  ) {
    let entry = watched[index]
    guard entry.close == nil, hasRoomForCloseLook, entry.countedUntil.map({ time >= $0 }) ?? true,
      hasRoom(for: index, at: time)
    else { return }
    guard let directory = try? ProcessDirectory(pid: entry.subject.pid, in: procfs),
      directory.startTime == entry.subject.startTime,
      let process = try? WatchedProcess(
        directory, in: procfs, interval: entry.treatment.interval,
        start: { WallClock.now - Instant.now.sinceBoot.seconds }, profiling: entry.treatment.profiling,
        limit: Self.censusLimit, remembered: memory)
    else { return tracking.release(entry.subject.pid) }
    watched[index].lookClosely(process, at: time)
    closeCount += 1
    watched[index].subject = AlertProcess(
      process.identity, userName: users.name(process.identity.user), unit: entry.subject.unit)
    watched[index].subject.sessionUser = entry.subject.sessionUser
  }

  /// Paths are 60 bytes long as a rule: those of one process's descriptors are not cut, unless it has very many.
  private static let censusLimit = CensusLimit(descriptors: TrackingBudget.perProcess, targetBytes: 4 << 20)

  /// Whether what it has open can be followed. Where there is no room it is only counted from now on; others may have to
  /// make room for it.
  @discardableResult package func hasRoom(for index: Int, at time: Duration) -> Bool {
    let (subject, count) = (watched[index].subject, watched[index].count)
    if tracking.isCharged(count, pid: subject.pid) { return true }
    switch tracking.charge(count, pid: subject.pid, account: subject.account) {
    case .refused:
      countOnly(index, at: time)
      return false
    case .granted(let displaced):
      for pid in displaced { if let other = indices[pid] { countOnly(other, at: time) } }
      return true
    }
  }

  /// It has too many descriptors open to be looked at closely.
  package func countOnly(_ index: Int, at time: Duration) {
    if watched[index].countedUntil == nil { newlyCountedOnly.append(watched[index].subject) }
    withWatched(index) { $0.countOnly(at: time) }
  }

  /// Processes that were looked at closely, or grew, and are only counted now: each once.
  package func takeCountedOnly() -> [AlertProcess] {
    defer { newlyCountedOnly = [] }
    return newlyCountedOnly
  }

  /// Before its first poll: whether its owner has named a profile, in its unit or in its environment. To read that of all
  /// would hold up the start.
  package func meet(_ index: Int, in procfs: borrowing Procfs, at time: Duration) {
    watched[index].isMet = true
    let (subject, profiling) = (watched[index].subject, watched[index].treatment.profiling)
    guard profiling.heedsOwners, let directory = try? ProcessDirectory(pid: subject.pid, in: procfs),
      directory.startTime == subject.startTime, profiling.isNamed(by: directory, unit: subject.unit)
    else { return }
    lookClosely(index, in: procfs, at: time)
  }

  package func failure(_ error: ProcfsError) -> Unseen {
    switch error {
    case .denied: .denied
    case .failed(_, let call) where call.meaning == .noDescriptors: .limit
    default: .failed
    }
  }

  /// Lets go of a process. Who is behind it in the list takes its place.
  /// - Parameter unseen: why, if it goes on: what is known of it is kept for the next look at it.
  @discardableResult package func remove(_ index: Int, as unseen: Unseen? = nil, at time: Duration = .zero) -> Watched {
    let gone = watched[index]
    if gone.close != nil { closeCount -= 1 }
    tracking.release(gone.subject.pid)
    indices[gone.subject.pid] = nil
    watched.swapAt(index, watched.count - 1)
    watched.removeLast()
    if index < watched.count { indices[watched[index].subject.pid] = index }
    if let unseen {
      others[gone.subject.pid] = .unseen(unseen)
      if let close = gone.close {
        remembered.keep(close.saving()[...], of: StateStore.Key(gone.subject), at: time)
      }
    }
    return gone
  }

  /// What was remembered of those who were not found again is not waited for.
  package func forgetRemembered() { remembered.forget() }

  /// Whether a rule, or the want of one, keeps it from being watched.
  package func isLeftAlone(_ pid: Int32) -> Bool { if case .leftAlone? = others[pid] { true } else { false } }

  package func index(of pid: Int32) -> Int? { indices[pid] }

  private func facts(_ directory: borrowing ProcessDirectory) -> ProcessFacts {
    let asked = treatments.asked
    var facts = ProcessFacts(pid: directory.pid)
    if asked.contains(.unit) { facts.unit = Unit.name(of: directory.pid) }
    if asked.contains(.cgroup) { facts.cgroup = (try? directory.controlGroup()) ?? nil }
    if asked.contains(.user), let user = try? directory.user() {
      facts.uid = user
      facts.user = users.known(user)
    }
    if asked.contains(.exe) { facts.exe = directory.executable }
    if asked.contains(.comm) { facts.comm = try? directory.command() }
    if asked.contains(.cmdline) {
      facts.cmdline = try? directory.commandLine(upTo: ProcessDirectory.matchedCommandLine)
    }
    return facts
  }

}
