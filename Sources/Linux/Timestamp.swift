// SPDX-License-Identifier: Apache-2.0
// Wall-clock times that somebody else chose: of files, of profiles.

import Glibc

/// A point in time, in nanoseconds since 1970.
///
/// utimensat(2) accepts any 64-bit number of seconds, and a profile states what it likes. So nothing here traps: what does
/// not fit into 64 bits of nanoseconds (the years 1677 to 2262) becomes the nearest value that does, and so does a
/// difference.
package struct Timestamp: Sendable, Hashable, Comparable {
  private let nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  package init(seconds: Int64, nanoseconds: Int64) {
    self.nanoseconds = Int64(clamping: Int128(seconds) * 1_000_000_000 + Int128(nanoseconds))
  }

  /// Earlier than all others.
  package static let distantPast = Timestamp(nanoseconds: .min)

  package static var now: Timestamp { Timestamp(nanoseconds: Instant.read(CLOCK_REALTIME)) }

  package static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }
  package static func - (a: Timestamp, b: Timestamp) -> Duration {
    .nanoseconds(a.nanoseconds.clampedSubtracting(b.nanoseconds))
  }
}

/// Arithmetic that stops at the ends of the range.
extension Int64 {
  func clampedAdding(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }

  func clampedSubtracting(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other < 0 ? .max : .min) : difference
  }
}
