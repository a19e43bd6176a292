// SPDX-License-Identifier: Apache-2.0
// From the facts of a class to a verdict. Each constant stands beside its reason; README.md has the figures behind them.

import Descriptors

/// What is known of a class at one moment.
struct ClassFacts {
  var kind: Kind
  var now: Double
  /// Open descriptors of the whole process, and its soft limit.
  var processCount: Int
  var softLimit: UInt64?
  var collector: Collector?
  var open: Int
  /// How many were seen to be opened and closed, and how many were closed that had been open before the watch.
  var closes: Int
  var closedInitial: Int
  /// Closes at an age of so many seconds or more.
  var closesBeyond: (Double) -> Double
  /// Those that were opened since many were last closed at once are left out of ``births``.
  var waitsForRelease: Bool
  /// Most of ``births`` are younger than the last such release, but more than ever came together before one.
  var isUnreleased: Bool
  /// Most are closed in bulk.
  var isSawtooth: Bool
  var survival: Survival
  /// When each of the survivors was opened, ascending, in seconds.
  var births: [Double]
  /// Usual time between two censuses.
  var pollInterval: Double
  var isCloseWait: Bool
  var isDeleted: Bool
  /// All members have the very same target.
  var hasOneTarget: Bool
  /// TCP connections that this process opened itself: they have address and port of their peer in common.
  var isToOnePeer: Bool { kind == .tcp && hasOneTarget }
  /// Part of the survivors that have data which nobody reads.
  var unreadShare: Double
  /// Part of the survivors whose offset was seen to move: somebody uses them.
  var movedShare: Double
  /// Seconds of age per second, and the age at which members are closed by now, where closes lag behind ever more.
  var backlog: (slope: Double, age: Double)?
  var mostOpen: Int
  var openedPerSecond: Double
  var closedPerSecond: Double
  /// When the oldest of known age was opened.
  var oldestBirth: Double?
  /// How much more than usual is asked for.
  var patience: Double
}

/// What is believed of a class, and why.
struct Judgement: Sendable {
  var verdict: Verdict
  var suspicion: Double
  var confidence = 0.0
  var reason: String
  /// Survivors, and those that are too young to be told from the others.
  var leaked = 0
  var perSecond = 0.0
  var since = 0.0
  /// Those opened until then are survivors.
  var until = 0.0
  /// Survivors opened in the first and in the second half of the time since the first one.
  var halves = (first: 0, second: 0)
  /// They are closed, but ever later.
  var isBacklog = false
}

/// How plainly a class shows that nobody holds its members on purpose.
enum Sign: Sendable {
  /// The peer has hung up: only a close is missing.
  case abandoned
  /// Nothing is gained by holding many of these: the same file again and again, files without a name, kernel objects
  /// without contents, answers that nobody reads.
  case pointless
  /// Could be held on purpose: connections of a pool, files of a cache.
  case none
}

extension ClassFacts {
  var sign: Sign {
    if isCloseWait { return .abandoned }
    if isDeleted || unreadShare > 0.5 { return .pointless }
    switch kind {
    case .file, .directory: return hasOneTarget ? .pointless : .none
    case .tcp, .udp, .unix, .netlink, .socket, .memfd: return .none
    default: return .pointless
    }
  }

  /// Judges the class.
  func judge() -> Judgement {
    if let backlog = judgeBacklog() { return backlog }
    let weak = min(survival.evidence / Self.enoughEvidence, 1)
    if survival.evidence >= Self.enoughEvidence, waitsForRelease, births.count < 2 {
      return Judgement(
        verdict: ordinaryVerdict, suspicion: 0.5, reason: "released in bulk before: these may be, too")
    }
    guard survival.evidence >= Self.enoughEvidence, survival.survivors >= 2, let first = births.first else {
      return Judgement(
        verdict: ordinaryVerdict, suspicion: 0.5 * weak,
        reason: "survivors against ordinary lifetimes: evidence \(rounded(survival.evidence)) of \(Self.enoughEvidence)"
      )
    }
    return judgeSurvivors(since: first)
  }

  /// What it is when there is no sign of a leak.
  private var ordinaryVerdict: Verdict {
    if isSawtooth { return .sawtooth }
    return closes + closedInitial > 0 ? .load : .steady
  }

  // MARK: Survivors

  /// e^10 to 1, at one scale of one class. Asked at every poll, of some 40 scales and some 20 classes, a likelihood ratio
  /// still exceeds 22,000 in fewer than 4 % of processes that have no survivors (Ville's inequality, a union bound) —
  /// and these then have to pass all that follows.
  static let enoughEvidence = 10.0

