// SPDX-License-Identifier: Apache-2.0
// Polls in, changes of mind out. No clock, no file: what it says follows from what it was fed.

import Descriptors

/// Decides, from the polls of one process, which classes of its descriptors leak.
///
/// Feed it the polls in their order. README.md beside this file says how it decides.
package struct Detector: Sendable {
  var ledger = Ledger()
  var classes = ClassTable()
  private var limits: Limits?
  /// Nothing is known of it until a class looks suspicious.
  private var collector: Collector?
  private var count = 0
  /// When the watch began: all times in here are seconds since then, so that only differences of time matter.
  private var origin: Duration?
  private var time = 0.0
  private var lastCensus: Double?
  /// Usual time between two censuses: a decaying mean.
  private var censusInterval = 1.0
  private var nextEvaluation = 0.0
  private var nextFindingID = 1
  /// Alerts that were not retracted.
  private var standingAlerts = 0
  /// Restored: the next census tells all that is open, known or not.
  private var isResuming = false
  /// How much more than usual is asked for before a leak is told, in survivors and in time: 2 for whoever would rather
  /// wait, 0.5 for whoever would rather know. What has to be shown of each survivor stays the same.
  package var patience = 1.0
  /// Names a moment of the watch as a person would, such as `14:02`.
  private let timeOfDay: (@Sendable (Duration) -> String)?

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
    classes.noteMostOpen()
    return events
  }

  private func entry(for new: Poll.Opened, in index: UInt16, isFirst: Bool) -> LedgerEntry {
    var entry = LedgerEntry(
      number: new.number, inode: UInt32(truncatingIfNeeded: new.inode), born: time, classIndex: index, kind: new.kind,
      marks: isFirst ? .isInitial : [])
    // A file whose name changed, or was deleted, is still the same open file: it keeps its age.
    if new.kind == .file || new.kind == .directory, new.inode != 0, let old = ledger.index(of: new.number),
      ledger.entries[old].inode == entry.inode, ledger.entries[old].kind == new.kind
    {
      entry.born = ledger.entries[old].born
      entry.marks = ledger.entries[old].marks.union(.isRenamed)
    }
    return entry
  }

  /// Notes the ages of those that were closed.
  private mutating func bury(_ removed: [LedgerEntry], heirs: [LedgerEntry]) -> [DetectionEvent] {
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
        classes[entry.classIndex].closed.add(age, at: time)
        classes[entry.classIndex].backlog.add(age: age, at: time)
      }
      deaths[Int(entry.classIndex)].add(born: entry.born, isInitial: isInitial, now: time)
    }
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
              kind: classes[index].kind, target: classes[index].displayTarget, verdict: .sawtooth,
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

// MARK: Judging

extension Detector {
  /// A class of fewer, of known age, shows nothing yet.
  private static let fewestOpen: UInt16 = 6

  private mutating func evaluate() -> [DetectionEvent] {
    var open = [[UInt16]](repeating: [], count: classes.slotCount)
    var known = [UInt16](repeating: 0, count: classes.slotCount)
    for entry in ledger.entries where !entry.marks.contains(.isInitial) {
      let index = Int(entry.classIndex)
      if open[index].isEmpty { open[index] = [UInt16](repeating: 0, count: AgeHistogram.binCount) }
      let bin = AgeHistogram.bin(time - entry.born)
      open[index][bin] = open[index][bin] == .max ? .max : open[index][bin] + 1
      known[index] = known[index] == .max ? .max : known[index] + 1
    }
    var events: [DetectionEvent] = []
    for index in Array(classes.indices) {
      var judgement: Judgement
      if known[Int(index)] >= Self.fewestOpen {
        classes[index].closed.decay(to: time)
        classes[index].closedInitial.decay(to: time)
        let survival = Survival(
          open: open[Int(index)], closed: classes[index].closed, closedInitial: classes[index].closedInitial)
        judgement = facts(of: index, survival).judge()
      } else {
        judgement = Judgement(verdict: ordinaryVerdict(of: index), suspicion: 0, reason: "too few of known age")
      }
      events += settle(index, judgement)
    }
    return events
  }

  private func ordinaryVerdict(of index: UInt16) -> Verdict {
    if classes[index].isSawtooth { return .sawtooth }
    return classes[index].everClosed > 0 ? .load : .steady
  }

