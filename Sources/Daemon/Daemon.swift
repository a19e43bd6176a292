// SPDX-License-Identifier: Apache-2.0
// The daemon: one loop on one thread, which polls, decides, tells and answers. See daemon(7).

import Alerts
import Config
import Descriptors
import Detection
import Linux
import Parsing
import Procfs
import Systemd
import Watch

/// Why a daemon does not start.
package enum DaemonError: Error, Equatable, CustomStringConvertible {
  case configuration([ConfigProblem])
  case cannotList(path: String, reason: String)
  /// Two would alert twice and overwrite each other's state.
  case inUse(folder: String, by: Int32?)
  case failed(String)

  package var description: String {
    switch self {
    case .configuration(let problems): problems.map { "\($0)" }.joined(separator: "\n")
    case .inUse(let folder, let pid):
      "another fdwatch daemon\(pid.map { " (pid \($0))" } ?? "") uses \(folder.printable): stop that one first, or use other "
        + "folders (--state-dir, --runtime-dir)"
    case .cannotList(let path, let reason): "cannot list \(path.printable): \(reason)"
    case .failed(let text): text
    }
  }
}

/// All of the daemon's state, owned by the thread that runs it.
package final class Daemon {
  let paths: DaemonPaths
  let version: String
  let procfs: Procfs
  let state: StateStore
  let evidence: EvidenceStore
  let scribe = Scribe()
  let hooks: HookRunner
  let reading: ProfileReading
  let boot = Host.boot
  let started = Instant.now
  let startedAt = WallClock.now
  var loaded: LoadedConfiguration
  var roster: Roster
  var book: AlertBook
  var teller: Teller
  var server = StatusServer()
  var reports: ReportSocket?
  var unitLedger = UnitLedger()
  /// Why the last configuration was refused, while it is.
  var problem: String?
  var polls: UInt64 = 0
  var censuses: UInt64 = 0
  var roundSeconds = 0.0
  /// What processes have reported lately, for the evidence of their leaks.
  var lastReports: [Int32: String] = [:]
  /// What the units of processes have logged of descriptors, by pid.
  var quotes: [Int32: String] = [:]
  var nextLogSearch = Instant.now
  /// Why the last evidence was not kept.
  private(set) var evidenceFailure: SystemCallError?
  var hostLimits = HostLimits()
  var inotify = InotifyTally()

  private var nextListing = Duration.zero
  private var nextRetry = Duration.zero
  private var nextSave = Instant.now.sinceBoot + savePause
  private var nextStatus = Duration.zero
  private var savedRevision = 0
  private var lastSave = Duration.zero - shortestSavePause
  private var unitsEmptySince: [String: Duration] = [:]
  private var lastWatchdog = Instant.now
  /// The longest from one sign of life to the next: four in the time that the manager allows.
  private let watchdogPause = Notify.watchdogInterval.map { $0 / 4 }
  private var toldProblems: Set<String> = []
  private var isStateFailing = false
  let handedIn: ListenSockets
  private let locks: [FileLock]

  /// How often what detectors know is saved, beside alerts and the end: the price of a crash.
  private static let savePause = Duration.seconds(600)
  /// The least between two savings of detectors, however much happens.
  private static let shortestSavePause = Duration.seconds(30)
  private static let unitPatience = Duration.seconds(600)
  private static let retryPause = Duration.seconds(300)
  private static let statusPause = Duration.seconds(30)
  /// The longest that the loop waits, so that its watchdog is fed and journal entries that wait are sent.
  private static let longestWait = Duration.seconds(1)

  package init(paths: DaemonPaths, version: String, sockets: ListenSockets) throws(DaemonError) {
    self.paths = paths
    self.version = version
    handedIn = sockets
    // A standard error that nobody reads any more ends no watch.
    Host.ignoreBrokenPipes()
    loaded = Configuration.load(root: paths.root, main: paths.configuration)
    let errors = loaded.problems.filter(\.isError)
    if !errors.isEmpty { throw .configuration(errors) }
    do throws(SystemCallError) {
      procfs = try Procfs(path: paths.procfs)
      try Files.makeFolder(paths.state)
      // Everybody may report.
      try? Files.makeFolder(paths.runtime, mode: 0o755)
      hooks = try HookRunner(usesSystemd: Daemon.isSystemdRunning)
    } catch {
      throw .failed("cannot start: \(error)")
    }
    var doubts: [String] = []
    var locks: [FileLock] = []
    for folder in [paths.state, paths.runtime] {
      do throws(FileLock.Failure) { locks.append(try FileLock(folder + DaemonPaths.lock)) } catch {
        switch error {
        case .held(let pid): throw .inUse(folder: folder, by: pid)
        case .failed(let error):
          // A full or read-only disk is no reason not to watch.
          doubts.append("\(folder.printable) cannot be locked against a second daemon: \(error.reason)")
        }
      }
    }
    self.locks = locks
    reading = ProfileReading(socket: paths.parserSocket)
    state = StateStore(folder: paths.state)
    evidence = EvidenceStore(folder: paths.evidence)
    func remembered<Value>(_ otherwise: Value, _ body: () throws(StateError) -> Value) -> Value {
      do throws(StateError) { return try body() } catch {
        doubts.append("\(error)")
        return otherwise
      }
    }
    let (state, boot) = (state, boot)
    let detectors = remembered(StateStore.Remembered()) { () throws(StateError) in
      try state.rememberedDetectors(boot: boot, at: Instant.now.sinceBoot)
    }
    let alerts = remembered(nil) { () throws(StateError) in try state.rememberedAlerts(boot: boot) }
    let silences = remembered([]) { () throws(StateError) in try state.rememberedSilences() }
    let runs = remembered([]) { () throws(StateError) in try state.rememberedRuns() }
    roster = Roster(
      Treatments(loaded.configuration, reading: reading), remembered: detectors,
      descriptors: Host.raiseDescriptorLimit())
    book = AlertBook(AlertPolicy(loaded.configuration.alerts), seed: UInt32.random(in: .min ... .max))
    book.silences = silences
    teller = Teller(loaded.configuration, hooks: hooks)
    let now = moment
    if let alerts {
      book.restore(alerts.book, isThisBoot: alerts.isThisBoot, at: now.time)
      if alerts.isThisBoot { unitLedger = alerts.units }
      // Nobody who lived before the machine was started lives still.
      if !alerts.isThisBoot { tell(book.exited(Array(book.processes), at: now)) }
      hostLimits = HostLimits(isNear: !book.owners(near: "file-max").isEmpty)
      inotify = InotifyTally(near: book.owners(near: "inotify"))
    }
    for doubt in doubts { teller.log(doubt, priority: 4) }
    teller.log("fdwatch \(version) begins")
    teller.resume(runs)
    if !runs.isEmpty { forgetRuns() }
    for problem in loaded.problems { teller.log("\(problem)", priority: 4) }
  }

  /// Whether a systemd is there to run hooks: see sd_booted(3).
  private static var isSystemdRunning: Bool {
    (try? Descriptor(path: "/run/systemd/system").state().type == .directory) ?? false
  }

  var moment: Moment { Moment(time: Instant.now.sinceBoot, wall: WallClock.now) }
}