  private func judgeSurvivors(since first: Double) -> Judgement {
    let count = births.count
    // Polls are whole milliseconds apart. A recording may have any number of them at one time.
    let span = max(now - survival.threshold - first, pollInterval, 0.001)
    let half = first + span / 2
    let early = births.count { $0 < half }
    let late = count - early
    var judgement = Judgement(verdict: .unknown, suspicion: 0.6, reason: "", halves: (early, late))
    judgement.since = first
    judgement.until = now - survival.threshold
    judgement.perSecond = Double(count) / span
    judgement.leaked = min(open, count + Int(clamping: judgement.perSecond * min(survival.threshold, span)))

    // Births must go on: they come at three different times at least, and not ever more rarely.
    let slots = Set(births.map { Int(clamping: ($0 - first) / span * 12) }).count
    let longestGap = zip(births, births.dropFirst()).reduce(0) { max($0, $1.1 - $1.0) }
    let silence = now - survival.threshold - (births.last ?? first)
    if slots < 3 {
      return judgement.with(.step, 0.3, "\(count) survivors came in \(slots) batch(es) and no more since")
    }
    // One that has reached its limit opens no more, however much it leaks.
    let isFull = softLimit.map { processCount + 3 >= Int(clamping: $0) } ?? false
    if !isFull, silence > max(2 * longestGap, 3 * pollInterval) {
      return judgement.with(
        .step, 0.3, "no survivor was opened for \(rounded(silence)) s, longer than ever between two")
    }
    if !isFull, decline(since: first, span) > mostDecline(judgement.perSecond) {
      return judgement.with(.warmUp, 0.4, "survivors come more rarely: \(early) in the first half, then \(late)")
    }
    // Long-lived members among short-lived ones, counted from the start of a process, are survivors too. Of them some are
    // closed at the ages that the survivors have reached; of leaked ones none.
    if sign == .none {
      let old = closesBeyond(max(survival.threshold, span / 8))
      if old * 16 > Double(count) {
        return judgement.with(
          .load, 0.4, "\(count) survivors, but \(rounded(old)) closed at their ages: they live long")
      }
    }
    let need = requirement(perSecond: judgement.perSecond)
    let watched = now - first
    if count < need.survivors || watched < need.seconds {
      let progress = min(Double(count) / Double(need.survivors), watched / need.seconds, 1)
      return judgement.with(
        ordinaryVerdict == .sawtooth ? .sawtooth : .unknown, 0.6 + 0.3 * progress,
        "\(count) of \(need.survivors) survivors, watched for \(rounded(watched)) of \(rounded(need.seconds)) s: "
          + need.reason)
    }
    judgement.confidence = confidence(count, watched, need)
    return judgement.with(
      .leak, 1, "\(count) survivors over \(rounded(watched)) s, and they go on coming: \(need.reason)")
  }

  /// Laplace's test of a trend in a series of events: by how many standard deviations births come earlier than at a
  /// constant rate, of which the mean is the middle. (Cox, Lewis: The Statistical Analysis of Series of Events, 1966.)
  /// Births in batches are fewer events than they seem: the deviation is that of a Poisson process times the dispersion.
  private func decline(since first: Double, _ span: Double) -> Double {
    let slots = 12
    var counts = [Double](repeating: 0, count: slots)
    var sum = 0.0
    for birth in births {
      let place = min(max((birth - first) / span, 0), 1)
      sum += place
      counts[min(Int(clamping: place * Double(slots)), slots - 1)] += 1
    }
    let count = Double(births.count)
    let mean = count / Double(slots)
    let dispersion = counts.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (Double(slots - 1) * mean)
    return (0.5 - sum / count) * (12 * count / max(dispersion, 1)).squareRoot()
  }

  /// It is asked at each poll, and a pool or a cache that fills has to fail only once: so where members could be held
  /// on purpose, less of a decline is enough, the less is known of the class. When time runs short a doubt is told.
  private func mostDecline(_ perSecond: Double) -> Double {
    if sign != .none || secondsToLimit(perSecond: perSecond) < 300 { return 2 }
    return closes < 3 ? 1 : 1.5
  }

  /// How many survivors, over how long, before a person is told; and what it might be until then.
  struct Requirement: Sendable {
    var survivors: Int
    var seconds: Double
    var reason: String
  }

