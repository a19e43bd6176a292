// SPDX-License-Identifier: Apache-2.0
// Points in time as people write them.

import Glibc
import Linux
import Testing

@Suite struct `A point in time` {
  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("2026-11-23T14:02:11Z", 1_795_442_531),
      ("2026-11-23t14:02:11.25z", 1_795_442_531.25),
      ("2026-11-23T14:02:11+01:30", 1_795_437_131), ("2026-11-23T14:02:11-00:30", 1_795_444_331),
      ("2026-11-23 14:02Z", 1_795_442_520), ("2024-02-29T00:00:00Z", 1_709_164_800),
    ] as [(String, Double)])
  func `is read with its zone`(text: String, seconds: Double) { #expect(WallClock.seconds(of: text) == seconds) }

  @Test func `without a zone is local`() throws {
    for text in ["2026-11-23 14:02:11", "2026-06-01 00:00:00"] {
      #expect(WallClock.local(try #require(WallClock.seconds(of: text))) == text)
    }
    #expect(WallClock.seconds(of: "2026-11-23") == WallClock.seconds(of: "2026-11-23 00:00:00"))
  }

  @Test(
    arguments: [
      "", "2026", "2026-1-2", "2026-02-30", "2025-02-29", "2026-13-01", "2026-11-23T", "2026-11-23T24:00:00Z",
      "2026-11-23T14:02:11+1", "2026-11-23T14:02:11.Z", "2026-11-23Z ", "2026-11-23 14:60", "1899-01-01", "٢٠٢٦-11-23",
    ])
  func `that is none is refused`(text: String) { #expect(WallClock.seconds(of: text) == nil) }
}