// MARK: The loop

extension Daemon {
  /// Runs until it is told to end.
  package func run(_ signals: borrowing SignalQueue) throws(DaemonError) {
    openSockets()
    var isReady = false
    while true {
      let began = Instant.now
      try list()
      pollThoseDue()
      timePasses()
      roundSeconds = (Instant.now - began).seconds
      feedWatchdog()
      if !isReady {
        isReady = true
        Notify.ready(status: statusLine)
      }
      guard try wait(signals) else { break }
    }
    end()
  }

  private func end() {
    Notify.stopping()
    // What stands in the queue of a socket that systemd closes now would be lost.
    if let reports { takeReports(reports) }
    tell(book.finish(at: moment))
    saveDetectors()
    saveBook()
    teller.waitForHooks(until: .now + .seconds(5))
    teller.takeHookNotes()
    let (state, runs) = (state, teller.unfinishedRuns)
    scribe.write("runs") { () throws(SystemCallError) in try state.save(runs) }
    scribe.wait(until: .now + .seconds(5))
    takeOutcome()
    teller.log("fdwatch ends: what it knows is kept in \(paths.state)")
    teller.deliver()
  }

  private func list() throws(DaemonError) {
    let time = Instant.now.sinceBoot
    let isRetry = time >= nextRetry
    if isRetry {
      nextRetry = time + Self.retryPause
      // Capabilities and limits change, too.
      reconsider()
    }
    guard isRetry || time >= nextListing else { return }
    // Who is new is taken in at the second sight of him: within one interval.
    nextListing = time + min(loaded.configuration.interval, .seconds(10)) / 2
    let pids: [Int32]
    do throws(SystemCallError) {
      pids = try procfs.processes()
    } catch {
      if error.meaning == .noDescriptors { return sayOnce("no descriptor is left to list processes: \(error.reason)") }
      throw .cannotList(path: paths.procfs, reason: error.reason)
    }
    let before = roster.watched.count
    roster.list(pids, in: procfs, at: time)
    for index in before..<max(before, roster.watched.count) {
      adopt(index)
      workerAppeared(index, at: time)
    }
    if isRetry, time - started.sinceBoot >= Self.retryPause { roster.forgetRemembered() }
    judgeUnits(at: moment)
    endOrphans()
    let unseen = roster.unseen
    if let denied = unseen[.denied] {
      sayOnce("\(denied) processes cannot be looked into: it takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH")
    }
    if let without = unseen[.limit] {
      sayOnce("\(without) processes are not watched, as our own descriptors do not suffice: raise LimitNOFILE=")
    }
    if roster.users.isWaiting { sayOnce("the name service is slow to tell the names of users: numbers stand for them") }
    shareOut()
  }

