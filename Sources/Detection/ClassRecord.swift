// SPDX-License-Identifier: Apache-2.0
// What is remembered of a class: descriptors of one kind whose targets have a pattern in common.

import Descriptors
import Glibc

/// A class of descriptors.
struct ClassRecord: Sendable {
  /// The pattern that brings descriptors together: unique among a process's classes.
  var key: String
  var kind: Kind
  /// TCP sockets whose peer has hung up are a class of their own: among many in good use they would not be seen.
  var isCloseWait = false
  var label: TargetLabel

  var open = 0
  /// Ages at which members were closed.
  var closed = AgeHistogram()
  /// Of those that were open before the watch: lower bounds, what was seen of their ages.
  var closedInitial = AgeHistogram()
  var openedRate = Rate()
  var closedRate = Rate()
  var backlog = BacklogTrend()
  /// How often many were closed at once.
  var bulkCloses = 0
  /// How many were closed in these, and the most at once.
  var closedInBulk = 0
  var mostClosedInBulk = 0
  /// Those that were closed in other ways since then.
  var closedSinceBulk = 0
  /// When that happened last, in seconds since the watch began.
  var lastBulkClose = -1.0
  var isToldSawtooth = false
  /// The largest number open since the watch began.
  var mostOpen = 0

  var verdict = Verdict.undecided
  /// Of a leak, 0…1.
  var probability = 0.0
  /// Of what was told of it, the same from suspicion to end; 0 if nothing was.
  var findingID = 0
  /// The highest probability that was told.
  var toldProbability = 0.0
  /// The finding speaks of a backlog: its members do not stay, but there are ever more.
  var isBacklogTold = false
  var finding: Finding? {
    get { boxed.first }
    set { boxed = newValue.map { [$0] } ?? [] }
  }
  /// Most classes have none: on the heap it takes no room in them.
  private var boxed: [Finding] = []
  /// Survivors born until then are those that the finding speaks of; how many there were.
  var findingUntil = 0.0
  var findingPeak = 0
  var toldUrgency = 0
  var bulkClosesWhenTold = 0

  /// Those born until then are survivors, as of the last judgement. Not saved, as what is known of their use is not: both
  /// are read anew.
  var survivorsUntil = 0.0
  /// What was last seen of their use, and when: on the heap, as most classes have none.
  private var usages: [(evidence: UsageEvidence, at: Double)] = []
  /// So long it holds, in seconds: a look is due again well before, unless it cannot be taken any more.
  private static let usageHolds = 900.0

  /// Since when a suspicion waits for them; -1 where none does.
  var suspectedSince = -1.0
  private(set) var usageLooks: UInt8 = 0

  mutating func note(_ evidence: UsageEvidence, at time: Double) {
    usages = [(evidence, time)]
    usageLooks = min(usageLooks, 100) + 1
  }

  func usage(at time: Double) -> UsageEvidence? {
    usages.first.flatMap { time - $0.at < Self.usageHolds ? $0.evidence : nil }
  }

  /// A place that no class has.
  static let vacant = ClassRecord(key: "", kind: .anon, label: TargetLabel(""))
  var isVacant: Bool { key.isEmpty }

  init(key: String, kind: Kind, label: TargetLabel) {
    self.key = key
    self.kind = kind
    self.label = label
  }

  /// Most are closed in bulk, and more than once.
  var isSawtooth: Bool { bulkCloses >= 2 && Double(closedInBulk) >= 0.6 * Double(everClosed) }

  /// Bytes that it takes, with what it is likely to take yet: a histogram.
  var footprint: Int {
    MemoryLayout<ClassRecord>.stride + key.heapBytes + label.heapBytes
      + AgeHistogram.heapBytes + (closedInitial.counts.isEmpty ? 0 : AgeHistogram.heapBytes)
      + (boxed.first?.heapBytes ?? 0) + (usages.first?.evidence.heapBytes ?? 0)
  }

  /// What was told of it is over: what comes is a new one.
  mutating func forgetTold() {
    (findingID, toldProbability) = (0, 0)
    (findingPeak, toldUrgency, isBacklogTold) = (0, 0, false)
  }

  /// All that were ever closed.
  var everClosed: Int { closed.everClosed + closedInitial.everClosed }

