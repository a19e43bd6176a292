// SPDX-License-Identifier: Apache-2.0
// When a probability is told, and how loudly: one rule of expected cost.

/// From a probability to what a person is told.
///
/// Telling costs `c` where it is not a leak. Waiting for more evidence costs 1 where it is one and the wait is one too many:
/// with `t` seconds left and `r` seconds that a person needs to do anything about it, that is the more certain the nearer
/// the limit. So it is told when `p / (1 − p) ≥ 1 + (c − 1) · t / (t + r)`: at odds of `c` while the limit is out of sight,
/// and as soon as a leak is more probable than not when no time is left.
struct Decision: Sendable {
  /// What a false alarm costs, in leaks told too late. 9 asks for p ≥ 0.9.
  var costRatio = Self.usualCost

  static let usualCost = 9.0
  /// Worth a look from here on.
  static let suspicion = 0.5
  /// It is repeated, with the same id, when the probability has risen by so much.
  static let rise = 0.05
  /// What a person needs to read, to understand and to restart: the ten minutes below which an alert is critical.
  static let reaction = 600.0

  /// - Parameter seconds: until the limit; infinite if it is not in sight.
  func alertProbability(secondsToLimit seconds: Double) -> Double {
    let far = seconds.isFinite ? max(0, seconds) / (max(0, seconds) + Self.reaction) : 1
    let odds = 1 + max(0, costRatio - 1) * far
    return odds / (1 + odds)
  }
}
