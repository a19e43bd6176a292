// SPDX-License-Identifier: Apache-2.0
// Count first, look closer only where something grows: whether a count alone gives reason to.

/// Follows the count of a process that is not looked at closely, in 40 bytes.
///
/// Nothing leaks whose count does not rise. It does so in one of two ways: beyond what was its highest, if the leak is
/// faster than the load varies; or in its floor, if it is not. Both are compared by windows, as a single count says little.
package struct GrowthWatch: Sendable {
  /// So many polls, and so much time, make a window: the floor of fewer is chance.
  private static let fewestPolls: Int16 = 6
  private static let shortest = Duration.seconds(60)
  /// By so much must the floor of a window lie above the lowest there was.
  private static let rise: Int32 = 4
  /// By so much must a count lie above the highest of earlier windows, or, while there is none, above the first.
  private static let excess: Int32 = 3
  private static let firstExcess: Int32 = 16

  private var began: Duration
  private var polls: Int16 = 0
  private var isFirstWindow = true
  private var low: Int32 = .max
  private var high: Int32 = 0
  private var lowestFloor: Int32
  private var ceiling: Int32

  package init(count: Int, at time: Duration) {
    began = time
    lowestFloor = Int32(clamping: count)
    ceiling = Int32(clamping: count)
  }

  /// - Returns: whether it grows, and is worth a closer look.
  package mutating func observe(count: Int, at time: Duration) -> Bool {
    let count = Int32(clamping: count)
    low = min(low, count)
    high = max(high, count)
    polls = polls == .max ? .max : polls + 1
    if count >= ceiling + (isFirstWindow ? max(Self.firstExcess, ceiling / 8) : Self.excess) { return true }
    guard polls >= Self.fewestPolls, time - began >= Self.shortest else { return false }
    let grows = low >= lowestFloor + Self.rise
    lowestFloor = min(lowestFloor, low)
    // A peak of long ago says little of what is usual now, but an hour's rhythm should fit in.
    ceiling = isFirstWindow ? high : max(high, ceiling - max(1, ceiling / 256))
    (isFirstWindow, began, polls, low, high) = (false, time, 0, .max, 0)
    return grows
  }
}
