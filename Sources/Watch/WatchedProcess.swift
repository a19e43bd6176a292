// SPDX-License-Identifier: Apache-2.0
// One process under watch: from /proc to verdicts.

import Attribution
import Descriptors
import Detection
import Linux
import Parsing
import Pprof
import Procfs
import Profiles
import Systemd
import Usage

/// One watched process: its directory, what is known of its table, when to look at it, and what is believed of it.
package final class WatchedProcess {
  /// As of the last verification: a process may execute another program.
  package private(set) var identity: ProcessIdentity
  private var directory: ProcessDirectory
  private var table: DescriptorTable
  private var schedule: Schedule
  private let sockets: SocketTables
  private let counting: Procfs.Counting
  private let procfsPath: String
  private var usage = UsageReader()
  private var analysis: Analysis
  private var profiles: ProfileKeeper?
  private let tables: TableKeeper?
  private let openers: OpenerKeeper?
  private let owner: ProcessOwner
  private let retention: ProfileRetention
  /// Profiles that came in where no poll was due.
  private var snapshots: [(snapshot: ProfileSnapshot, taken: Instant)] = []
  /// Where it takes connections, once that is known and as long as it matters.
  private var listeners: Set<Listener>?
  /// Sentences for a person, about profiles.
  private var notes: [String] = []
  private var noteLimit = NoteLimit()
  private var isCutTold = false
  /// At most ``limitsPause`` old: to read them takes ten times as long as to count.
  package private(set) var limits: Limits
  private var nextLimits = Duration.zero
  private var isCollectorKnown = false
  private static let limitsPause = Duration.seconds(60)
  /// Its profiles are asked for as though something looked suspicious.
  package var isNearLimit = false
  /// As of the last poll.
  package private(set) var count: Int

  /// - Parameters:
  ///   - start: the wall clock at time zero of the watch, in seconds since 1970, for the words of the evidence.
  ///   - profiling: where its profiles are.
  package convenience init(
    pid: Int32, in procfs: borrowing Procfs, interval: Duration, start: Double, profiling: Profiling = .none
  ) throws(ProcfsError) {
    try self.init(
      ProcessDirectory(pid: pid, in: procfs), in: procfs, interval: interval, start: { start }, profiling: profiling)
  }

  /// - Parameters:
  ///   - directory: of the process.
  ///   - start: the wall clock at time zero of the watch, asked when words are made: it may have been set meanwhile.
  ///   - limit: how much a look at it may take in.
  ///   - remembered: what an earlier detector knew of this very process, and when it was saved on the clock of the polls.
  package init(
    _ directory: consuming ProcessDirectory, in procfs: borrowing Procfs, interval: Duration,
    start: @escaping @Sendable () -> Double, profiling: Profiling = .none, limit: CensusLimit = .none,
    remembered: (state: [UInt8], savedAt: Duration)? = nil
  ) throws(ProcfsError) {
    table = DescriptorTable(limit: limit)
    var directory = directory
    let count = try directory.countOrExplain()
    let identity = try directory.identity()
    let limits = try directory.limits()
    (self.identity, self.limits, self.count) = (identity, limits, count)
    var notes: [String] = []
    profiles = profiling.keeper(of: directory, identity, notes: &notes)
    self.notes = notes
    let owner = ProcessOwner(user: identity.user, unit: Unit.name(of: identity.pid))
    tables = profiling.tables(of: ProcessKey(pid: identity.pid, startTime: identity.startTime), owner)
    openers = profiling.openers.map {
      OpenerKeeper(ProcessKey(pid: identity.pid, startTime: identity.startTime), $0, parser: profiling.parser)
    }
    (self.owner, retention) = (owner, profiling.retention)
    self.directory = directory
    // Processes that were found together are not all verified at the same time.
    schedule = Schedule(
      interval: interval, counting: procfs.counting, spread: Double(UInt32(bitPattern: identity.pid) % 64) / 64)
    (sockets, counting, procfsPath) = (procfs.sockets, procfs.counting, procfs.path)
    let timeOfDay: @Sendable (Duration) -> String = { String(WallClock.timeOfDay(start() + $0.seconds).prefix(5)) }
    var detector = Detector(timeOfDay: timeOfDay)
    if let remembered {
      do throws(SavedStateError) {
        detector = try Detector(restoring: remembered.state, savedAt: remembered.savedAt, timeOfDay: timeOfDay)
      } catch {
        self.notes.append("what was known of it before is lost: \(error)")
      }
    }
    analysis = Analysis(detector: detector, filter: profiling.filter)
  }

  package var detector: Detector { analysis.detector }
  package var findings: [Finding] { analysis.findings }
  /// What fills its table, as of the last look at it.
  package var holders: Holders { analysis.holders }
  /// Those of them that do not wait for a stack any more.
  package var toldFindings: [Finding] { analysis.toldFindings }

  /// The beginning of its arguments, read anew: for a daemon that watches thousands, too much to keep.
  package var commandLine: String {
    (try? directory.commandLine(upTo: ProcessDirectory.shownCommandLine)) ?? ""
  }

  /// Makes what is known of it now into bytes, for a restart, wherever and whenever it is called.
  package var saving: @Sendable () -> [UInt8] { { [analysis] in analysis.savedState } }

  /// How often and how much it is looked at, and how much evidence is asked for.
  package func tune(interval: Duration, share: Double, patience: Double) {
    schedule.interval = interval
    schedule.share = share
    analysis.setPatience(patience)
  }

  /// Other profiles hold for it from now on.
  package func reprofile(_ profiling: Profiling) {
    profiles = profiling.keeper(of: directory, identity, notes: &notes)
    analysis.use(profiling.filter)
  }

  /// What is to be told about its profiles, each sentence once.
  package func takeNotes() -> [String] {
    defer { notes = [] }
    return notes.compactMap { noteLimit.take($0) }
  }

  /// Open descriptors that are our own doing: a connection by which it is asked for profiles.
  package var ownConnections: Int { profiles?.ownConnections ?? 0 }

  /// Why its profile cannot be read; `nil` if it can, or if it has none.
  package var profileProblem: ProfileError? { profiles?.problem }

  /// Whether it has profiles that it is asked for.
  package var hasProfiles: Bool { profiles != nil }

  /// The profile that it gave last, in pprof's format: what is kept of it.
  package var lastProfile: [UInt8]? { analysis.lastProfile.map { Profile($0).encoded() } }

  deinit { retention.forget(identity.pid, of: owner) }

  /// Looks at the process and asks the detector.
  ///
  /// - Parameters:
  ///   - time: since the watch began. What is decided knows no other clock; the schedule alone measures what the looks
  ///     cost.
  ///   - isOverdue: something is known to have happened: look even where no look is due.
  /// - Returns: the poll, and what the detector made of it. `nil` where a look would be a list and none is due.
  package func poll(
    at time: Duration, isOverdue: Bool = false
  ) throws(ProcfsError) -> (poll: Poll, events: [DetectionEvent])? {
    // Whole milliseconds, as a trace has them: a recording replayed must give the same verdicts.
    let time = Duration.milliseconds((time.nanoseconds + 500_000) / 1_000_000)
    do {
      readTables(at: time)
      readOpeners()
      askForProfiles(at: time)
      let found = try look(at: time, isOverdue: isOverdue)
      // A table that has just been found is read at once.
      readTables(at: time)
      guard var poll = found else { return nil }
      poll.profiles = snapshots.map { entry in
        var snapshot = entry.snapshot
        let age = max(.zero, .now - entry.taken)
        snapshot.age = .milliseconds(Int64(age / .milliseconds(1)))
        return snapshot
      }
      snapshots = []
      readUsage(at: time, into: &poll)
      return (poll, observe(poll))
    } catch .denied(let file, let missing) {
      throw directory.explainDenial(.denied(file: file, missing: missing))
    }
  }

  private func observe(_ poll: Poll) -> [DetectionEvent] {
    if poll.profiles.isEmpty { return analysis.observe(poll) }
    analysis.profileBytes = retention.allowance(for: identity.pid, of: owner)
    defer {
      retention.note(analysis.keptProfileBytes, of: identity.pid, owner)
      if analysis.isProfileCut, !isCutTold {
        isCutTold = true
        notes.append("not all stacks of its profiles are kept: those of \(owner) have used up their share of memory")
      }
    }
    return analysis.observe(poll)
  }

  private func readTables(at time: Duration) {
    guard let tables, !tables.isIdle else { return }
    let (new, told) = tables.tick(at: time, isSuspicious: detector.wantsProfile || isNearLimit)
    snapshots += new
    notes += told
  }

  private func readOpeners() {
    guard let openers else { return }
    let (new, told) = openers.tick(isSuspicious: detector.wantsProfile || isNearLimit)
    snapshots += new
    notes += told
  }

  private func askForProfiles(at time: Duration) {
    guard let profiles, !profiles.isIdle else { return }
    var process = ProfiledProcess(
      ProcessKey(pid: identity.pid, startTime: identity.startTime), owner: owner, user: identity.user, open: count)
    if profiles.needsListeners {
      // The first census, or a later reading of the socket tables, has yet to tell.
      guard let listeners else { return }
      process.listeners = listeners
    }
    if profiles.needsNetwork {
      process.network =
        switch directory.network {
        case .ours: .reached
        case .host: .withheld
        case .another: .another
        }
    }
    let needsWitness = findings.contains { $0.blame?.stacks.isEmpty != false }
    let (new, told) = profiles.tick(
      at: time, process, isSuspicious: detector.wantsProfile || isNearLimit, needsWitness: needsWitness)
    snapshots += new
    notes += told
  }

  private func look(at time: Duration, isOverdue: Bool) throws(ProcfsError) -> Poll? {
    // Where counting is listing, a census that verifies nothing costs the same and tells more.
    if counting == .bySize { count = try directory.countOrExplain() }
    let isSuspicious = detector.needsCloserLook
    var poll = Poll(time: time, count: count, isCensus: false)
    switch schedule.look(at: time, count: count, isSuspicious: isSuspicious) {
    case .skip where isOverdue: try takeCensus(verifying: .none, isSuspicious: isSuspicious, into: &poll)
    case .skip: return nil
    case .count where time >= nextLimits: try readLimits(into: &poll)
    case .count: break
    case .census(let verification): try takeCensus(verifying: verification, isSuspicious: isSuspicious, into: &poll)
    }
    return poll
  }

  /// Looks at the use of what is suspected, where that is due. It comes with a census: its numbers are those of the poll.
  private func readUsage(at time: Duration, into poll: inout Poll) {
    guard poll.isCensus, usage.isDue(at: time) else { return }
    let suspects = detector.usageSuspects
    guard !suspects.isEmpty, let procfs = try? Procfs(path: procfsPath, counting: counting) else { return }
    poll.usage = usage.look(at: suspects, of: directory, in: procfs, at: time)
  }

  private func takeCensus(
    verifying verification: DescriptorTable.Verification, isSuspicious: Bool, into poll: inout Poll
  ) throws(ProcfsError) {
    let isFirst = table.count == 0
    let began = Instant.now
    try table.census(of: &directory, verifying: verification, into: &poll)
    tables?.note(poll) { try? directory.innermostPid() }
    let end = Instant.now
    count = poll.count
    if verification > .none, let now = try? directory.identity(unless: identity) {
      identity = now
      isCollectorKnown = false
    }
    try readLimits(into: &poll)
    if isFirst { poll.limits = limits }
    if isSuspicious, !isCollectorKnown {
      isCollectorKnown = true
      poll.collector = try? directory.collector()
    }
    if table.hasSocketsToRead(isVerification: verification > .none) {
      // What was read for another process since the last look will do.
      let earliest = began + schedule.interval * -1
      if let snapshot = try sockets.snapshot(of: directory, since: earliest) {
        table.readSockets(in: snapshot, isCurrent: snapshot.isComplete && snapshot.taken >= end, into: &poll)
        if profiles?.needsListeners == true { noteListeners(in: snapshot) }
      }
    } else if isFirst {
      listeners = []
    }
    let changed = !poll.opened.isEmpty || !poll.closed.isEmpty || !poll.tcp.isEmpty
    schedule.took(
      verification, cost: end - began, at: poll.time, count: poll.count, changed: changed, isSuspicious: isSuspicious)
  }

  private func noteListeners(in snapshot: SocketSnapshot) {
    listeners = Set(
      table.listeners(in: snapshot).map { descriptor, socket in
        Listener(
          inode: socket.inode, address: socket.local ?? "", isUnix: socket.kind == .unix, descriptor: descriptor)
      })
  }

  /// With every census, and otherwise now and then: prlimit(2) changes them without a change of the count.
  private func readLimits(into poll: inout Poll) throws(ProcfsError) {
    let found = try directory.limits()
    if found != limits { poll.limits = found }
    limits = found
    nextLimits = poll.time + Self.limitsPause
  }

  /// Whether its table may be read at all: finds out before a watch begins what would end it.
  package func checkAccess() throws(ProcfsError) { try directory.checkAccess() }

  /// The process has gone: what had been found ends with it.
  package func exited(at time: Duration) -> [DetectionEvent] { analysis.processExited(at: time) }
}
