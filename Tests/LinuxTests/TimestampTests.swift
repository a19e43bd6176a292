// SPDX-License-Identifier: Apache-2.0
// Times that strangers chose: the ends of the range, and what lies beyond.

import Glibc
import TestSupport
import Testing

@testable import Linux

@Suite struct `A timestamp` {
  @Test(
    arguments: [
      (0, 0, 0), (1, 5, 1_000_000_005), (-1, 5, -999_999_995), (-5000, 0, -5_000_000_000_000),
      (9_223_372_036, 854_775_807, .max), (9_223_372_036, 854_775_808, .max), (9_223_372_037, 0, .max),
      (99_999_999_999, 0, .max), (-99_999_999_999, 0, .min), (.max, 999_999_999, .max), (.min, 0, .min),
      (.max, .max, .max), (.min, .min, .min),
    ] as [(Int64, Int64, Int64)]) func `is the nearest that fits`(seconds: Int64, rest: Int64, nanoseconds: Int64)
  {
    #expect(Timestamp(seconds: seconds, nanoseconds: rest) == Timestamp(nanoseconds: nanoseconds))
  }

  @Test func `has differences that fit, too`() {
    let (first, last) = (Timestamp.distantPast, Timestamp(nanoseconds: .max))
    #expect(last - first == .nanoseconds(Int64.max) && first - last == .nanoseconds(Int64.min))
    #expect(first < last && last - last == .zero)
    #expect(Timestamp.now - Timestamp(seconds: 1_700_000_000, nanoseconds: 0) > .zero)
  }

  /// utimensat(2) takes them all; a memfd keeps them as they are.
  @Test(
    arguments: [
      99_999_999_999, -99_999_999_999, -5000, 253_402_300_800, .max, .min, 9_223_372_037,
    ] as [Int]) func `of a file is told, whatever its owner has set`(seconds: Int) throws
  {
    let memory = try Memfd(words: [1])
    let time = timespec(tv_sec: seconds, tv_nsec: 7)
    try #require(unsafe futimens(memory.number, [time, time]) == 0)
    let file = try Descriptor(reading: "/proc/self/fd/\(memory.number)")
    #expect(try file.state().modified == Timestamp(seconds: Int64(seconds), nanoseconds: 7))
  }
}

@Suite struct `A duration` {
  @Test func `in nanoseconds is the nearest that fits`() {
    #expect(Duration.seconds(Int64.max).nanoseconds == .max && Duration.seconds(Int64.min).nanoseconds == .min)
    #expect(Duration.seconds(3).nanoseconds == 3_000_000_000 && Duration.seconds(-3).nanoseconds == -3_000_000_000)
    #expect(Duration.seconds(9_223_372_036).nanoseconds == 9_223_372_036_000_000_000)
  }

  @Test func `for poll is rounded up, and the longest there is`() {
    #expect(Duration.nanoseconds(1).pollTimeout == 1 && Duration.milliseconds(2).pollTimeout == 2)
    #expect(Duration.zero.pollTimeout == 0 && Duration.seconds(Int64.max).pollTimeout == .max)
  }

  @Test func `beyond all time moves an instant to the end of it`() {
    let now = Instant.now
    let (never, ever) = (now + .seconds(Int64.max), now - .seconds(Int64.max))
    #expect(never > now && ever < now && never - ever == .nanoseconds(Int64.max))
    #expect(never + .seconds(1) == never)
  }
}

@Suite struct `A calendar date` {
  /// The last year that the C library has, and those around it.
  @Test(
    arguments: [67_767_976_233_532_792, 67_768_036_191_676_792, 67_768_036_191_676_800, 1e18, -1e18, 1e300] as [Double])
  func `of a time beyond all calendars is written, or not known`(seconds: Double) {
    #expect(!WallClock.local(seconds).isEmpty && !WallClock.timeOfDay(seconds).isEmpty)
    #expect(WallClock.rfc3339(seconds).hasPrefix(seconds < 0 ? "1970" : "9999"))
  }
}

/// What is Swift's `CommandLine.arguments` elsewhere.
@Suite struct `Arguments` {
  @Test func `are those of this process`() {
    #expect(Host.arguments == Array(CommandLine.arguments.dropFirst()))
  }
}