  mutating func merge(_ other: ClassRecord) {
    label.merge(other.label)
    open += other.open
    closed.merge(other.closed)
    closedInitial.merge(other.closedInitial)
    openedRate.merge(other.openedRate)
    closedRate.merge(other.closedRate)
    bulkCloses = max(bulkCloses, other.bulkCloses)
    closedInBulk += other.closedInBulk
    mostClosedInBulk = max(mostClosedInBulk, other.mostClosedInBulk)
    lastBulkClose = max(lastBulkClose, other.lastBulkClose)
    closedSinceBulk += other.closedSinceBulk
    mostOpen = max(mostOpen, other.mostOpen)
    if (usages.first?.at ?? -1) < (other.usages.first?.at ?? -1) { usages = other.usages }
    if finding == nil {
      finding = other.finding
      (findingUntil, findingPeak, toldUrgency) = (other.findingUntil, other.findingPeak, other.toldUrgency)
      isBacklogTold = other.isBacklogTold
      if finding != nil || findingID == 0 {
        (findingID, toldProbability) = (other.findingID, other.toldProbability)
      }
    }
  }
}

/// What the targets of a class have in common, for display: a first one, and how much of its two ends all others share.
struct TargetLabel: Sendable, Equatable {
  private var sample: String
  private var lead: Int
  private var tail: Int
  /// Whether all members have this one target.
  private(set) var isSingle: Bool

  init(_ target: String) {
    sample = target
    lead = target.utf8.count
    tail = 0
    isSingle = true
  }

  mutating func add(_ target: String) {
    if isSingle {
      if target == sample { return }
      isSingle = false
      tail = sample.utf8.count
    }
    lead = zip(sample.utf8.prefix(lead), target.utf8).prefix { $0 == $1 }.count
    tail = min(
      zip(sample.utf8.reversed().prefix(tail), target.utf8.reversed()).prefix { $0 == $1 }.count,
      sample.utf8.count - lead)
  }

  var heapBytes: Int { sample.heapBytes }

  mutating func merge(_ other: TargetLabel) {
    let parts = other.parts
    if other.isSingle { return add(other.sample) }
    isSingle = false
    lead = zip(sample.utf8.prefix(lead), parts.lead.utf8).prefix { $0 == $1 }.count
    tail = zip(sample.utf8.reversed().prefix(tail), parts.tail.utf8.reversed()).prefix { $0 == $1 }.count
  }

  private var parts: (lead: String, tail: String) {
    (
      String(decoding: sample.utf8.prefix(lead), as: UTF8.self),
      String(decoding: sample.utf8.suffix(tail), as: UTF8.self)
    )
  }

  /// `/srv/upload/*.part (deleted)`: what varies is `*`, and a number is not cut in two.
  var text: String {
    if isSingle { return sample }
    var (lead, tail) = parts
    while let last = lead.last, last.isNumber { lead.removeLast() }
    while let first = tail.first, first.isNumber { tail.removeFirst() }
    return lead + "*" + tail
  }
}

/// Events per minute, over the last minute or so.
struct Rate: Sendable {
  private var weight = 0.0
  private var lastTime = 0.0
  private var elapsed = 0.0
  private static let memory = 60.0

  /// - Parameters:
  ///   - count: events since the last call.
  ///   - time: of this call, in seconds since the watch began.
  mutating func add(_ count: Int, at time: Double) {
    let step = max(time - lastTime, 0)
    weight = weight * exp(-step / Self.memory) + Double(count)
    elapsed = min(elapsed + step, 100 * Self.memory)
    lastTime = time
  }

  func perMinute(at time: Double) -> Double? {
    let step = max(time - lastTime, 0)
    let seen = 1 - exp(-(elapsed + step) / Self.memory)
    guard seen > 0.01 else { return nil }
    return weight * exp(-step / Self.memory) / seen
  }

  mutating func merge(_ other: Rate) {
    weight += other.weight
    elapsed = max(elapsed, other.elapsed)
    lastTime = max(lastTime, other.lastTime)
  }
}

/// Do closes lag behind ever more? A line through age at close over time, by least squares.
///
/// Of what is closed in the order in which it was opened, by something slower than what opens it, the age at close
/// grows with time. A lifetime that does not change gives a flat line; a collector's bulk gives no line at all.
struct BacklogTrend: Sendable {
  private var count = 0.0
  private var time = 0.0
  private var age = 0.0
  private var timeTime = 0.0
  private var timeAge = 0.0
  private var ageAge = 0.0

