// SPDX-License-Identifier: Apache-2.0
// From ages to judgements, and from judgements to what is told.

import Descriptors
import Glibc

extension Detector {
  /// A class of fewer, of known age, shows nothing yet.
  private static let fewestKnown: UInt16 = 6
  /// Below that the ages of one population are the better explanation whatever the rest says.
  private static let leastEvidence = 1.5
  /// Sockets are told apart when the tables are read, every ten seconds: one that is older and still only a socket will
  /// stay so.
  private static let longestUnresolved = 30.0

  mutating func evaluate() -> [DetectionEvent] {
    var ages = [[UInt16]](repeating: [], count: classes.slotCount)
    var known = [UInt16](repeating: 0, count: classes.slotCount)
    var unresolved = time
    for entry in ledger.entries where !entry.marks.contains(.isInitial) {
      let index = Int(entry.classIndex)
      if ages[index].isEmpty { ages[index] = [UInt16](repeating: 0, count: AgeHistogram.binCount) }
      ages[index][AgeHistogram.bin(time - entry.born)].count()
      known[index].count()
      if entry.kind == .socket, time - entry.born < Self.longestUnresolved { unresolved = min(unresolved, entry.born) }
    }
    var judged: [(index: UInt16, judgement: Judgement)] = []
    for index in Array(classes.indices) {
      let place = Int(index)
      if known[place] >= Self.fewestKnown {
        classes[index].closed.decay(to: time)
        classes[index].closedInitial.decay(to: time)
        judged.append((index, judge(index, ages: ages[place], unresolvedSince: unresolved)))
      } else {
        judged.append((index, Judgement(verdict: ordinaryVerdict(of: index, grows: known[place] > 0))))
      }
    }
    // All that grows brings the limit nearer, leak or not.
    growth = judged.reduce(0) { $0 + $1.judgement.growth }
    return judged.flatMap { settle($0.index, $0.judgement) }
  }

  /// What it is where there are no survivors to explain.
  private func ordinaryVerdict(of index: UInt16, grows: Bool) -> Verdict {
    if classes[index].isSawtooth { return .collector }
    if classes[index].everClosed > 0 { return .load }
    return grows ? .undecided : .steady
  }

  private func judge(_ index: UInt16, ages: [UInt16], unresolvedSince: Double) -> Judgement {
    let record = classes[index]
    let ordinary = Judgement(verdict: ordinaryVerdict(of: index, grows: true))
    let survival = Survival(open: ages, closed: record.closed, closedInitial: record.closedInitial)
    let backlog = backlog(of: index).flatMap { $0.isGrowing ? $0.judgement : nil }
    guard survival.evidence >= Self.leastEvidence,
      let (facts, times) = facts(of: index, survival, unresolvedSince: unresolvedSince)
    else { return backlog ?? ordinary }
    let judgement = Judgement(facts, times)
    if let backlog, backlog.probability > judgement.probability { return backlog }
    return judgement
  }

  private func backlog(of index: UInt16) -> Backlog? {
    let record = classes[index]
    guard let line = record.backlog.line(at: time) else { return nil }
    let births = ledger.entries.lazy.filter { $0.classIndex == index && !$0.marks.contains(.isInitial) }.map(\.born)
    guard let oldest = births.min() else { return nil }
    return Backlog(
      line: line, open: record.open, mostOpen: record.mostOpen,
      openedPerSecond: (record.openedRate.perMinute(at: time) ?? 0) / 60,
      closedPerSecond: (record.closedRate.perMinute(at: time) ?? 0) / 60, oldestBirth: oldest, now: time,
      interval: censusInterval)
  }

