// SPDX-License-Identifier: Apache-2.0
// What a detector says: of a class its verdict, of a leak a finding, and over time the changes of what it believes.

import Descriptors

/// What the detector believes of a class: the explanation that is more probable than all others together.
package enum Verdict: String, Sendable, CaseIterable {
  /// No explanation is.
  case undecided
  /// Nothing grows.
  case steady
  /// More work: descriptors come and go, their ages are bounded.
  case load
  /// Filling towards a plateau, as a pool does.
  case capacity
  /// One burst that stayed, then no more, as after a reload.
  case step
  /// Somebody at the other end keeps them open.
  case heldByClient = "held_by_client"
  /// Released in bulk, as by a garbage collector's finalizers: a missing close that the collector repairs.
  case collector
  /// A part of what is opened is never closed, and goes on being opened.
  case leak
  /// Threads or children leak, and with them what each of them holds.
  case ownerAlive = "owner_alive"

  /// Something leaks.
  package var isLeak: Bool { self == .leak || self == .ownerAlive }

  init(_ explanation: Explanation) {
    self =
      switch explanation {
      case .leak: .leak
      case .ownerAlive: .ownerAlive
      case .capacity: .capacity
      case .collector: .collector
      case .heldByClient: .heldByClient
      case .step: .step
      case .load: .load
      }
  }
}

/// A leak, with what makes us believe it.
package struct Finding: Sendable, Equatable, Codable {
  /// Unique among the findings of one detector, and stable while the leak goes on.
  package var id: Int
  package var kind: Kind
  /// What the leaked descriptors have in common: a path, a path's pattern, a peer. `nil` if the kind says it all.
  package var target: String?
  /// How many of those open now are believed leaked.
  package var leaked: Int
  /// When the first of those was opened, as time since the watch began.
  package var since: Duration
  /// Leaked descriptors per hour, and the interval in which that rate lies with 90 % probability.
  package var ratePerHour: Double
  package var rateInterval: ClosedRange<Double>
  /// Forecast until the soft limit, from this moment, and its 90 % interval. `nil` if it is not in sight.
  package var timeToLimit: Duration?
  package var timeToLimitInterval: ClosedRange<Duration>?
  /// The probability that this is a leak, 0…1.
  package var confidence: Double
  /// Who leaks: the program its descriptors, or its threads or children.
  package var explanation: Explanation?
  /// What it would be instead, and with which probability.
  package var runnerUp: RunnerUp?
  /// A sentence: what would decide it.
  package var settles: String?
  /// Two or three sentences that an engineer on call can check.
  package var evidence: [String]
  /// Who opened them, where the process itself can tell. Not the detector's word: attribution adds it.
  package var blame: Blame?

  package init(
    id: Int, kind: Kind, target: String?, leaked: Int, since: Duration, ratePerHour: Double,
    rateInterval: ClosedRange<Double>, timeToLimit: Duration?, timeToLimitInterval: ClosedRange<Duration>?,
    confidence: Double, evidence: [String]
  ) {
    self.id = id
    self.kind = kind
    self.target = target
    self.leaked = leaked
    self.since = since
    self.ratePerHour = ratePerHour
    self.rateInterval = rateInterval
    self.timeToLimit = timeToLimit
    self.timeToLimitInterval = timeToLimitInterval
    self.confidence = confidence
    self.evidence = evidence
  }
}

/// A change of what the detector believes.
package enum DetectionEvent: Sendable, Equatable {
  /// More probable than not: worth a look, wakes nobody.
  case suspected(Finding)
  /// A person should look.
  case alert(Finding)
  /// The same leak, more urgent than when it was last told.
  case escalated(Finding)
  /// Told before, under the same id, and more probable by now: for machines.
  case raised(Finding, isAlert: Bool)
  /// Who opened what was told of before has become known.
  case attributed(Finding)
  /// What had been told is over.
  case resolved(Finding, Resolution)
  /// Worth a line, wakes nobody.
  case notice(Notice)
}

/// How a finding ended.
package enum Resolution: String, Sendable, Codable {
  /// The survivors were closed.
  case closed
  /// The process exited.
  case exited
  /// They were closed after all, as by a collector: it was not a leak.
  case retracted
  /// It has turned out to be a part of another finding.
  case merged
  /// It is not known how it stands: the process is not watched any more.
  case unwatched
}

/// Something that is worth a line, and wakes nobody.
package struct Notice: Sendable, Equatable {
  package var kind: Kind
  package var target: String?
  package var verdict: Verdict
  package var text: String

  package init(kind: Kind, target: String?, verdict: Verdict, text: String) {
    self.kind = kind
    self.target = target
    self.verdict = verdict
    self.text = text
  }
}

/// A class as a table shows it.
package struct ClassReport: Sendable, Equatable {
  package var kind: Kind
  /// A path, a pattern, a peer, or `nil`.
  package var target: String?
  package var open: Int
  /// Over the last minute, or as far back as was seen; `nil` until there are two censuses.
  package var openedPerMinute: Double?
  package var closedPerMinute: Double?
  /// Age of the oldest. A lower bound where it was open before the watch began.
  package var oldest: Duration?
  package var oldestIsLowerBound: Bool
  package var verdict: Verdict
  /// Of a leak, 0…1: what the table is sorted by. 1 while an alert goes on.
  package var suspicion: Double
  /// Of a leak, 0…1, as of the last look.
  package var probability: Double

  package init(
    kind: Kind, target: String?, open: Int, openedPerMinute: Double?, closedPerMinute: Double?, oldest: Duration?,
    oldestIsLowerBound: Bool, verdict: Verdict, suspicion: Double, probability: Double? = nil
  ) {
    self.kind = kind
    self.target = target
    self.open = open
    self.openedPerMinute = openedPerMinute
    self.closedPerMinute = closedPerMinute
    self.oldest = oldest
    self.oldestIsLowerBound = oldestIsLowerBound
    self.verdict = verdict
    self.suspicion = suspicion
    self.probability = probability ?? suspicion
  }
}
