// SPDX-License-Identifier: Apache-2.0
// Count first, look closer only where something grows: whether a count alone gives reason to.

/// Follows the count of a process that is not looked at closely, in 40 bytes.
///
/// Nothing leaks whose count does not rise. It does so in one of two ways: beyond what was its highest, if the leak is
/// faster than the load varies; or in its floor, if it is not. Both are compared by windows, as a single count says little.
package struct GrowthWatch: Sendable {
  /// So many polls, and so much time, make a window. The floor of fewer is chance: of six polls of a load that varies by
  /// thirty it lies four above the lowest in every second window, of 180 in one of 10^11.
  private static let enoughPolls: Int16 = 180
  private static let shortest = Duration.seconds(60)
  /// Where polls are rare, so much time and so few polls will do.
  private static let longest = Duration.seconds(12 * 3600)
  private static let fewestPolls: Int16 = 6
  /// By so much, and by this part of how much the count varies, must the floor of a window lie above the lowest there was.
  private static let rise: Int32 = 4
  private static let risePart: Int32 = 16
  /// By so much must a count lie above the highest of earlier windows, or, while there is none, above the first.
  private static let excess: Int32 = 3
  private static let firstExcess: Int32 = 16

  private var began: Duration
  private var polls: Int16 = 0
  private var isFirstWindow = true
  private var low: Int32 = .max
  private var high: Int32 = 0
  private var lowestFloor: Int32 = .max
  private var ceiling: Int32

  package init(count: Int, at time: Duration) {
    began = time
    ceiling = Int32(clamping: count)
  }

  /// By how much a count lies above the first, while there is nothing else to compare it with.
  package func firstGrowth(_ count: Int) -> Int { isFirstWindow ? count - Int(ceiling) : 0 }

  /// - Returns: whether it grows, and is worth a closer look.
  package mutating func observe(count: Int, at time: Duration) -> Bool {
    let count = Int32(clamping: count)
    low = min(low, count)
    high = max(high, count)
    polls = polls == .max ? .max : polls + 1
    if count - ceiling >= (isFirstWindow ? max(Self.firstExcess, ceiling / 8) : Self.excess) { return true }
    let span = time - began
    guard polls >= Self.enoughPolls ? span >= Self.shortest : polls >= Self.fewestPolls && span >= Self.longest else {
      return false
    }
    let grows = !isFirstWindow && low - lowestFloor >= max(Self.rise, (ceiling - lowestFloor) / Self.risePart)
    lowestFloor = min(lowestFloor, low)
    // A peak of long ago says little of what is usual now, but a day's rhythm should fit in.
    ceiling = isFirstWindow ? high : max(high, ceiling - (ceiling - high + 15) / 16)
    (isFirstWindow, began, polls, low, high) = (false, time, 0, .max, 0)
    return grows
  }
}