  /// The facts, and when each survivor was opened. `nil` where there are fewer than two.
  private func facts(
    of index: UInt16, _ survival: Survival, unresolvedSince: Double
  ) -> (facts: ClassFacts, times: [Double])? {
    let record = classes[index]
    var survivors: [LedgerEntry] = []
    var uncollected = 0
    for entry in ledger.entries where entry.classIndex == index && !entry.marks.contains(.isInitial) {
      if entry.born > record.lastBulkClose { uncollected += 1 }
      if time - entry.born >= survival.threshold { survivors.append(entry) }
    }
    // Something releases these in bulk. Those that it has not had a chance to release prove nothing, unless there are by
    // far more of them than it ever let come together.
    let waitsForRelease = record.bulkCloses > 0 && uncollected <= 2 * record.mostClosedInBulk
    if waitsForRelease { survivors.removeAll { $0.born > record.lastBulkClose } }
    let times = survivors.map(\.born).sorted()
    guard times.count >= 2, let first = times.first, let last = times.last else { return nil }
    func share(_ mark: LedgerEntry.Marks) -> Double {
      Double(survivors.count { $0.marks.contains(mark) }) / Double(survivors.count)
    }
    var end = time - survival.threshold
    switch record.kind {
    case .tcp, .udp, .unix, .netlink: end = min(end, unresolvedSince)
    default: break
    }
    // Who has reached the limit opens no more, however much it leaks.
    if let soft = limits?.soft, UInt64(clamping: count) + 3 >= soft { end = last }
    if waitsForRelease { end = min(end, max(record.lastBulkClose, last)) }
    // Closes at ages that the survivors have reached: an eighth of the time since the first, and the scale at least.
    let bin = AgeHistogram.bin(max(survival.threshold, (time - first) / 8))
    let age = AgeHistogram.lowerBound(bin)
    let exposure = times.reduce(0) { $0 + max(0, log((time - $1) / age)) }
    let deaths = Deaths(
      closes: record.closed.count(beyond: age) + record.closedInitial.count(beyond: age), exposure: exposure)
    let facts = ClassFacts(
      kind: record.kind, now: time, collector: collector, open: record.open, closes: record.closed.everClosed,
      survival: survival,
      births: Births(times, until: end, interval: censusInterval, work: work.done(at:)), deaths: deaths,
      bulkCloses: record.bulkCloses, mostClosedInBulk: record.mostClosedInBulk,
      bulkShare: Double(record.closedInBulk) / Double(max(record.everClosed, 1)), waitsForRelease: waitsForRelease,
      isCloseWait: record.isCloseWait, hasOneTarget: record.label.isSingle && !record.label.text.isEmpty,
      deletedShare: share(.isDeleted), unreadShare: share(.hasUnread), movedShare: share(.hasMoved),
      usage: record.usage(at: time))
    return (facts, times)
  }
}

extension UInt16 {
  /// One more, at most the largest number: a process may have a million descriptors.
  fileprivate mutating func count() { if self < .max { self += 1 } }
}

// MARK: Telling

extension Detector {
  /// Takes a judgement over, and says what is new.
  private mutating func settle(_ index: UInt16, _ judgement: Judgement) -> [DetectionEvent] {
    classes[index].probability = judgement.probability
    classes[index].verdict = judgement.verdict
    classes[index].survivorsUntil = judgement.until
    if classes[index].finding != nil { return follow(index, judgement) }
    guard judgement.isTellable, judgement.probability >= Decision.suspicion else { return [] }
    if classes[index].findingID == 0 {
      classes[index].findingID = nextFindingID
      nextFindingID += 1
    }
    let finding = makeFinding(index, judgement)
    let needed = decision.alertProbability(secondsToLimit: secondsToLimit ?? .infinity)
    if judgement.probability >= needed {
      standingAlerts += 1
      classes[index].bulkClosesWhenTold = classes[index].bulkCloses
      keep(finding, of: index, judgement)
      return [.alert(finding)]
    }
    // Once: what comes and goes is told again only when it is more probable than it ever was.
    let isNew = classes[index].toldProbability == 0
    guard isNew || isRisen(index, judgement) else { return [] }
    if isNew, waitsForUsage(index) { return [] }
    classes[index].toldProbability = judgement.probability
    return isNew ? [.suspected(finding)] : [.raised(finding, isAlert: false)]
  }

  /// Looks at its use are under way: what final signs take is a few seconds, and a suspicion has them unless the limit is
  /// near.
  private mutating func waitsForUsage(_ index: UInt16) -> Bool {
    guard Self.showsUse(classes[index].kind), secondsToLimit ?? .infinity > Decision.reaction else { return false }
    if classes[index].suspectedSince < 0 { classes[index].suspectedSince = time }
    return time - classes[index].suspectedSince < Self.patienceForUsage && classes[index].usageLooks < 3
  }

  private func isRisen(_ index: UInt16, _ judgement: Judgement) -> Bool {
    judgement.probability >= classes[index].toldProbability + Decision.rise
  }