  private static let fewestCloses = 40.0
  /// Half of it is forgotten after so many closes.
  private static let memory = 400.0

  mutating func add(age: Double, at time: Double) {
    let keep = count >= Self.memory ? 1 - 1 / Self.memory : 1
    count = count * keep + 1
    self.time = self.time * keep + time
    self.age = self.age * keep + age
    timeTime = timeTime * keep + time * time
    timeAge = timeAge * keep + time * age
    ageAge = ageAge * keep + age * age
  }

  /// Seconds of age per second of time, and the age that the line has reached, where a line explains most of the ages.
  func line(at now: Double) -> (slope: Double, age: Double)? {
    guard count >= Self.fewestCloses else { return nil }
    let varianceOfTime = timeTime - time * time / count
    let covariance = timeAge - time * age / count
    let varianceOfAge = ageAge - age * age / count
    guard varianceOfTime > 0, varianceOfAge > 0, covariance > 0 else { return nil }
    let slope = covariance / varianceOfTime
    guard covariance * slope > 0.8 * varianceOfAge else { return nil }
    return (slope, age / count + slope * (now - time / count))
  }
}

// MARK: Saving

extension ClassRecord: Storable {
  static var blank: ClassRecord { vacant }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&key)
    try archive.field(&kind)
    try archive.field(&isCloseWait)
    try archive.field(&label)
    try archive.field(&open)
    try archive.field(&closed)
    try archive.field(&closedInitial)
    try archive.field(&openedRate)
    try archive.field(&closedRate)
    try archive.field(&backlog)
    try archive.field(&bulkCloses)
    try archive.field(&closedInBulk)
    try archive.field(&mostClosedInBulk)
    try archive.field(&closedSinceBulk)
    try archive.field(&lastBulkClose)
    try archive.field(&isToldSawtooth)
    try archive.field(&mostOpen)
    try archive.field(&verdict)
    try archive.field(&probability)
    try archive.field(&findingID)
    try archive.field(&toldProbability)
    try archive.field(&isBacklogTold)
    try archive.field(&finding)
    try archive.field(&findingUntil)
    try archive.field(&findingPeak)
    try archive.field(&toldUrgency)
    try archive.field(&bulkClosesWhenTold)
  }
}

extension ClassRecord {
  /// Whether all that is remembered lies before now: what comes from a file is not trusted with a time.
  func isSound(until now: Double) -> Bool {
    closed.isSound(until: now) && closedInitial.isSound(until: now) && openedRate.isSound(until: now)
      && closedRate.isSound(until: now) && (-1...now).contains(lastBulkClose) && (0...now).contains(findingUntil)
      && (0...1).contains(probability) && (0...1).contains(toldProbability) && (finding?.isSound ?? true)
  }
}

extension Finding {
  fileprivate var isSound: Bool {
    // A descriptor a microsecond, and the numbers are all used up within the hour.
    let most = 1e12
    return (0...most).contains(ratePerHour) && rateInterval.lowerBound >= 0 && rateInterval.upperBound <= most
      && (0...1).contains(confidence) && (0...1).contains(runnerUp?.probability ?? 0)
  }
}

extension TargetLabel: Storable {
  static var blank: TargetLabel { TargetLabel("") }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&sample)
    try archive.field(&lead)
    try archive.field(&tail)
    try archive.field(&isSingle)
    let size = sample.utf8.count
    guard (0...size).contains(lead), (0...size).contains(tail) else { throw .damaged }
  }
}

extension Rate: Storable {
  static let blank = Rate()

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&weight)
    try archive.field(&lastTime)
    try archive.field(&elapsed)
  }
}

extension Rate {
  fileprivate func isSound(until now: Double) -> Bool {
    (0...now).contains(lastTime) && (0...100 * Self.memory).contains(elapsed) && abs(weight) < 1e12
  }
}

extension BacklogTrend: Storable {
  static let blank = BacklogTrend()

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&count)
    try archive.field(&time)
    try archive.field(&age)
    try archive.field(&timeTime)
    try archive.field(&timeAge)
    try archive.field(&ageAge)
  }
}
