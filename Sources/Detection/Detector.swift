// SPDX-License-Identifier: Apache-2.0
// Polls in, changes of mind out. No clock, no file: what it says follows from what it was fed.

import Descriptors

/// Decides, from the polls of one process, which classes of its descriptors leak.
///
/// Feed it the polls in their order. README.md beside this file says how it decides.
package struct Detector: Sendable {
  var ledger = Ledger()
  var classes = ClassTable()
  var limits: Limits?
  /// Nothing is known of it until a class looks suspicious.
  var collector: Collector?
  var count = 0
  /// When the watch began: all times in here are seconds since then, so that only differences of time matter.
  private var origin: Duration?
  var time = 0.0
  private var lastCensus: Double?
  /// Usual time between two censuses: a decaying mean.
  var censusInterval = 1.0
  private var nextEvaluation = 0.0
  var nextFindingID = 1
  /// Alerts that were not retracted.
  var standingAlerts = 0
  /// Restored: the next census tells all that is open, known or not.
  private var isResuming = false
  /// What the process has done.
  var work = WorkClock()
  /// Descriptors per second by which the process grows, leak or not, as of the last judgement.
  var growth = 0.0
  var decision = Decision()
  /// What a false alarm costs, as a multiple of the usual: 2 for whoever would rather wait, 0.5 for whoever would rather
  /// know. What is believed stays the same.
  package var patience: Double {
    get { decision.costRatio / Decision.usualCost }
    set { decision.costRatio = Decision.usualCost * newValue }
  }
  /// Names a moment of the watch as a person would, such as `14:02`.
  let timeOfDay: (@Sendable (Duration) -> String)?

  /// - Parameter timeOfDay: how to name a moment of the watch in the evidence; without it, moments are told as "in the
  ///   last 4 min".
  package init(timeOfDay: (@Sendable (Duration) -> String)? = nil) { self.timeOfDay = timeOfDay }

  /// Judging costs more than counting: it may wait while ages hardly grow, but no longer than this.
  private static let longestPause = 2.0

  /// Takes in a poll.
  /// - Returns: what has changed in what is believed, in the order in which it should be told.
  package mutating func observe(_ poll: Poll) -> [DetectionEvent] {
    let origin = origin ?? poll.time
    self.origin = origin
    time = (poll.time - origin) / .seconds(1)
    count = poll.count
    if let found = poll.limits { limits = found }
    if let found = poll.collector { collector = found }
    guard poll.isCensus else { return [] }
    if let last = lastCensus, !isResuming { censusInterval += ((time - last) - censusInterval) / 8 }
    let isFirst = lastCensus == nil
    lastCensus = time

    let events = take(isResuming ? reconcile(poll) : poll, isFirst: isFirst)
    isResuming = false
    guard time >= nextEvaluation else { return events }
    nextEvaluation = time + min(0.01 * time, Self.longestPause)
    return events + evaluate()
  }

  /// The process has exited: what was found ends with it.
  package mutating func processExited(at time: Duration) -> [DetectionEvent] {
    Array(classes.indices).compactMap { index in
      guard let finding = classes[index].finding else { return nil }
      classes[index].finding = nil
      return .resolved(finding, .exited)
    }
  }
}

// MARK: Taking a census in

extension Detector {
  private mutating func take(_ poll: Poll, isFirst: Bool) -> [DetectionEvent] {
    var opened: [LedgerEntry] = []
    opened.reserveCapacity(poll.opened.count)
    for new in poll.opened {
      if let heir = heir(of: new) {
        classes[heir.classIndex].open += 1
        opened.append(heir)
        continue
      }
      let (index, remap) = classes.index(kind: new.kind, target: new.target, at: time)
      if let remap {
        ledger.updateAll { $0.follow(remap) }
        for index in opened.indices { opened[index].follow(remap) }
      }
      // At once: a class that has members does not make room for the next one.
      classes[index].open += 1
      opened.append(entry(for: new, in: index, isFirst: isFirst))
    }
    let removed = ledger.apply(closed: poll.closed, opened: opened)
    let events = bury(removed, heirs: opened)
    classes.countOpened(opened, at: time, isFirst: isFirst)
    if opened.contains(where: { $0.marks.contains(.isRenamed) }) { ledger.clearRenamed() }
    for moved in poll.moved {
      if let index = ledger.index(of: moved.number) { ledger.update(index) { $0.marks.insert(.hasMoved) } }
    }
    takeSockets(poll)
    for evidence in poll.usage {
      if let index = ledger.index(of: evidence.descriptor) {
        classes[ledger.entries[index].classIndex].note(evidence, at: time)
      }
    }
    classes.noteMostOpen()
    return events
  }

