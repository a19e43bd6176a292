// SPDX-License-Identifier: Apache-2.0
// Text that strangers chose, made fit for a terminal, a log line and a table.

extension String {
  /// The text with everything escaped that could act on a terminal or break a line: control characters, line and
  /// paragraph separators, and the marks that turn the direction of writing. A backslash is doubled, so that what is
  /// shown can be told from what was there.
  package var printable: String {
    guard unicodeScalars.contains(where: { $0 == "\\" || $0.isHidden }) else { return self }
    var shown = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "\\": shown += "\\\\"
      case "\n": shown += "\\n"
      case "\t": shown += "\\t"
      case "\r": shown += "\\r"
      case let scalar where !scalar.isHidden: shown.unicodeScalars.append(scalar)
      case let scalar where scalar.value < 0x100:
        let digits = String(scalar.value, radix: 16)
        shown += "\\x" + (digits.count < 2 ? "0" : "") + digits
      default: shown += "\\u{" + String(scalar.value, radix: 16) + "}"
      }
    }
    return shown
  }
}

extension Unicode.Scalar {
  /// Whether it shows nothing of itself, or changes how the text around it is shown: control characters (C0, C1), line and
  /// paragraph separators, and what Unicode calls format characters: marks of direction (U+061C, U+200E, U+202A to U+202E,
  /// U+2066 to U+2069), joiners, the byte order mark, tags. Nothing of that is left raw in anything that we write.
  ///
  /// Also what no text may hold: D-Bus refuses a noncharacter, and with it a whole message.
  package var isHidden: Bool {
    switch value {
    case 0..<0x20, 0x7f..<0xa0: return true
    case ..<0xad: return false
    case 0x2060...0x206f, 0xfdd0...0xfdef: return true
    default: break
    }
    if value & 0xfffe == 0xfffe { return true }
    return switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}
