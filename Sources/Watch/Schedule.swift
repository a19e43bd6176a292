// SPDX-License-Identifier: Apache-2.0
// When to look, and how closely: what makes the watcher cheaper than what it watches.

import Procfs

/// How closely to look at a process at one poll.
package enum Look: Sendable, Equatable {
  /// Only how many descriptors are open.
  case count
  /// A list of all, new ones in full, and of the others as much as `verifying` says.
  case census(verifying: DescriptorTable.Verification)
}

/// The poll schedule of one process: count first, and look closer where something changes or a look is due.
///
/// A look at `n` descriptors costs some `n` µs to list, 5 to verify their links and 15 to read their `fdinfo`, so each
/// may be taken only as often as keeps it within ``share`` of one core. While nothing changes, verification is due ever
/// more rarely. Costs come in as measured: the schedule itself reads no clock.
package struct Schedule: Sendable {
  /// The part of one core that looking at this process may take.
  package static let share = 0.02
  /// The longest that a process which does not change goes unverified.
  package static let longestQuiet = Duration.seconds(120)

  package let interval: Duration
  private var lastCount: Int?
  private var lastVerification = Duration.zero
  private var nextList = Duration.zero
  private var nextVerification = Duration.zero
  /// How long the last verification is good for, as long as nothing changes.
  private var quiet: Duration
  /// The least time between two verifications, by their cost.
  private var pace: Duration

  package init(interval: Duration) {
    self.interval = interval
    quiet = interval
    pace = interval
  }

  /// - Parameters:
  ///   - time: since the watch began.
  ///   - count: how many are open now.
  ///   - isSuspicious: the detector has reason to look at offsets and ids too.
  package func look(at time: Duration, count: Int, isSuspicious: Bool) -> Look {
    if lastCount == nil || time >= nextVerification { return .census(verifying: isSuspicious ? .deep : .links) }
    if count != lastCount, time >= nextList { return .census(verifying: .none) }
    return .count
  }

  /// Takes in what a census cost, and whether it found anything new.
  package mutating func took(
    _ verification: DescriptorTable.Verification, cost: Duration, at time: Duration, count: Int, changed: Bool,
    isSuspicious: Bool
  ) {
    lastCount = count
    let rest = max(interval, cost / Self.share)
    nextList = time + (verification == .none ? rest : interval)
    if verification > .none {
      lastVerification = time
      pace = rest
      quiet = changed || isSuspicious ? pace : min(quiet * 2, Self.longestQuiet)
    } else if changed {
      quiet = pace
    }
    // Half an interval of grace: a poll that comes a moment early is the one that is due.
    nextVerification = lastVerification + max(pace, quiet) - interval / 2
  }
}
