// SPDX-License-Identifier: Apache-2.0
// Nothing that strangers choose may act on a terminal or break a line.

import Descriptors
import Testing

@Suite struct `Printable text` {
  @Test(arguments: [
    ("plain – ünïcode 🙂", "plain – ünïcode 🙂"), ("", ""), ("a\nb\tc\rd", "a\\nb\\tc\\rd"), ("\u{1b}[2J", "\\x1b[2J"),
    ("\u{0}\u{7}\u{7f}", "\\x00\\x07\\x7f"), ("\u{9b}31m", "\\x9b31m"), ("C:\\n", "C:\\\\n"),
    ("\u{202e}txt.exe", "\\u{202e}txt.exe"), ("a\u{200b}\u{feff}b", "a\\u{200b}\\u{feff}b"),
    ("a\u{2028}b", "a\\u{2028}b"), ("\r\n", "\\r\\n"), ("e\u{301}", "e\u{301}"), ("\u{fffd}", "\u{fffd}"),
  ]) func `escapes what could act`(text: String, shown: String) {
    #expect(text.printable == shown)
  }

  @Test func `holds no control character, whatever the text`() {
    for value in (0...0x2fff as ClosedRange<UInt32>) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let shown = String(scalar).printable
      #expect(!shown.isEmpty)
      #expect(
        shown.unicodeScalars.allSatisfy {
          ![.control, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
        })
    }
  }

  /// Unicode's own list, and those that hide a file's ending or swap what stands beside them.
  @Test func `holds nothing hidden, wherever in Unicode it is`() {
    var hidden = 0
    // All planes that have any: what lies between is not assigned, and beyond is for private use.
    for value in [0...0x1ffff, 0xe0000...0xe0fff as ClosedRange<UInt32>].joined() {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let category = scalar.properties.generalCategory
      guard [.control, .format, .lineSeparator, .paragraphSeparator].contains(category) else { continue }
      hidden += 1
      let shown = String(scalar).printable
      #expect(scalar.isHidden && !shown.unicodeScalars.contains(scalar), "U+\(String(value, radix: 16))")
    }
    #expect(hidden > 200)
    let turning: [Unicode.Scalar] = [
      "\u{61c}", "\u{200e}", "\u{200f}", "\u{202a}", "\u{202b}", "\u{202c}", "\u{202d}", "\u{202e}", "\u{2066}",
      "\u{2067}", "\u{2068}", "\u{2069}",
    ]
    #expect(turning.allSatisfy { $0.isHidden })
    #expect(!("aé日🙂\u{301}\u{fe0f} ~" as String).unicodeScalars.contains { $0.isHidden })
  }

  /// D-Bus refuses a message that holds one.
  @Test func `holds no noncharacter`() {
    let bytes: [UInt8] = [0xef, 0xbf, 0xbe, 0x61, 0xef, 0xb7, 0x90, 0xf4, 0x8f, 0xbf, 0xbf]
    #expect(String(decoding: bytes, as: UTF8.self).printable == "\\u{fffe}a\\u{fdd0}\\u{10ffff}")
  }

  @Test func `tells an escape from a backslash that was there`() {
    #expect("\n".printable != "\\n".printable)
  }
}