  /// Goes on with what was told: it is over, more urgent, more probable, or only counted.
  private mutating func follow(_ index: UInt16, _ judgement: Judgement) -> [DetectionEvent] {
    guard var finding = classes[index].finding else { return [] }
    let left = stillThere(index)
    if left * 2 < classes[index].findingPeak {
      classes[index].finding = nil
      classes[index].forgetTold()
      finding.leaked = left
      let isRetracted = classes[index].bulkCloses > classes[index].bulkClosesWhenTold
      if isRetracted { standingAlerts -= 1 }
      return [.resolved(finding, isRetracted ? .retracted : .closed)]
    }
    classes[index].verdict = finding.explanation == .ownerAlive ? .ownerAlive : .leak
    guard judgement.isTellable else { return [] }
    let isRisen = isRisen(index, judgement)
    let urgencyTold = classes[index].toldUrgency
    // A leak that slows down, or whose birth rate looks like something else by now, has not gone away: it is counted on.
    finding = makeFinding(index, judgement)
    keep(finding, of: index, judgement)
    if judgement.probability >= Decision.suspicion, finding.urgency > urgencyTold { return [.escalated(finding)] }
    classes[index].toldUrgency = urgencyTold
    return isRisen ? [.raised(finding, isAlert: true)] : []
  }

  /// Remembers a finding, and by what its end will be known.
  private mutating func keep(_ finding: Finding, of index: UInt16, _ judgement: Judgement) {
    classes[index].finding = finding
    classes[index].verdict = finding.explanation == .ownerAlive ? .ownerAlive : .leak
    classes[index].findingUntil = judgement.until
    classes[index].isBacklogTold = judgement.isBacklog
    classes[index].findingPeak = max(classes[index].findingPeak, stillThere(index))
    classes[index].toldUrgency = max(classes[index].toldUrgency, finding.urgency)
    classes[index].toldProbability = max(classes[index].toldProbability, judgement.probability)
  }

  /// How many of those that a finding speaks of are open.
  private func stillThere(_ index: UInt16) -> Int {
    // Of a backlog each is closed in the end: that there are so many is what it speaks of.
    if classes[index].isBacklogTold { return classes[index].open }
    let until = classes[index].findingUntil
    return ledger.entries.count { $0.classIndex == index && $0.born <= until && !$0.marks.contains(.isInitial) }
  }

  /// Until the soft limit, with all that grows; `nil` if it is not in sight.
  private var secondsToLimit: Double? { secondsToLimit(perSecond: growth) }

  private func secondsToLimit(perSecond: Double) -> Double? {
    guard let soft = limits?.soft, soft < 1 << 40, perSecond > 0 else { return nil }
    let left = max(0, Double(soft) - Double(count)) / perSecond
    return left < 1e10 ? left : nil
  }

  private func makeFinding(_ index: UInt16, _ judgement: Judgement) -> Finding {
    let record = classes[index]
    // The number of survivors is Poisson's: 90 % lie within 1.645 standard deviations.
    let spread = 1.645 / Double(max(judgement.leaked, 1)).squareRoot()
    let rates = (judgement.perSecond * max(0, 1 - spread))...(judgement.perSecond * (1 + spread))
    // What else grows takes its part of what is left.
    let others = max(0, growth - judgement.growth)
    func duration(_ rate: Double) -> Duration? {
      secondsToLimit(perSecond: rate + others).map { Duration(clampingSeconds: $0) }
    }
    var interval: ClosedRange<Duration>?
    if let soonest = duration(rates.upperBound), let latest = duration(rates.lowerBound) { interval = soonest...latest }
    var finding = Finding(
      id: record.findingID, kind: record.kind, target: record.displayTarget, leaked: judgement.leaked,
      since: moment(judgement.since), ratePerHour: judgement.perSecond * 3600,
      rateInterval: (rates.lowerBound * 3600)...(rates.upperBound * 3600), timeToLimit: duration(judgement.perSecond),
      timeToLimitInterval: interval, confidence: (judgement.probability * 1000).rounded() / 1000,
      evidence: Evidence(record: record, judgement: judgement, moment: wording).sentences(
        closedAges: record.closed, survivors: entriesOfSurvivors(index, judgement)))
    finding.explanation = judgement.isOwners ? .ownerAlive : .leak
    if let other = judgement.posterior?.runnerUp {
      finding.runnerUp = RunnerUp(
        explanation: other.explanation, probability: (other.probability * 1000).rounded() / 1000)
      finding.settles = other.explanation.settles(open: record.open)
    }
    return finding
  }

