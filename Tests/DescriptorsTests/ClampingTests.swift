// SPDX-License-Identifier: Apache-2.0
// Numbers from outside, at the ends of the range and beyond.

import Descriptors
import Testing

@Suite struct `A number from outside` {
  @Test(
    arguments: [
      (0, 0), (2.9, 2), (-2.9, -2), (1e18, 1_000_000_000_000_000_000), (1e19, .max), (-1e19, .min), (.infinity, .max),
      (-.infinity, .min), (.nan, 0), (.greatestFiniteMagnitude, .max), (0x1p63, .max), (-0x1p63, .min),
    ] as [(Double, Int)]) func `becomes the nearest whole one`(value: Double, whole: Int)
  {
    #expect(Int(clamping: value) == whole)
  }

  @Test func `fits narrower types, too`() {
    #expect(UInt8(clamping: -1.5) == 0 && UInt8(clamping: 1e9) == 255 && Int32(clamping: 3e9) == .max)
  }

  @Test(arguments: [.nan, .infinity, -.infinity, 1e300, -1e300, 1e11, 0.0004, -0.0016] as [Double])
  func `of seconds becomes a plausible time`(seconds: Double) {
    let time = Duration(clampingSeconds: seconds)
    #expect(time.isPlausible)
    // Sums and multiples of a few do not overflow.
    #expect(time + time + time * 10 >= .zero - .longest * 100)
    if abs(seconds) < 1 { #expect(time == (seconds > 0 ? .zero : .milliseconds(-2))) }
  }

  @Test func `is no plausible time beyond thousands of years`() {
    #expect(!(Duration.longest + .milliseconds(1)).isPlausible && Duration.longest.isPlausible)
    #expect(!Duration.seconds(Int64.min).isPlausible)
  }
}
