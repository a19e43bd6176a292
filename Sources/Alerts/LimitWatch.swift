// SPDX-License-Identifier: Apache-2.0
// When a process nears its soft limit, for whatever reason: by the time that is left, and not by a ratio alone.

import Descriptors

/// Follows the count of one process. Programs that raise their limit to a million make a ratio meaningless, and one that
/// lives with 900 of 1024 open is in no danger: what matters is how soon the limit is reached at the present pace.
package struct LimitWatch: Sendable {
  /// The pace is that of the last one or two of these.
  private static let window = Duration.seconds(300)

  /// Two points on the way, the older at least a window old once there is one.
  private var older: (time: Duration, count: Int)?
  private var newer: (time: Duration, count: Int)?
  /// Since when it has looked as if the limit were reached soon.
  private var soonSince: Duration?
  /// A burst is over by then; where there is less time, there is hardly any left, and that is told at once.
  private static let patience = Duration.seconds(180)
  package private(set) var isNear = false
  /// What was said last, while it is near.
  package private(set) var last: Change?
  /// While it is near: when it is to be said again how it stands.
  private var nextWord = Duration.zero
  private static let wordPause = Duration.seconds(60)
  private var wasFull = false

  /// - Parameter isNear: whether that was told already, before a restart.
  package init(isNear: Bool = false) { self.isNear = isNear }

  package enum Change: Sendable, Equatable {
    /// Said again now and then as long as it is so.
    /// - timeLeft: at the present pace; zero where hardly any is left, `nil` where it does not grow now.
    case near(timeLeft: Duration?, perHour: Double)
    case far
  }

  /// - Parameter warning: how much time is too little.
  /// - Returns: what has changed.
  package mutating func observe(count: Int, limits: Limits, at time: Duration, warning: Duration) -> Change? {
    defer { remember(count, at: time) }
    guard limits.soft > 0, limits.soft < 1 << 40 else { return leave() }
    let soft = Double(limits.soft)
    let left = soft - Double(count)
    let perSecond = pace(count, at: time)
    let timeLeft: Duration? = perSecond > 0 ? Duration(clampingSeconds: min(max(left, 0) / perSecond, 1e9)) : nil
    // With so few left, the next busy moment is the one that fails.
    let isFull = left <= max(3, soft / 50)
    // Half of the limit and more is in use, and it goes on growing at a pace that was kept up for minutes.
    let looksSoon = Double(count) > soft / 2 && (timeLeft.map { $0 < warning } ?? false)
    soonSince = looksSoon ? soonSince ?? time : nil
    let isSoon = soonSince.map { time - $0 >= Self.patience } ?? false
    if isNear, left > max(6, soft / 20), timeLeft.map({ $0 > warning * 2 }) ?? true { return leave() }
    guard isNear ? time >= nextWord || (isFull && !wasFull) : isFull || isSoon else { return nil }
    isNear = true
    (nextWord, wasFull) = (time + Self.wordPause, isFull)
    last = .near(timeLeft: isFull ? .zero : timeLeft, perHour: perSecond * 3600)
    return last
  }

  /// Who was to be told knows already: it is near, and will be so again.
  package mutating func wasNotTold() { (isNear, last) = (false, nil) }

  private mutating func leave() -> Change? {
    defer { (isNear, last) = (false, nil) }
    return isNear ? .far : nil
  }

  private func pace(_ count: Int, at time: Duration) -> Double {
    guard let older, time - older.time >= Self.window else { return 0 }
    return Double(count - older.count) / ((time - older.time) / .seconds(1))
  }

  private mutating func remember(_ count: Int, at time: Duration) {
    guard let last = newer else {
      newer = (time, count)
      older = newer
      return
    }
    guard time - last.time >= Self.window else { return }
    older = last
    newer = (time, count)
  }
}