  private func entry(for new: Poll.Opened, in index: UInt16, isFirst: Bool) -> LedgerEntry {
    var marks: LedgerEntry.Marks = isFirst ? .isInitial : []
    if new.isDeletedFile { marks.insert(.isDeleted) }
    return LedgerEntry(
      number: new.number, inode: UInt32(truncatingIfNeeded: new.inode), born: time, classIndex: index, kind: new.kind,
      marks: marks)
  }

  /// A file whose name changed, or was deleted, is still the same open file: it keeps its age, and its class. A class is
  /// what its members were opened as: else a log that is renamed four times and then deleted would join a class of deleted
  /// files only when it is old, and that class would seem to grow no more.
  private func heir(of new: Poll.Opened) -> LedgerEntry? {
    guard new.kind == .file || new.kind == .directory, new.inode != 0, let index = ledger.index(of: new.number) else {
      return nil
    }
    var entry = ledger.entries[index]
    guard entry.inode == UInt32(truncatingIfNeeded: new.inode), entry.kind == new.kind else { return nil }
    entry.marks.insert(.isRenamed)
    if new.isDeletedFile { entry.marks.insert(.isDeleted) } else { entry.marks.remove(.isDeleted) }
    return entry
  }

  /// Notes the ages of those that were closed.
  private mutating func bury(_ removed: [LedgerEntry], heirs: [LedgerEntry]) -> [DetectionEvent] {
    var done = 0
    var deaths = [Bulk](repeating: Bulk(), count: classes.slotCount)
    for entry in removed {
      let heir = heirs.binarySearch(entry.number)
      classes[entry.classIndex].open -= 1
      if let heir, heirs[heir].marks.contains(.isRenamed) { continue }
      let age = time - entry.born
      let isInitial = entry.marks.contains(.isInitial)
      if isInitial {
        // How old it was is not known. To take it for what was seen of it would make young ones of old ones.
        classes[entry.classIndex].closedInitial.add(age, at: time)
      } else {
        done += 1
        classes[entry.classIndex].closed.add(age, at: time)
        classes[entry.classIndex].backlog.add(age: age, at: time)
      }
      deaths[Int(entry.classIndex)].add(born: entry.born, isInitial: isInitial, now: time)
    }
    work.add(done, at: time)
    var events: [DetectionEvent] = []
    for index in classes.indices where deaths[Int(index)].count > 0 {
      let bulk = deaths[Int(index)]
      classes[index].closedRate.add(bulk.count, at: time)
      guard bulk.isRelease(leaving: classes[index].open, interval: censusInterval) else {
        classes[index].closedSinceBulk += bulk.count
        continue
      }
      classes[index].closedSinceBulk = 0
      classes[index].bulkCloses = min(classes[index].bulkCloses + 1, 1000)
      classes[index].closedInBulk += bulk.count
      classes[index].mostClosedInBulk = max(classes[index].mostClosedInBulk, bulk.count)
      classes[index].lastBulkClose = time
      if classes[index].isSawtooth, !classes[index].isToldSawtooth {
        classes[index].isToldSawtooth = true
        let label = classes[index].displayTarget.map { " \($0.printable)" } ?? ""
        events.append(
          .notice(
            Notice(
              kind: classes[index].kind, target: classes[index].displayTarget, verdict: .collector,
              text:
                "\(classes[index].kind.rawValue)\(label): \(bulk.count) were released at once, and not for the first time: "
                + "closes are missing, and a collector makes up for them")))
      }
    }
    return events
  }

  private mutating func takeSockets(_ poll: Poll) {
    if poll.tcp.isEmpty, poll.families.isEmpty, poll.unread.isEmpty { return }
    // An open file description may have several descriptors.
    var indices: [UInt32: [Int]] = [:]
    for change in poll.families { indices[UInt32(truncatingIfNeeded: change.inode)] = [] }
    for change in poll.tcp { indices[UInt32(truncatingIfNeeded: change.inode)] = [] }
    for change in poll.unread { indices[UInt32(truncatingIfNeeded: change.inode)] = [] }
    for (index, entry) in ledger.entries.enumerated() where entry.kind.isSocket { indices[entry.inode]?.append(index) }
    func entries(_ inode: UInt64) -> [Int] { indices[UInt32(truncatingIfNeeded: inode)] ?? [] }

    for change in poll.families where change.kind != .socket {
      for index in entries(change.inode) where ledger.entries[index].kind != change.kind {
        move(index, kind: change.kind, target: "", isCloseWait: false)
      }
    }
    for change in poll.tcp {
      let isCloseWait = change.state == .closeWait
      for index in entries(change.inode) {
        let before = ledger.entries[index]
        if before.kind == .tcp, before.marks.contains(.isCloseWait) == isCloseWait { continue }
        move(index, kind: .tcp, target: change.state == .listen ? "listening" : change.peer, isCloseWait: isCloseWait)
      }
    }
    for change in poll.unread {
      for index in entries(change.inode) {
        ledger.update(index) { entry in
          if change.bytes > 0 { entry.marks.insert(.hasUnread) } else { entry.marks.remove(.hasUnread) }
        }
      }
    }
  }