  private func requirement(perSecond: Double) -> Requirement {
    let toLimit = secondsToLimit(perSecond: perSecond)
    let isMixture = closes >= 3
    let count = births.count
    var need: Requirement
    switch sign {
    case .pointless where isUnreleased, .none where isUnreleased:
      need = Requirement(
        survivors: 24, seconds: max(90, min(0.5 * toLimit, 24 * 3600)),
        reason: "others were released in bulk, which these wait for")
    case .pointless where movedShare > 0.5, .none where movedShare > 0.5:
      need = Requirement(
        survivors: 24, seconds: max(90, min(0.5 * toLimit, 24 * 3600)), reason: "they are still read or written")
    case .abandoned:
      need = Requirement(survivors: 8, seconds: 60, reason: "the peers have hung up")
    case .pointless:
      // Collectors of busy programs run about once a minute. Fewer survivors could be a program that starts up.
      // Of many within two minutes there soon are too many to wait.
      let isRush = count >= 96 || (count >= 48 && perSecond > 0.4)
      let patience = isRush ? 0 : (isMixture ? 0.02 : 0.025) * toLimit
      need = Requirement(
        survivors: 12, seconds: max(75, min(patience, 4 * 3600)), reason: "nothing is gained by holding them")
    case .none where isMixture && (kind == .file || kind == .directory):
      need = Requirement(
        survivors: 20, seconds: max(75, min(0.02 * toLimit, 4 * 3600)), reason: "most others were closed soon")
    case .none where isMixture && isToOnePeer && count >= 48:
      need = Requirement(survivors: 48, seconds: 75, reason: "more connections to one peer than a pool holds")
    case .none where isMixture && count >= 64:
      // Those that come from outside may also be kept open by the other end, for a while.
      need = Requirement(
        survivors: 64, seconds: max(75, min(0.02 * toLimit, 1500)), reason: "more than a pool holds")
    case .none where isMixture:
      // A pool of some 60 connections fills like a leak, within minutes.
      need = Requirement(
        survivors: 24, seconds: max(1200, min(0.05 * toLimit, 2700)), reason: "longer than a pool takes to fill")
    case .none:
      // A cache below its limit, a collector before its first run, a client that connects and stays: all look like this.
      need = Requirement(
        survivors: 24, seconds: max(90, min(0.5 * toLimit, 24 * 3600)),
        reason: "none of the class was ever closed, which a cache below its limit shows too")
    }
    waitForCollector(&need, toLimit: toLimit)
    need.survivors = Int(clamping: (Double(need.survivors) * patience).rounded(.up))
    need.seconds *= patience
    // Better a doubt told than a limit reached: when it is near there is no time to be sure.
    need.seconds = min(need.seconds, max(0.6 * toLimit, 8 * pollInterval))
    need.seconds = max(need.seconds, 8 * pollInterval)
    return need
  }

  /// What was dropped is closed at the collector's next run: before that it cannot be told from a leak.
  private func waitForCollector(_ need: inout Requirement, toLimit: Double) {
    let seconds: Double
    switch collector {
    case .periodic: seconds = 150
    case .onDemand: seconds = max(150, min(0.1 * toLimit, 3600))
    case .some(.none), nil: return
    }
    need.survivors = max(need.survivors, 24)
    if seconds <= need.seconds { return }
    need.seconds = seconds
    need.reason += ", but a collector may close them yet"
  }

  func secondsToLimit(perSecond: Double) -> Double {
    guard let softLimit, softLimit < 1 << 40, perSecond > 0 else { return 1e9 }
    return max(0, Double(softLimit) - Double(processCount)) / perSecond
  }

  /// Grows with each doubling of what was required.
  private func confidence(_ count: Int, _ watched: Double, _ need: Requirement) -> Double {
    let margin = min(Double(count) / Double(need.survivors), watched / need.seconds)
    let least: Double =
      switch sign {
      case .abandoned: 0.97
      case .pointless: 0.95
      case .none: closes >= 3 ? 0.93 : 0.85
      }
    return 1 - (1 - least) / max(1, margin * margin)
  }

  // MARK: Backlog

  /// What is opened faster than it is closed, in order: each is closed in the end, and yet there is no end to them.
  private func judgeBacklog() -> Judgement? {
    guard let (slope, ageAtClose) = backlog, slope > 0.1, slope < 0.9, let first = oldestBirth, open >= 24,
      // Closed in the order in which they were opened: none that is open is much older than those that are closed.
      now - first < 1.25 * ageAtClose + 3 * pollInterval, ageAtClose > 5 * pollInterval,
      // Growing still, and by more than a wave of work would leave behind.
      Double(open) > 0.9 * Double(mostOpen), openedPerSecond > 1.25 * closedPerSecond,
      // Closed in the order in which they were opened, the birth of those closed moves on by closes per opening.
      abs(slope - (1 - closedPerSecond / openedPerSecond)) < 0.3
    else { return nil }
    let perSecond = openedPerSecond - closedPerSecond
    let watched = Double(open) / perSecond
    var judgement = Judgement(verdict: .unknown, suspicion: 0.7, reason: "")
    judgement.since = first
    judgement.until = now
    judgement.perSecond = perSecond
    judgement.leaked = open
    judgement.isBacklog = true
    let needed = max(60, min(0.02 * secondsToLimit(perSecond: perSecond), 3600))
    if watched < needed {
      return judgement.with(
        .unknown, 0.7, "a backlog, growing for \(rounded(watched)) of \(rounded(needed)) s that it takes to be sure")
    }
    judgement.confidence = 0.9
    return judgement.with(.leak, 1, "closes lag behind by \(rounded(slope)) s more every second")
  }

  private func rounded(_ value: Double) -> String {
    value < 10 ? String((value * 10).rounded() / 10) : String(Int(clamping: value.rounded()))
  }
}

extension Judgement {
  fileprivate func with(_ verdict: Verdict, _ suspicion: Double, _ reason: String) -> Judgement {
    var copy = self
    (copy.verdict, copy.suspicion, copy.reason) = (verdict, suspicion, reason)
    return copy
  }
}
