// SPDX-License-Identifier: Apache-2.0
// What is believed of one class at one moment.

import Descriptors
import Glibc

struct Judgement: Sendable {
  var verdict: Verdict
  /// Of a leak.
  var probability = 0.0
  /// `nil` where there are no survivors to explain.
  var posterior: Posterior?
  /// Survivors, and those that are too young to be told from the others.
  var leaked = 0
  /// Survivors alone: how much there is to go by.
  var count = 0
  var perSecond = 0.0
  var since = 0.0
  /// Those opened until then are survivors.
  var until = 0.0
  /// Survivors opened in the first and in the second half of the time since the first one.
  var halves = (first: 0, second: 0)
  /// Part of them without a name, with data that nobody reads.
  var deletedShare = 0.0
  var unreadShare = 0.0
  /// If it is a leak it is rather one of threads or children.
  var isOwners = false
  var usage: UsageEvidence?
  /// They are closed, but ever later.
  var isBacklog = false

  /// By how much the process grows because of it, per second, as far as it is expected to go on.
  var growth: Double {
    guard let posterior else { return 0 }
    return max(0, perSecond * (1 - posterior[.load] - posterior[.step]))
  }

  /// Too few to speak of, however they came.
  static let fewest = 3

  var isTellable: Bool { count >= Self.fewest }
}

extension Judgement {
  init(_ facts: ClassFacts, _ times: [Double]) {
    let births = facts.births
    let posterior = facts.posterior
    let best = posterior.ranked.first
    verdict = best.map { $0.probability >= 0.5 ? Verdict($0.explanation) : .undecided } ?? .undecided
    probability = posterior.ofAnyLeak
    isOwners = posterior[.ownerAlive] > posterior[.leak]
    if probability >= 0.5 { verdict = isOwners ? .ownerAlive : .leak }
    usage = facts.usage
    self.posterior = posterior
    count = births.count
    perSecond = births.perSecond
    leaked = min(facts.open, count + Int(clamping: perSecond * min(facts.survival.threshold, births.span)))
    since = births.first
    until = facts.now - facts.survival.threshold
    let half = births.first + births.span / 2
    let early = times.count { $0 < half }
    halves = (early, count - early)
    deletedShare = facts.deletedShare
    unreadShare = facts.unreadShare
  }
}

/// What is opened faster than it is closed, in order: each is closed in the end, and yet there is no end to them.
struct Backlog: Sendable {
  /// Seconds of age per second, and the age at which members are closed by now.
  var line: (slope: Double, age: Double)
  var open: Int
  var mostOpen: Int
  var openedPerSecond: Double
  var closedPerSecond: Double
  /// When the oldest of known age was opened.
  var oldestBirth: Double
  var now: Double
  var interval: Double

  private static let fewestOpen = 24

  /// Whether it is one: closed in the order in which it was opened, ever later, and growing by more than a wave leaves behind.
  var isGrowing: Bool {
    let (slope, age) = line
    return slope > 0.1 && slope < 0.9 && open >= Self.fewestOpen
      // None that is open is much older than those that are closed.
      && now - oldestBirth < 1.25 * age + 3 * interval && age > 5 * interval
      && Double(open) > 0.9 * Double(mostOpen)
      // Rates come from a saved state, too: a negative one would make a range that ends before it begins.
      && openedPerSecond > 0 && closedPerSecond >= 0 && openedPerSecond > 1.25 * closedPerSecond
      // The birth of those that are closed moves on by closes per opening.
      && abs(slope - (1 - closedPerSecond / openedPerSecond)) < 0.3
  }

  /// Against it stands a wave of work, which would be over soon: `P(W > w) = (1 + w/w₀)^-1.5`.
  var judgement: Judgement {
    let perSecond = openedPerSecond - closedPerSecond
    let lasted = Double(open) / perSecond
    let wave = -1.5 * log(1 + lasted / Priors.wave.value)
    let posterior = Posterior { explanation in
      switch explanation {
      case .leak: [Factor("prior", log(1.0 / 3)), Factor("closes lag behind ever more", 0)]
      case .load: [Factor("prior", log(2.0 / 3)), Factor("a wave of work that lasts so long", wave)]
      default: [Factor("closes lag behind ever more", -.infinity)]
      }
    }
    var judgement = Judgement(verdict: .undecided, probability: posterior[.leak], posterior: posterior)
    if judgement.probability >= 0.5 { judgement.verdict = .leak }
    (judgement.leaked, judgement.count) = (open, open)
    judgement.perSecond = perSecond
    (judgement.since, judgement.until) = (oldestBirth, now)
    judgement.isBacklog = true
    return judgement
  }
}