  func reconsider(with treatments: Treatments? = nil) {
    let now = moment
    let dropped =
      treatments.map { roster.use($0, in: procfs, at: now.time) } ?? roster.reconsider(in: procfs, at: now.time)
    for watched in dropped { tell(book.unwatched(watched.subject, at: now)) }
  }

  /// Ends alerts of processes that nobody watches and that are gone: they exited while no daemon ran, or could not be
  /// watched to their end.
  private func endOrphans() {
    // What recycled workers have left is over when the unit has had none for long: between two there may be a while.
    let now = moment
    let alive = Set(roster.watched.lazy.compactMap(\.subject.unit))
    let empty = book.unitsWithoutProcess.filter { !alive.contains($0) }
    unitsEmptySince = Dictionary(
      empty.map { ($0, unitsEmptySince[$0] ?? now.time) }, uniquingKeysWith: { a, _ in a })
    for (unit, since) in unitsEmptySince where now.time - since >= Self.unitPatience {
      tell(book.endUnit(unit, at: now))
      unitLedger.forget(unit)
    }
    var gone: [AlertProcess] = []
    for process in book.processes where process.pid > 0 {
      if let index = roster.index(of: process.pid), roster.watched[index].subject.startTime == process.startTime {
        continue
      }
      do throws(ProcfsError) {
        if try ProcessDirectory(pid: process.pid, in: procfs).startTime == process.startTime {
          // As after a start with another configuration.
          if roster.isLeftAlone(process.pid) { tell(book.unwatched(process, at: now)) }
          continue
        }
      } catch .gone {
      } catch { continue }
      gone.append(process)
    }
    tell(book.exited(gone, at: now))
  }

  /// What was found before a restart is known already, to the book or at least to the detector.
  private func adopt(_ index: Int) {
    let watched = roster.watched[index]
    if book.isNear("descriptors", of: watched.subject, owner: watched.subject.owner) {
      roster.withWatched(index) { $0.limit = LimitWatch(isNear: true) }
    }
    for finding in watched.close?.toldFindings ?? [] { tell(.alert(finding), of: watched) }
  }

  /// Each process may be looked at so much that all together keep to the budget: one half for those that are calm, one
  /// for those that are not.
  private func shareOut() {
    let half = loaded.configuration.cpuBudget / 100 / 2
    var (calm, suspicious) = (0, 0)
    for case let process? in roster.watched.lazy.map(\.close) {
      if process.detector.needsCloserLook { suspicious += 1 } else { calm += 1 }
    }
    for watched in roster.watched {
      guard let process = watched.close else { continue }
      let share = half / Double(max(1, process.detector.needsCloserLook ? suspicious : calm))
      process.tune(
        interval: watched.treatment.interval, share: min(share, Schedule.usualShare),
        patience: watched.treatment.patience)
    }
  }

  private func pollThoseDue() {
    let time = Instant.now.sinceBoot
    // Backwards: who leaves is replaced by the last, who has been looked at.
    for index in roster.watched.indices.reversed() where roster.watched[index].nextPoll <= time {
      roster.withWatched(index) { watched in
        watched.nextPoll += watched.treatment.interval
        // Rounds that were missed, as after a suspend, are not made up for.
        if watched.nextPoll <= time { watched.nextPoll = time + watched.treatment.interval }
      }
      poll(index, at: time)
    }
    tellCountedOnly()
    procfs.sockets.forgetOld()
  }

