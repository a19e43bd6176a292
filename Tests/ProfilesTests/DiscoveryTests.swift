// SPDX-License-Identifier: Apache-2.0
// The list of profiles that a process serves: a page that says what its program likes.

import Testing

@testable import Profiles

@Suite struct `A list of profiles` {
  private static func page(_ count: String, _ name: String) -> String {
    "<tr><td>\(count)</td><td><a href='\(name)?debug=1'>\(name)</a></td></tr>"
  }

  /// More than fits, less than none, no number.
  @Test func `with absurd counts names those that could be meant`() {
    let most = String(Int.max)
    let rows = [
      ("0", "zero"), (most, "most"), ("-\(most)", "least"), (most + "0", "beyond"), ("x", "word"), ("40", "held"),
    ]
    let found = PprofIndex.profiles(in: Array(rows.map { Self.page($0.0, $0.1) }.joined().utf8))
    #expect(found.map(\.name) == ["zero", "most", "least", "held"])
    #expect(PprofIndex.counting(found, open: 50) == ["held"])
    #expect(PprofIndex.counting(found, open: Int(Int32.max)) == [])
  }
}
