// SPDX-License-Identifier: Apache-2.0
// Text for a terminal: widths, wrapping, tables, bars.

import Testing
import Watch

@Suite struct `Text for a terminal` {
  @Test(arguments: [
    ("", 0), ("plain", 5), ("日本", 4), ("e\u{301}", 1), ("a\u{200d}b", 2), ("🙂", 2), ("▁▂▃", 3), ("한", 2),
  ]) func `takes columns`(text: String, columns: Int) { #expect(text.columns == columns) }

  @Test(arguments: [
    ("plain", 5, "plain"), ("plain", 4, "pla…"), ("plain", 1, "…"), ("plain", 0, ""), ("日本語", 5, "日本…"),
    ("日本語", 4, "日…"), ("", 0, ""),
  ]) func `is cut to a width`(text: String, width: Int, cut: String) {
    #expect(text.fitted(width) == cut)
    #expect(text.fitted(width).columns <= width)
  }

  @Test func `is filled to a width`() {
    #expect("ab".padded(4) == "ab  " && "ab".padded(4, alignRight: true) == "  ab" && "abc".padded(2) == "abc")
    #expect("日".padded(3) == "日 ")
  }

  @Test func `is wrapped between words`() {
    #expect("one two three".wrapped(7) == ["one two", "three"])
    #expect("one".wrapped(3) == ["one"] && "".wrapped(5) == [])
    #expect("abcdefgh ij".wrapped(3) == ["abc", "def", "gh", "ij"])
    #expect("日本語".wrapped(4) == ["日本", "語"])
  }

  @Test(arguments: 1...40) func `is never wider than it was wrapped to`(width: Int) {
    let text = "12 TCP sockets to [2001:db8::1]:5432 were never closed; /a/very/long/path/that/does/not/fit is 日本語"
    let lines = text.wrapped(width)
    // A wide character needs two columns, come what may.
    #expect(lines.allSatisfy { $0.columns <= max(width, 2) })
    #expect(lines.joined().filter { $0 != " " } == text.filter { $0 != " " })
  }

  @Test func `has colour only where it may`() {
    #expect(TextStyle(isOn: true).alarm("x") == "\u{1b}[1;31mx\u{1b}[0m")
    for style in [TextStyle.bold, TextStyle.dim, TextStyle.alarm, TextStyle.warning, TextStyle.good] {
      #expect(style(TextStyle(isOn: false))("x") == "x")
    }
  }
}

@Suite struct `A table` {
  private var table: TextTable {
    var table = TextTable([.init("KIND"), .init("TARGET", isFlexible: true), .init("OPEN", alignRight: true)])
    table.append(["tcp", "10.0.0.5:5432", "7"])
    table.append(["file", "/var/log/a/rather/long/path.log", "12345"])
    return table
  }

  @Test func `aligns its columns`() {
    let (title, rows) = table.lines(width: nil)
    #expect(title == "KIND  TARGET                            OPEN")
    #expect(rows[0] == "tcp   10.0.0.5:5432                        7")
    #expect(rows[1] == "file  /var/log/a/rather/long/path.log  12345")
  }

  @Test(arguments: [22, 25, 30, 43, 44, 80]) func `gives way in one column`(width: Int) {
    let (title, rows) = table.lines(width: width)
    #expect(([title] + rows).allSatisfy { $0.columns <= width })
    #expect(rows[1].hasPrefix("file  /var/") && rows[1].hasSuffix("  12345"))
  }

  @Test func `without rows is a title`() {
    #expect(TextTable([.init("KIND"), .init("VERDICT")]).lines(width: 5).title == "KIND  VERDICT")
  }
}

@Suite struct `A row of bars` {
  @Test func `shows how values go`() {
    #expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], width: 8) == "▁▂▃▄▅▆▇█")
    #expect(sparkline([5, 5, 5], width: 8) == "▁▁▁")
    #expect(sparkline([0, 1000], width: 2) == "▁█")
    #expect(sparkline([], width: 8) == "" && sparkline([1], width: 0) == "" && sparkline([1], width: -3) == "")
  }

  @Test func `keeps a peak when it has fewer columns than values`() {
    var values = [Int](repeating: 1, count: 600)
    values[301] = 90
    let bars = sparkline(values, width: 60)
    #expect(bars.count == 60 && bars.contains("█"))
  }

  @Test func `takes any values`() {
    for width in 1...20 {
      for count in 1...50 {
        let bars = sparkline((0..<count).map { $0 * $0 * 7919 % 101 }, width: width)
        #expect(bars.count == min(width, count))
      }
    }
  }
}