  /// - Returns: whether it goes on.
  private func wait(_ signals: borrowing SignalQueue) throws(DaemonError) -> Bool {
    var next = nextListing
    for watched in roster.watched where watched.nextPoll < next { next = watched.nextPoll }
    // Those who are due soon after each other are looked at together.
    let quantum = min(max(loaded.configuration.interval / 20, .milliseconds(25)), .milliseconds(500))
    let longest = min(Self.longestWait, watchdogPause ?? Self.longestWait)
    let pause = min(max(next - Instant.now.sinceBoot, quantum), longest)
    let wanted =
      [Readiness.Wanted(signals.number)] + server.wanted + (reports.map { [Readiness.Wanted($0.number)] } ?? [])
    do throws(SystemCallError) {
      let ready = try Readiness.wait(wanted, until: .now + pause)
      while let signal = try signals.next() {
        switch signal {
        case .interrupt, .terminate: return false
        case .hangUp: reload()
        case .windowChanged, .stop: break
        }
      }
      server.serve(ready) { [self] request, isLocal in respond(to: request, isLocal: isLocal) }
      if let reports, ready.contains(reports.number) { takeReports(reports) }
    } catch {
      throw .failed("cannot wait: \(error)")
    }
    return true
  }

  private func feedWatchdog() {
    guard let watchdogPause, Instant.now - lastWatchdog >= watchdogPause / 2 else { return }
    lastWatchdog = .now
    Notify.watchdog()
  }

  /// A problem of the daemon itself, once.
  /// - Parameter about: what tells it from others; by default its words, without their figures.
  func sayOnce(_ text: String, about: String? = nil) {
    // Names in it are of a stranger's choice: so many are remembered.
    if toldProblems.count >= 1000 { toldProblems = [] }
    if toldProblems.insert(about ?? text.filter { !$0.isNumber }).inserted { teller.log(text, priority: 4) }
  }
}

// MARK: Time passes

extension Daemon {
  private func timePasses() {
    let now = moment
    tell(book.tick(at: now))
    tell(book.endUnconfirmed(at: now))
    let percent = loaded.configuration.alerts.hostLimit
    tell(hostLimits.observe(percent, &book, at: now))
    tell(inotify.observe(percent, roster.watched, in: procfs, &book, at: now))
    teller.takeHookNotes()
    takeOutcome()
    if let reason = reading.parser.problem {
      sayOnce(reason, about: "parser")
    } else {
      toldProblems.remove("parser")
    }
    teller.retry(at: .now)
    // After it was told: who dies in between tells it twice, and does not keep it to himself.
    if book.revision != savedRevision {
      savedRevision = book.revision
      nextStatus = now.time
      saveBook()
      nextSave = min(nextSave, lastSave + Self.shortestSavePause)
    }
    if now.time >= nextSave {
      saveBook()
      saveDetectors()
      if isStateFailing {
        saveSilences()
        forgetRuns()
      }
    }
    if now.time >= nextStatus {
      nextStatus = now.time + Self.statusPause
      Notify.status(statusLine)
      writeTextfile()
    }
  }

  var statusLine: String {
    let firing = book.firing
    let units = Set(roster.watched.lazy.compactMap(\.subject.unit)).count
    // The most urgent first.
    var who: [String] = []
    for alert in firing where alert.type == .leak {
      let name = alert.unit ?? alert.worst?.process.name ?? ""
      if !who.contains(name) { who.append(name) }
    }
    let others = firing.count { $0.type != .leak }
    let named = who.prefix(3).joined(separator: ", ") + (who.count > 3 ? " and \(who.count - 3) more" : "")
    let what =
      (who.isEmpty ? "nothing leaks" : "\(named) \(who.count == 1 ? "leaks" : "leak")")
      + (others == 0 ? "" : ", \(others) other \(others == 1 ? "alert" : "alerts")")
    let config = problem == nil ? "" : "; the new configuration is refused, the old one holds"
    let parser = reading.parser.problem.map { "; \($0)" } ?? ""
    return "watching \(roster.watched.count) processes of \(units) units: \(what)\(config)\(parser)"
  }