  private func facts(of index: UInt16, _ survival: Survival) -> ClassFacts {
    var births: [Double] = []
    var unread = 0
    var moved = 0
    var oldest: Double?
    var uncollected = 0
    let record = classes[index]
    for entry in ledger.entries where entry.classIndex == index && !entry.marks.contains(.isInitial) {
      oldest = min(oldest ?? entry.born, entry.born)
      if entry.born > record.lastBulkClose { uncollected += 1 }
      guard time - entry.born >= survival.threshold else { continue }
      births.append(entry.born)
      if entry.marks.contains(.hasUnread) { unread += 1 }
      if entry.marks.contains(.hasMoved) { moved += 1 }
    }
    let survivors = births.count
    func share(_ part: Int) -> Double { survivors == 0 ? 0 : Double(part) / Double(survivors) }
    births.sort()
    // Something releases these in bulk. Those that it has not had a chance to release prove nothing, unless there are by
    // far more of them than it ever let come together.
    let waitsForRelease = record.bulkCloses > 0 && uncollected <= 2 * record.mostClosedInBulk
    let isUnreleased =
      record.bulkCloses > 0 && !waitsForRelease && uncollected * 2 > births.count
      && record.closedSinceBulk * 4 < uncollected
    if waitsForRelease { births.removeAll { $0 > record.lastBulkClose } }
    return ClassFacts(
      kind: record.kind, now: time, processCount: count, softLimit: limits?.soft, collector: collector,
      open: record.open,
      closes: record.closed.everClosed, closedInitial: record.closedInitial.everClosed,
      closesBeyond: { record.closed.count(beyond: $0) + record.closedInitial.count(beyond: $0) },
      waitsForRelease: waitsForRelease, isUnreleased: isUnreleased, isSawtooth: record.isSawtooth, survival: survival,
      births: births,
      pollInterval: censusInterval, isCloseWait: record.isCloseWait, isDeleted: record.isDeleted,
      hasOneTarget: record.label.isSingle, unreadShare: share(unread), movedShare: share(moved),
      backlog: record.backlog.line(at: time), mostOpen: record.mostOpen,
      openedPerSecond: (record.openedRate.perMinute(at: time) ?? 0) / 60,
      closedPerSecond: (record.closedRate.perMinute(at: time) ?? 0) / 60, oldestBirth: oldest,
      patience: patience)
  }

  /// Takes a judgement over, and says what is new.
  private mutating func settle(_ index: UInt16, _ judgement: Judgement) -> [DetectionEvent] {
    classes[index].reason = judgement.reason
    classes[index].suspicion = judgement.suspicion
    classes[index].verdict = judgement.verdict
    if let told = classes[index].finding {
      let left = survivorCount(of: index, until: classes[index].findingUntil)
      if left * 2 < classes[index].findingPeak {
        classes[index].finding = nil
        var last = told
        last.leaked = left
        let isRetracted = classes[index].bulkCloses > classes[index].bulkClosesWhenTold
        if isRetracted { standingAlerts -= 1 }
        return [.resolved(last, isRetracted ? .retracted : .closed)]
      }
      classes[index].verdict = .leak
      classes[index].suspicion = 1
    }
    guard judgement.verdict == .leak else { return [] }
    let isNew = classes[index].finding == nil
    let finding = makeFinding(index, judgement, id: classes[index].finding?.id ?? nextFindingID)
    if isNew {
      nextFindingID += 1
      standingAlerts += 1
    }
    classes[index].finding = finding
    classes[index].findingUntil = judgement.until
    classes[index].findingPeak = survivorCount(of: index, until: judgement.until)
    let urgency = finding.urgency
    defer { classes[index].toldUrgency = max(isNew ? 0 : classes[index].toldUrgency, urgency) }
    if isNew {
      classes[index].bulkClosesWhenTold = classes[index].bulkCloses
      return [.alert(finding)]
    }
    return urgency > classes[index].toldUrgency ? [.escalated(finding)] : []
  }

  private func survivorCount(of index: UInt16, until: Double) -> Int {
    ledger.entries.count { $0.classIndex == index && $0.born <= until && !$0.marks.contains(.isInitial) }
  }

