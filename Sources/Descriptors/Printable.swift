// SPDX-License-Identifier: Apache-2.0
// Text that strangers chose, made fit for a terminal, a log line and a table.

extension String {
  /// The text with everything escaped that could act on a terminal or break a line: control characters, line and
  /// paragraph separators, and the marks that turn the direction of writing. A backslash is doubled, so that what is
  /// shown can be told from what was there.
  package var printable: String {
    guard unicodeScalars.contains(where: \.needsEscape) else { return self }
    var shown = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "\\": shown += "\\\\"
      case "\n": shown += "\\n"
      case "\t": shown += "\\t"
      case "\r": shown += "\\r"
      case let scalar where !scalar.needsEscape: shown.unicodeScalars.append(scalar)
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
  fileprivate var needsEscape: Bool {
    switch value {
    case 0..<0x20, 0x5c, 0x7f..<0xa0: true
    // Marks of direction, joiners, separators, and the byte order mark: nothing to see, much to hide behind.
    // Nor what no text may hold: D-Bus refuses it, and with it a whole message.
    case 0xfdd0...0xfdef: true
    case 0xad, 0x61c, 0x180e, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff: true
    default: value & 0xfffe == 0xfffe
    }
  }
}
