// SPDX-License-Identifier: Apache-2.0
// When to look, and how closely: what makes the watcher cheaper than what it watches.

import Procfs

/// How closely to look at a process at one poll.
package enum Look: Sendable, Equatable {
  /// Not now: where even counting takes a list, and nothing has changed for a while.
  case skip
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
  package static let usualShare = 0.02
  /// The longest that a process which does not change goes unverified.
  package static let longestQuiet = Duration.seconds(120)
  /// The longest that one which does not change goes unlisted, where counting is listing (kernels before 6.2). The kernel
  /// alone needs 20 µs to list a small table: a thousand a second would be 2 % of a core.
  package static let longestUnlisted = Duration.seconds(10)

  package var interval: Duration
  /// Of one core, at most: ``usualShare``, or less where many are watched.
  package var share = Schedule.usualShare
  private let counting: Procfs.Counting
  /// From 0 to 1: how much earlier than the others' this process's verifications come, so that they do not all fall
  /// into one poll.
  private let spread: Double
  private var lastCount: Int?
  private var lastVerification = Duration.zero
  private var nextList = Duration.zero
  private var nextVerification = Duration.zero
  /// How long the last verification is good for, as long as nothing changes.
  private var quiet: Duration
  /// The least time between two verifications, by their cost.
  private var pace: Duration
  /// How long the last list is good for, as long as nothing changes.
  private var unlisted: Duration

  package init(interval: Duration, counting: Procfs.Counting = .bySize, spread: Double = 0) {
    self.interval = interval
    self.counting = counting
    self.spread = spread
    unlisted = interval
    quiet = interval
    pace = interval
  }

  /// - Parameters:
  ///   - time: since the watch began.
  ///   - count: how many are open now; where counting is listing, any number.
  ///   - isSuspicious: the detector has reason to look at offsets and ids too.
  package func look(at time: Duration, count: Int, isSuspicious: Bool) -> Look {
    if lastCount == nil || time >= nextVerification { return .census(verifying: isSuspicious ? .deep : .links) }
    if counting == .byListing { return time >= nextList ? .census(verifying: .none) : .skip }
    return count != lastCount && time >= nextList ? .census(verifying: .none) : .count
  }

  /// Takes in what a census cost, and whether it found anything new.
  package mutating func took(
    _ verification: DescriptorTable.Verification, cost: Duration, at time: Duration, count: Int, changed: Bool,
    isSuspicious: Bool
  ) {
    lastCount = count
    let rest = max(interval, cost / share)
    nextList = time + (verification == .none ? rest : interval)
    if counting == .byListing {
      unlisted = changed || isSuspicious ? interval : max(interval, min(unlisted * 2, Self.longestUnlisted))
      nextList = time + max(rest, unlisted) - interval / 2
    }
    if verification > .none {
      lastVerification = time
      pace = rest
      quiet = changed || isSuspicious ? pace : min(quiet * 2, Self.longestQuiet * (1 - spread / 4))
    } else if changed {
      quiet = pace
    }
    // Half an interval of grace: a poll that comes a moment early is the one that is due.
    nextVerification = lastVerification + max(pace, quiet) - interval / 2
  }
}
