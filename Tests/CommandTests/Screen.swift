// SPDX-License-Identifier: Apache-2.0
// What was painted on a terminal, taken apart again.

import Foundation

/// The frames of a live view: each begins at the upper left corner and clears what is below its end.
struct Screen {
  /// The lines of each whole frame, without colour.
  var frames: [[String]] = []
  /// The escape sequences, without those that begin, end and clear a frame.
  var escapes: Set<String> = []

  init(_ painted: String) {
    for part in painted.components(separatedBy: "\u{1b}[H").dropFirst() {
      guard let end = part.range(of: "\u{1b}[J") else { continue }
      // The terminal itself puts a carriage return before each line end.
      let text = String(String.UnicodeScalarView(part[..<end.lowerBound].unicodeScalars.filter { $0 != "\r" }))
      frames.append(text.components(separatedBy: "\n").map { plain($0) })
    }
  }

  /// The text without its escape sequences, which are noted.
  private mutating func plain(_ line: String) -> String {
    var text = ""
    var rest = line[...]
    while let escape = rest.firstIndex(of: "\u{1b}") {
      text += rest[..<escape]
      let end = rest[escape...].dropFirst(2).firstIndex { $0.isLetter } ?? rest.index(before: rest.endIndex)
      let sequence = String(rest[escape...end])
      if sequence != "\u{1b}[K" { escapes.insert(sequence) }
      rest = rest[rest.index(after: end)...]
    }
    return text + rest
  }
}
