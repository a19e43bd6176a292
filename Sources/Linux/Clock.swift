// SPDX-License-Identifier: Apache-2.0
// The two clocks: one that does not jump, for all that is decided, and the one on the wall, for what a person reads.

import Glibc

/// The time that passes, unmoved by whoever sets the clock. See clock_gettime(2), `CLOCK_MONOTONIC`.
package struct Instant: Sendable, Comparable {
  private let nanoseconds: Int64

  private init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  package static var now: Instant { Instant(nanoseconds: read(CLOCK_MONOTONIC)) }

  package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  package static func - (a: Instant, b: Instant) -> Duration {
    .nanoseconds(a.nanoseconds.clampedSubtracting(b.nanoseconds))
  }
  package static func - (a: Instant, b: Duration) -> Instant {
    Instant(nanoseconds: a.nanoseconds.clampedSubtracting(b.nanoseconds))
  }
  package static func + (a: Instant, b: Duration) -> Instant {
    Instant(nanoseconds: a.nanoseconds.clampedAdding(b.nanoseconds))
  }

  /// Processor time that the calling thread has used: what others do meanwhile does not count.
  package static var threadTime: Duration { .nanoseconds(read(CLOCK_THREAD_CPUTIME_ID)) }

  static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

extension Duration {
  /// Whole nanoseconds, rounded towards zero; the nearest that 64 bits hold where it is longer than 292 years.
  package var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return Int64(clamping: Int128(seconds) * 1_000_000_000 + Int128(attoseconds / 1_000_000_000))
  }

  /// For poll(2): milliseconds, rounded up. A poll that is a little late beats one that spins through the last one.
  var pollTimeout: CInt {
    let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
    return CInt(clamping: rest > 0 ? whole + 1 : whole)
  }

  /// Seconds, with what follows the point.
  package var seconds: Double { self / .seconds(1) }
}

/// The wall clock: for display and for the journal only. It may jump, so nothing is decided by it.
package enum WallClock {
  /// Seconds since 1970-01-01T00:00:00Z.
  package static var now: Double { Double(Instant.read(CLOCK_REALTIME)) / 1e9 }

  /// `14:02:11` in the local time zone.
  package static func timeOfDay(_ epoch: Double) -> String {
    guard var seconds = time_t(exactly: epoch.rounded(.down)) else { return "--:--:--" }
    var local = unsafe tm()
    guard unsafe localtime_r(&seconds, &local) != nil else { return "--:--:--" }
    return unsafe "\(padded(local.tm_hour)):\(padded(local.tm_min)):\(padded(local.tm_sec))"
  }

  /// `2026-11-23T14:02:11.250Z`. See RFC 3339.
  package static func rfc3339(_ epoch: Double) -> String {
    // Beyond that a year takes more digits than RFC 3339 has, and at last more than C's structure.
    guard (0..<253_402_300_800).contains(epoch), var seconds = time_t(exactly: epoch.rounded(.down)) else {
      return epoch > 0 ? "9999-12-31T23:59:59Z" : "1970-01-01T00:00:00Z"
    }
    var utc = unsafe tm()
    guard unsafe gmtime_r(&seconds, &utc) != nil else { return "1970-01-01T00:00:00Z" }
    let milliseconds = Int((epoch - epoch.rounded(.down)) * 1000)
    let date = unsafe "\(utc.tm_year + 1900)-\(padded(utc.tm_mon + 1))-\(padded(utc.tm_mday))"
    let time = unsafe "\(padded(utc.tm_hour)):\(padded(utc.tm_min)):\(padded(utc.tm_sec))"
    return "\(date)T\(time).\(String(milliseconds + 1000).dropFirst())Z"
  }

  private static func padded(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

extension Instant {
  /// Since the machine was started, without the time that it was suspended: the same for all processes of one boot.
  package var sinceBoot: Duration { .nanoseconds(nanoseconds) }
}