  private func makeFinding(_ index: UInt16, _ judgement: Judgement, id: Int) -> Finding {
    let record = classes[index]
    let remaining = limits.flatMap { $0.soft < 1 << 40 ? Double($0.soft) - Double(count) : nil }
    // The number of survivors is Poisson's: 90 % lie within 1.645 standard deviations.
    let spread = 1.645 / Double(max(judgement.leaked, 1)).squareRoot()
    let rates = (judgement.perSecond * max(0, 1 - spread))...(judgement.perSecond * (1 + spread))
    func duration(_ rate: Double) -> Duration? {
      guard let remaining, rate > 0, remaining / rate < 1e10 else { return nil }
      return Duration(clampingSeconds: max(0, remaining / rate))
    }
    var interval: ClosedRange<Duration>?
    if let soonest = duration(rates.upperBound), let latest = duration(rates.lowerBound) { interval = soonest...latest }
    return Finding(
      id: id, kind: record.kind, target: record.displayTarget, leaked: judgement.leaked,
      since: moment(judgement.since), ratePerHour: judgement.perSecond * 3600,
      rateInterval: (rates.lowerBound * 3600)...(rates.upperBound * 3600), timeToLimit: duration(judgement.perSecond),
      timeToLimitInterval: interval, confidence: (judgement.confidence * 1000).rounded() / 1000,
      evidence: Evidence(record: record, judgement: judgement, moment: wording).sentences(
        closedAges: record.closed, survivors: entriesOfSurvivors(index, judgement)))
  }

  private func entriesOfSurvivors(_ index: UInt16, _ judgement: Judgement) -> [LedgerEntry] {
    ledger.entries.filter { $0.classIndex == index && !$0.marks.contains(.isInitial) && $0.born >= judgement.since }
  }

  /// The last poll, in seconds since the watch began.
  var lastMoment: Double { time }

  func moment(_ seconds: Double) -> Duration { (origin ?? .zero) + Duration(clampingSeconds: seconds) }

  /// `since 14:02`, or `in the last 4 min`.
  private func wording(_ seconds: Double) -> String {
    guard let timeOfDay else { return "in the last \(Duration.seconds(time - seconds).inWords)" }
    return "since \(timeOfDay(moment(seconds)))"
  }
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
        oldestIsLowerBound: first?.isInitial ?? false, verdict: record.verdict, suspicion: record.suspicion)
    }.sorted { ($0.suspicion, $0.open, $1.kind.rawValue) > ($1.suspicion, $1.open, $0.kind.rawValue) }
  }

  /// What it was, when the watch is over: `leak` if one was told and not retracted, else what the most telling class did.
  package var overall: Verdict {
    if standingAlerts > 0 { return .leak }
    let order: [Verdict] = [.sawtooth, .warmUp, .step, .load, .steady]
    let seen = Set(classes.indices.filter { classes[$0].mostOpen > 0 }.map { classes[$0].verdict })
    return order.first(where: seen.contains) ?? .unknown
  }

  /// Whether a class looks suspicious enough that offsets, ids and sockets are worth their cost.
  package var needsCloserLook: Bool { classes.indices.contains { classes[$0].suspicion >= 0.5 } }

  /// Whether a class gives reason enough to ask the process who opened what: well before an alert, as it takes several
  /// answers to tell who.
  package var wantsProfile: Bool { classes.indices.contains { classes[$0].suspicion >= 0.2 } }

  /// What was considered of each class, and why it was accepted or rejected.
  package var explanations: [String] {
    classes.indices.filter { classes[$0].mostOpen >= 6 }.map { index in
      let record = classes[index]
      let target = record.displayTarget.map { " \($0.printable)" } ?? ""
      return "\(record.kind.rawValue)\(target): \(record.open) open: \(record.verdict.rawValue): \(record.reason)"
    }
  }
}

extension Finding {
  /// Rises as time runs out.
  fileprivate var urgency: Int {
    guard let left = timeToLimit else { return 0 }
    switch left {
    case ..<Duration.seconds(600): return 3
    case ..<Duration.seconds(3600): return 2
    case ..<Duration.seconds(86400): return 1
    default: return 0
    }
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
  }

  /// Whether ledger and classes agree, and nothing lies in the future: what comes from a file is trusted neither with an
  /// index nor with a time. One that is too late would make an age negative, or put off judging for good.
  var isSound: Bool {
    guard (0...Duration.longest / .seconds(1)).contains(time), (0...time).contains(lastCensus ?? 0),
      (0...max(time, 1)).contains(censusInterval), (0...time + Self.longestPause).contains(nextEvaluation)
    else { return false }
    guard ledger.entries.allSatisfy({ $0.number >= 0 && (0...time).contains($0.born) }),
      classes.indices.allSatisfy({ classes[$0].isSound(until: time) })
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
    for entry in ledger.apply(closed: lost, opened: []) { classes[entry.classIndex].open -= 1 }
    poll.closed = []
    return poll
  }

  /// A socket is only a socket until the tables are read; a file opened as a folder may be told as either.
  private func isSame(_ old: LedgerEntry, _ new: Poll.Opened) -> Bool {
    old.kind == new.kind || (old.kind.isSocket && new.kind.isSocket)
      || (old.kind == .directory && new.kind == .file)
  }
}
