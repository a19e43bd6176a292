// SPDX-License-Identifier: Apache-2.0
// JSON that is read on a terminal, by a person, after a stranger has chosen the names in it.

import Foundation
import Testing

@testable import Trace

@Suite struct `A JSON text` {
  @Test(arguments: [
    ("plain – ünïcode 🙂", "plain – ünïcode 🙂"), ("a\"b\\c/d", #"a\"b\\c/d"#),
    ("\n\t\r\u{0}\u{1f}", #"\n\t\r\u0000\u001f"#),
    ("\u{7f}\u{85}\u{9b}", #"\u007f\u0085\u009b"#), ("\u{ad}\u{61c}\u{200b}\u{200f}", #"\u00ad\u061c\u200b\u200f"#),
    ("invoice\u{202e}fdp.exe", #"invoice\u202efdp.exe"#), ("\u{2066}a\u{2069}", #"\u2066a\u2069"#),
    ("\u{2028}\u{2029}\u{feff}", #"\u2028\u2029\ufeff"#), ("\u{e0041}", #"\udb40\udc41"#),
  ]) func `hides nothing, and is the same again when it is read`(text: String, written: String) throws {
    let json = JSONObject.quoted(text)
    #expect(json == "\"\(written)\"")
    #expect(try JSONDecoder().decode([String].self, from: Data("[\(json)]".utf8)) == [text])
    var scanner = JSONScanner(Array(json.utf8)[...])
    #expect(try scanner.string() == text)
  }

  @Test(
    arguments: [0, -0.0, 1.5, 1e12, -1e15, 1e18, 1e300, -.greatestFiniteMagnitude, .leastNonzeroMagnitude] as [Double])
  func `of a number is one`(value: Double) throws {
    let text = JSONObject.number(value)
    let read = try JSONDecoder().decode([Double].self, from: Data("[\(text)]".utf8))
    #expect(abs(read[0] - value) <= max(0.0005, abs(value) * 1e-15))
  }

  @Test(arguments: [.nan, .infinity, -.infinity] as [Double]) func `of no number is null`(value: Double) {
    #expect(JSONObject.number(value) == "null")
  }
}