  /// Moves a descriptor to the class that it turned out to belong to. It was not closed, and it is not new.
  private mutating func move(_ entry: Int, kind: Kind, target: String, isCloseWait: Bool) {
    let old = ledger.entries[entry]
    let (index, remap) = classes.index(kind: kind, target: target, isCloseWait: isCloseWait, at: time)
    if let remap { ledger.updateAll { $0.follow(remap) } }
    let from = ledger.entries[entry].classIndex
    classes[from].open -= 1
    classes[index].open += 1
    if old.born == time, !old.marks.contains(.isInitial) { classes[from].openedRate.add(-1, at: time) }
    classes[index].openedRate.add(old.marks.contains(.isInitial) ? 0 : 1, at: time)
    let enters = isCloseWait && old.kind == .tcp && !old.marks.contains(.isCloseWait)
    ledger.update(entry) {
      $0.kind = kind
      $0.classIndex = index
      if isCloseWait { $0.marks.insert(.isCloseWait) } else { $0.marks.remove(.isCloseWait) }
      // From here on what counts is how long the peer has been gone.
      if enters {
        $0.born = time
        $0.marks.remove(.isInitial)
      }
    }
  }
}

extension Poll.Opened {
  /// A file that has no name any more. One that never had any (`O_TMPFILE`) always reads `/tmp/#12345 (deleted)`: that
  /// says nothing.
  fileprivate var isDeletedFile: Bool {
    guard kind == .file, target.hasSuffix(TargetPatterns.deletedMark) else { return false }
    let name = target.lastIndex(of: "/").map { target[$0...].dropFirst() } ?? target[...]
    return name.first != "#"
  }
}

/// Closes of one class in one poll.
private struct Bulk {
  var count = 0
  /// Different ones, and no more than are asked for.
  private var births: [Double] = []
  private var oldest = 0.0
  private var initial = 0
  private static let fewestBirths = 6

  mutating func add(born: Double, isInitial: Bool, now: Double) {
    count += 1
    if isInitial {
      initial += 1
    } else if births.count < Self.fewestBirths, !births.contains(born) {
      births.append(born)
    }
    oldest = max(oldest, now - born)
  }

  /// A collector releases most of what there is, old and young alike. A herd that leaves was born together, and of what
  /// lives for less than a few censuses all are new at every one.
  func isRelease(leaving open: Int, interval: Double) -> Bool {
    guard count >= 12, count >= open else { return false }
    // Those that were open before the watch are of many ages, as far as we know.
    return initial >= Self.fewestBirths || (births.count >= Self.fewestBirths && oldest > 4 * interval)
  }
}

extension [LedgerEntry] {
  fileprivate func binarySearch(_ number: Int32) -> Int? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low < count && self[low].number == number ? low : nil
  }
}

// MARK: Time

extension Detector {
  /// The last poll, in seconds since the watch began.
  var lastMoment: Double { time }

  func moment(_ seconds: Double) -> Duration { (origin ?? .zero) + Duration(clampingSeconds: seconds) }
}

// MARK: What is believed

extension Detector {
  /// What was found and goes on.
  /// Sets what is said of the stacks of each finding, by its id: nothing here depends on it, but it is saved along.
  package mutating func setBlames(_ blames: [Int: Blame]) {
    for index in classes.indices {
      guard let id = classes[index].finding?.id else { continue }
      classes[index].finding?.blame = blames[id]
    }
  }

  /// Ids of what is suspected now: reported before, more probable than not, and no alert.
  package var suspectedIDs: Set<Int> {
    Set(
      classes.indices.map { classes[$0] }.filter {
        $0.finding == nil && $0.findingID > 0 && $0.probability >= Decision.suspicion
      }.map(\.findingID))
  }

  package var findings: [Finding] { classes.indices.compactMap { classes[$0].finding }.sorted { $0.id < $1.id } }

  /// The classes, the most suspicious first.
  package var classReports: [ClassReport] {
    var oldest: [UInt16: (born: Double, isInitial: Bool)] = [:]
    for entry in ledger.entries {
      if let known = oldest[entry.classIndex], known.born <= entry.born { continue }
      oldest[entry.classIndex] = (entry.born, entry.marks.contains(.isInitial))
    }
    return classes.indices.filter { classes[$0].open > 0 }.map { index in
      let record = classes[index]
      let first = oldest[index]
      return ClassReport(
        kind: record.kind, target: record.displayTarget, open: record.open,
        openedPerMinute: record.openedRate.perMinute(at: time), closedPerMinute: record.closedRate.perMinute(at: time),
        oldest: first.map { Duration(clampingSeconds: time - $0.born) },
        oldestIsLowerBound: first?.isInitial ?? false, verdict: record.verdict,
        suspicion: record.finding == nil ? record.probability : 1,
        probability: record.probability)
    }.sorted { ($0.suspicion, $0.open, $1.kind.rawValue) > ($1.suspicion, $1.open, $0.kind.rawValue) }
  }