  private func entriesOfSurvivors(_ index: UInt16, _ judgement: Judgement) -> [LedgerEntry] {
    ledger.entries.filter { $0.classIndex == index && !$0.marks.contains(.isInitial) && $0.born >= judgement.since }
  }

  /// `since 14:02`, or `in the last 4 min`.
  private func wording(_ seconds: Double) -> String {
    guard let timeOfDay else { return "in the last \(Duration.seconds(time - seconds).inWords)" }
    return "since \(timeOfDay(moment(seconds)))"
  }
}

// MARK: What was considered

extension Detector {
  /// What was considered of each class: the probability of each explanation, and what weighs most for and against a leak.
  package var explanations: [String] { considerations.map(\.text) }

  /// The same, with what decides whether it is news.
  package var considerations: [Consideration] {
    classes.indices.filter { classes[$0].mostOpen >= Self.fewestKnown }.map { index in
      let record = classes[index]
      let target = record.displayTarget.map { " \($0.printable)" } ?? ""
      func consideration(_ text: String, _ posterior: Posterior?) -> Consideration {
        Consideration(
          id: Int(index), verdict: record.verdict, probability: posterior?.ofAnyLeak ?? 0, text: text)
      }
      let head = "\(record.kind.rawValue)\(target): \(record.open) open: \(record.verdict.rawValue)"
      var ages = [UInt16](repeating: 0, count: AgeHistogram.binCount)
      for entry in ledger.entries where entry.classIndex == index && !entry.marks.contains(.isInitial) {
        ages[AgeHistogram.bin(time - entry.born)].count()
      }
      let judgement = judge(index, ages: ages, unresolvedSince: time)
      guard let posterior = judgement.posterior else {
        return consideration(head + ": no survivors beyond ordinary ages", nil)
      }
      let shares = posterior.ranked.prefix { $0.probability >= 0.01 }
        .map { "\($0.explanation.rawValue) \(Int(($0.probability * 100).rounded())) %" }
      let text =
        head + ": " + shares.joined(separator: ", ") + "; "
        + posterior.weightiest.map { "\($0.about) \($0.value > 0 ? "for" : "against") it" }.joined(separator: ", ")
      return consideration(text, posterior)
    }
  }
}

/// What was considered of one class.
package struct Consideration: Sendable {
  /// Of the class, among those of its detector.
  package var id: Int
  package var verdict: Verdict
  /// Of a leak.
  package var probability: Double
  package var text: String

  /// Whether it is worth a line after the one that was printed last: with each figure there would be one at each poll.
  package func isNews(after last: Consideration?) -> Bool {
    guard let last else { return true }
    return verdict != last.verdict || abs(probability - last.probability) >= 0.1
  }
}

extension Posterior {
  /// The factors by which a leak differs most from the next best explanation: positive where they speak for a leak.
  var weightiest: [Factor] {
    func list(_ explanation: Explanation) -> [Factor] {
      zip(Explanation.allCases, factors).first { $0.0 == explanation }?.1 ?? []
    }
    let (mine, others) = (list(self[.ownerAlive] > self[.leak] ? .ownerAlive : .leak), list(runnerUp.explanation))
    let names = (mine + others).map(\.about)
    var seen: Set<String> = []
    let differences = names.filter { seen.insert($0).inserted }.map { name in
      Factor(name, mine.value(name) - others.value(name))
    }
    return Array(differences.filter { abs($0.value) >= 0.1 }.sorted { abs($0.value) > abs($1.value) }.prefix(3))
  }
}

extension [Factor] {
  fileprivate func value(_ about: String) -> Double { first { $0.about == about }?.value ?? 0 }
}

extension Explanation {
  /// What would decide between it and a leak.
  func settles(open: Int) -> String {
    switch self {
    case .leak, .ownerAlive: ""
    case .capacity:
      "A pool or a cache that still fills looks the same: it would have stopped well before there are \(2 * open)."
    case .collector: "A garbage collector may close them yet: its next run would decide."
    case .heldByClient: "Whoever is at the other end may hold them: they would hang up in time."
    case .step: "A start-up or a reload looks the same: no more would come soon."
    case .load: "They may only live long: some would be closed at the ages that these have reached."
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