  private func saveDetectors() {
    lastSave = Instant.now.sinceBoot
    nextSave = lastSave + Self.savePause
    // A copy shares its memory until one of the two changes, so this costs little, and less than all states as bytes.
    // Those with most open last: what does not fit is left out.
    let detectors = roster.watched.sorted { $0.count < $1.count }.compactMap { watched in
      watched.close.map { (key: StateStore.Key(watched.subject), saving: $0.saving) }
    }
    let (state, boot, time) = (state, boot, lastSave)
    scribe.write("detectors") { () throws(SystemCallError) in
      try state.save(detectors.lazy.map { ($0.key, $0.saving()) }, boot: boot, at: time)
    }
  }

  func saveBook() {
    let (state, boot, book, units) = (state, boot, book.saved, unitLedger)
    scribe.write("book") { () throws(SystemCallError) in try state.save(book, units, boot: boot) }
  }

  /// Those that were remembered have been taken up: after a crash they are not run a second time.
  private func forgetRuns() {
    let state = state
    scribe.write("runs") { () throws(SystemCallError) in try state.save([SavedRun]()) }
  }

  func saveSilences() {
    let (state, silences) = (state, book.silences)
    scribe.write("silences") { () throws(SystemCallError) in try state.save(silences) }
  }

  /// A full disk is told once, and again when it has been well meanwhile.
  private func takeOutcome() {
    guard let error = scribe.failure else {
      if isStateFailing { teller.log("\(paths.state) can be written again") }
      isStateFailing = false
      return
    }
    if !isStateFailing {
      isStateFailing = true
      teller.log("\(paths.state) takes no more (\(error)): a restart would forget what is known now", priority: 3)
    }
    // There may be room again before much happens: all is written anew then.
    nextSave = min(nextSave, lastSave + Self.shortestSavePause)
  }

  // MARK: Telling

  func tell(_ events: [AlertEvent]) {
    for event in events {
      var event = event
      if event.word != .resolved { addWitnesses(to: &event.alert) }
      teller.tell(event)
      keepEvidence(of: event)
    }
  }

  /// What a detector says of a process.
  func tell(_ event: DetectionEvent, of watched: Watched) {
    tell(
      book.take(
        event, of: watched.subject, count: watched.count, limits: watched.limits, routing: watched.treatment.routing,
        at: moment))
  }

  /// What the process itself and its log have said.
  private func addWitnesses(to alert: inout Alert) {
    guard alert.type == .leak, !alert.members.isEmpty else { return }
    if let quote = alert.members.lazy.compactMap({ self.quotes[$0.process.pid] }).first {
      alert.members[0].finding.evidence.append(quote)
    }
    guard let index = alert.members.firstIndex(where: { lastReports[$0.process.pid] != nil }),
      let report = lastReports[alert.members[index].process.pid]
    else { return }
    let who = index == 0 ? "It" : alert.members[index].process.name
    alert.members[0].finding.evidence.append("\(who) has reported itself: \"\(report.printable)\".")
  }

  /// The limit is as good as reached, and an alert of a leak speaks of it already: what the process has open now is kept.
  func keepEvidenceAtLimit(of process: AlertProcess) {
    let alert = book.firing.first { alert in
      alert.type == .leak && alert.members.contains { $0.process.pid == process.pid }
    }
    if let alert { keepEvidence(of: AlertEvent(.escalated, alert), atLimit: true) }
  }

  private func keepEvidence(of event: AlertEvent, atLimit: Bool = false) {
    guard event.summary == nil, event.alert.type != .report,
      event.word == .alert || atLimit || (event.word == .escalated && event.alert.priority <= 2)
    else { return }
    let process = event.alert.worst.flatMap { roster.index(of: $0.process.pid) }.map { roster.watched[$0] }
    let json = event.json(host: Host.name, now: WallClock.now, time: WallClock.rfc3339)
    do throws(SystemCallError) {
      try evidence.keep(event, json: json, of: process, in: procfs, settings: loaded.configuration.evidence)
    } catch {
      evidenceFailure = error
      return sayOnce("\(paths.evidence) takes no evidence: \(error)")
    }
    evidenceFailure = nil
  }
}

extension AlertPolicy {
  init(_ settings: Config.AlertSettings) {
    self.init()
    (reminders, burst) = (settings.reminders, settings.burst)
  }
}
