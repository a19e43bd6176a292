// SPDX-License-Identifier: Apache-2.0
// A process that is only counted.

import Descriptors
import Linux
import Procfs

/// Holds a process's directory, and asks how many descriptors it has open: some 2 µs at a poll.
package final class Sentry {
  private var directory: ProcessDirectory
  private var growth: GrowthWatch
  package private(set) var count: Int
  package private(set) var limits: Limits
  private var nextLimits: Duration
  /// To read limits takes ten times as long as to count, and they hardly ever change.
  private static let limitsPause = Duration.seconds(300)

  package init(_ directory: consuming ProcessDirectory, at time: Duration) throws(ProcfsError) {
    var directory = directory
    count = try directory.countOrExplain()
    // Read at the first poll: a start has to look at everybody at once.
    limits = Limits(soft: .max, hard: .max)
    nextLimits = time
    self.directory = directory
    growth = GrowthWatch(count: count, at: time)
  }

  package var startTime: UInt64 { directory.startTime }

  /// By how much it has grown since it was found, where it was not found long ago.
  package var firstGrowth: Int { growth.firstGrowth(count) }

  /// - Returns: whether it grows.
  package func poll(at time: Duration) throws(ProcfsError) -> Bool {
    count = try directory.countOrExplain()
    if time >= nextLimits {
      nextLimits = time + Self.limitsPause
      limits = try directory.limits()
    }
    return growth.observe(count: count, at: time)
  }

  /// It was looked at closely, and nothing was found: what it has now is what it has.
  package func resume(count: Int, limits: Limits, at time: Duration) {
    (self.count, self.limits) = (count, limits)
    growth = GrowthWatch(count: count, at: time)
  }
}
