// SPDX-License-Identifier: Apache-2.0
// Text for a terminal: width, colour, wrapping, tables. Nothing here writes.

/// Colour and weight, or none: a terminal gets them, `NO_COLOR` and a pipe do not. See no-color.org.
package struct TextStyle: Sendable {
  package var isOn: Bool

  package init(isOn: Bool) { self.isOn = isOn }

  package func bold(_ text: String) -> String { wrap(text, "1") }
  package func dim(_ text: String) -> String { wrap(text, "2") }
  package func alarm(_ text: String) -> String { wrap(text, "1;31") }
  package func warning(_ text: String) -> String { wrap(text, "33") }
  package func good(_ text: String) -> String { wrap(text, "32") }

  private func wrap(_ text: String, _ code: String) -> String { isOn ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }
}

extension String {
  /// Columns that the text takes on a terminal. East Asian wide characters and emoji take two, combining marks none;
  /// a close reading of Unicode's EastAsianWidth, not a full one.
  package var columns: Int { unicodeScalars.reduce(0) { $0 + $1.columns } }

  /// The text cut to a width, with `…` where something was cut.
  package func fitted(_ width: Int) -> String {
    if columns <= width { return self }
    guard width > 0 else { return "" }
    var kept = ""
    var used = 0
    for scalar in unicodeScalars {
      if used + scalar.columns > width - 1 { break }
      kept.unicodeScalars.append(scalar)
      used += scalar.columns
    }
    return kept + "…"
  }

  /// Filled with blanks to a width.
  package func padded(_ width: Int, alignRight: Bool = false) -> String {
    let fill = String(repeating: " ", count: max(0, width - columns))
    return alignRight ? fill + self : self + fill
  }

  /// Broken between words into lines of at most `width` columns; a longer word is cut.
  package func wrapped(_ width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in split(separator: " ") {
      var word = String(word)
      if !line.isEmpty, line.columns + 1 + word.columns > width {
        lines.append(line)
        line = ""
      }
      while line.isEmpty, word.columns > width, width > 0 {
        var head = ""
        while let next = word.unicodeScalars.first, head.columns + next.columns <= max(width, 2) {
          head.unicodeScalars.append(next)
          word.unicodeScalars.removeFirst()
        }
        lines.append(head)
      }
      line += line.isEmpty ? word : " " + word
    }
    return line.isEmpty ? lines : lines + [line]
  }
}

extension Unicode.Scalar {
  fileprivate var columns: Int {
    switch properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format: return 0
    default: break
    }
    switch value {
    case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f,
      0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f6ff, 0x1f7e0...0x1f7ff, 0x1f900...0x1faff, 0x20000...0x3fffd:
      return 2
    default: return 1
    }
  }
}

/// A table with aligned columns, one of which gives way when the width is short.
package struct TextTable: Sendable {
  package struct Column: Sendable {
    var title: String
    var alignRight: Bool
    /// Gives way when the table is wider than it may be.
    var isFlexible: Bool

    package init(_ title: String, alignRight: Bool = false, isFlexible: Bool = false) {
      self.title = title
      self.alignRight = alignRight
      self.isFlexible = isFlexible
    }
  }

  let columns: [Column]
  private var rows: [[String]] = []

  package init(_ columns: [Column]) { self.columns = columns }

  /// - Parameter cells: one for each column, fit to be printed.
  package mutating func append(_ cells: [String]) { rows.append(cells) }

  /// The title line and a line for each row.
  package func lines(width: Int?) -> (title: String, rows: [String]) {
    var widths = columns.indices.map { index in
      rows.reduce(columns[index].title.columns) { max($0, $1[index].columns) }
    }
    if let width, let flexible = columns.firstIndex(where: \.isFlexible) {
      let total = widths.reduce(0, +) + 2 * (columns.count - 1)
      widths[flexible] = max(widths[flexible] - max(0, total - width), min(8, widths[flexible]))
    }
    func line(_ cells: [String]) -> String {
      let parts = columns.indices.map { index in
        let cell = cells[index].fitted(widths[index])
        // No blanks at the end of a line.
        return index == columns.count - 1 && !columns[index].alignRight
          ? cell : cell.padded(widths[index], alignRight: columns[index].alignRight)
      }
      return parts.joined(separator: "  ")
    }
    return (line(columns.map(\.title)), rows.map(line))
  }
}

/// A row of bars, the newest to the right.
package func sparkline(_ values: [Int], width: Int) -> String {
  guard width > 0, !values.isEmpty else { return "" }
  // Where there are more values than columns, a column shows the highest of its share: a peak must not vanish.
  let shown = min(width, values.count)
  let columns = (0..<shown).map { column in
    values[(column * values.count / shown)..<((column + 1) * values.count / shown)].max() ?? 0
  }
  let bars: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
  let low = columns.min() ?? 0
  let span = max((columns.max() ?? 0) - low, 1)
  return String(columns.map { bars[min(7, ($0 - low) * 8 / (span + (span < 8 ? 0 : 1)))] })
}