  /// What it was, when the watch is over: `leak` if one was told and not retracted, else what the most telling class did.
  package var overall: Verdict {
    if standingAlerts > 0 { return .leak }
    // A suspicion is no verdict, and nothing else is one beside it.
    if classes.indices.contains(where: { classes[$0].probability >= Decision.suspicion }) { return .undecided }
    let order: [Verdict] = [.collector, .capacity, .heldByClient, .step, .load, .steady]
    let seen = Set(classes.indices.filter { classes[$0].mostOpen > 0 }.map { classes[$0].verdict })
    return order.first(where: seen.contains) ?? .undecided
  }

  /// Whether a class looks suspicious enough that offsets, ids and sockets are worth their cost.
  package var needsCloserLook: Bool { isAny(above: 0.25) }

  /// Whether a class gives reason enough to ask the process who opened what: well before an alert, as it takes several
  /// answers to tell who.
  package var wantsProfile: Bool { isAny(above: 0.1) }

  private func isAny(above probability: Double) -> Bool {
    classes.indices.contains { classes[$0].probability >= probability || classes[$0].finding != nil }
  }
}

// MARK: Saving

extension Detector: Storable {
  static var blank: Detector { Detector() }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&ledger)
    try archive.field(&classes)
    try archive.field(&limits)
    var runtime = collector?.rawValue ?? ""
    try archive.field(&runtime)
    collector = Collector(rawValue: runtime)
    try archive.field(&count)
    try archive.field(&origin)
    try archive.field(&time)
    try archive.field(&lastCensus)
    try archive.field(&censusInterval)
    try archive.field(&nextEvaluation)
    try archive.field(&nextFindingID)
    try archive.field(&standingAlerts)
    try archive.field(&work)
    try archive.field(&growth)
  }

  /// Whether ledger and classes agree, and nothing lies in the future: what comes from a file is trusted neither with an
  /// index nor with a time. One that is too late would make an age negative, or put off judging for good.
  var isSound: Bool {
    guard (0...Duration.longest / .seconds(1)).contains(time), (0...time).contains(lastCensus ?? 0),
      (0...max(time, 1)).contains(censusInterval), (0...time + Self.longestPause).contains(nextEvaluation)
    else { return false }
    guard ledger.entries.allSatisfy({ $0.number >= 0 && (0...time).contains($0.born) }),
      classes.indices.allSatisfy({ classes[$0].isSound(until: time) }), work.isSound(until: time),
      (0...1e12).contains(growth)
    else { return false }
    var open = [Int](repeating: 0, count: classes.slotCount)
    let known = Set(classes.indices)
    for entry in ledger.entries {
      guard known.contains(entry.classIndex) else { return false }
      open[Int(entry.classIndex)] += 1
    }
    return known.allSatisfy { classes[$0].open == open[Int($0)] }
  }

  /// - Parameter savedAt: the moment up to which all is known, on the clock of the polls to come.
  mutating func resume(at savedAt: Duration) {
    guard let before = origin else { return }
    let now = savedAt - .seconds(time)
    for index in classes.indices { classes[index].finding?.since += now - before }
    origin = now
    isResuming = lastCensus != nil
  }

  /// Takes out of a census that tells all what is known already, and lets go of what is not there any more.
  private mutating func reconcile(_ poll: Poll) -> Poll {
    var poll = poll
    var found: Set<Int32> = []
    poll.opened.removeAll { new in
      guard let index = ledger.index(of: new.number) else { return false }
      let old = ledger.entries[index]
      guard old.inode == UInt32(truncatingIfNeeded: new.inode), isSame(old, new) else { return false }
      found.insert(new.number)
      return true
    }
    let lost = ledger.entries.map(\.number).filter { !found.contains($0) }
    let removed = ledger.apply(closed: lost, opened: [])
    for entry in removed { classes[entry.classIndex].open -= 1 }
    // That they were closed is known, only not when: the clock of work counts them, lifetimes do not.
    work.add(removed.count { !$0.marks.contains(.isInitial) }, at: time)
    poll.closed = []
    return poll
  }

  /// A socket is only a socket until the tables are read; a file opened as a folder may be told as either.
  private func isSame(_ old: LedgerEntry, _ new: Poll.Opened) -> Bool {
    old.kind == new.kind || (old.kind.isSocket && new.kind.isSocket)
      || (old.kind == .directory && new.kind == .file)
  }
}
