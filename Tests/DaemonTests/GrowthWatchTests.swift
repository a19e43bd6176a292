// SPDX-License-Identifier: Apache-2.0
// Whether a count alone gives reason to look closer.

import Testing

@testable import Daemon

@Suite struct `A count that is followed` {
  /// Polls every ten seconds; returns after how many seconds it was promoted.
  private func promoted(within hours: Int = 24, from first: Int = 100, _ count: (Int) -> Int) -> Int? {
    var watch = GrowthWatch(count: first, at: .zero)
    for second in stride(from: 10, through: hours * 3600, by: 10)
    where watch.observe(count: count(second), at: .seconds(second)) {
      return second
    }
    return nil
  }

  /// From 0 up to `amplitude`, the same for the same second.
  private func noise(_ second: Int, _ amplitude: Int) -> Int {
    Int((UInt32(truncatingIfNeeded: second) &* 2_654_435_761) >> 8) % (amplitude + 1)
  }

  @Test func `that drips slowly is found within hours`() throws {
    // Six an hour below a load that takes up to 40.
    let seconds = try #require(promoted { 100 + $0 / 600 + noise($0, 40) })
    #expect(seconds < 12 * 3600)
  }

  @Test func `that leaks fast is found before it has leaked fifty`() throws {
    let seconds = try #require(promoted { 100 + $0 })
    #expect(seconds <= 50)
  }

  @Test(arguments: [0, 3, 10, 30]) func `that only goes up and down is not looked at`(amplitude: Int) {
    #expect(promoted(within: 72, from: 100 + amplitude / 2) { 100 + noise($0, amplitude) } == nil)
  }

  /// It may turn out to be a load, but a count cannot tell.
  @Test func `that ramps up in the morning is looked at`() {
    #expect(promoted { 100 + max(0, $0 - 8 * 3600) / 60 + noise($0, 10) } != nil)
  }

  @Test func `that falls is not looked at`() {
    #expect(promoted(from: 5000) { max(100, 5000 - $0) } == nil)
  }

  @Test func `takes any number`() {
    var watch = GrowthWatch(count: .max, at: .zero)
    let falls = watch.observe(count: 0, at: .seconds(1))
    var small = GrowthWatch(count: 0, at: .zero)
    let rises = small.observe(count: .max, at: .seconds(1))
    #expect(!falls && rises)
  }
}
