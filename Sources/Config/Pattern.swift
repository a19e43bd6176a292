// SPDX-License-Identifier: Apache-2.0
// Globs for names that strangers chose.

/// A glob as in fnmatch(3) without flags: `*` any text, `?` one character, `[a-z]` and `[!a-z]` one of some, `\` takes the
/// next character as it is. A slash is a character like any other.
///
/// Not fnmatch(3) itself: its time grows exponentially with the stars, and the command line of a stranger is long.
package enum Pattern {
  package static func matches(_ pattern: String, _ text: String) -> Bool {
    let pattern = pattern.unicodeScalars
    let text = text.unicodeScalars
    var (p, t) = (pattern.startIndex, text.startIndex)
    // Where the last star stands, and up to where of the text it reaches: it is given more where the rest does not fit.
    var star: (after: String.Index, reach: String.Index)?
    while true {
      if p < pattern.endIndex, pattern[p] == "*" {
        p = pattern.index(after: p)
        star = (p, t)
        continue
      }
      if t == text.endIndex { return p == pattern.endIndex }
      if p < pattern.endIndex, let next = one(pattern, at: p, matches: text[t]) {
        p = next
        t = text.index(after: t)
        continue
      }
      guard let last = star else { return false }
      t = text.index(after: last.reach)
      p = last.after
      star = (p, t)
    }
  }

  /// Where the pattern goes on if the piece at `index` takes the character, `nil` if it does not.
  private static func one(
    _ pattern: String.UnicodeScalarView, at index: String.Index, matches character: Unicode.Scalar
  ) -> String.Index? {
    let next = pattern.index(after: index)
    switch pattern[index] {
    case "?": return next
    case "[":
      guard let set = CharacterSet(pattern, after: next) else { return character == "[" ? next : nil }
      return set.contains(character) ? set.end : nil
    case "\\" where next < pattern.endIndex: return pattern[next] == character ? pattern.index(after: next) : nil
    default: return pattern[index] == character ? next : nil
    }
  }

  /// What is wrong with a pattern, and what to write instead; `nil` if nothing is.
  static func mistake(in pattern: String) -> String? {
    let scalars = pattern.unicodeScalars
    var index = scalars.startIndex
    while index < scalars.endIndex {
      let next = scalars.index(after: index)
      switch scalars[index] {
      case "\\":
        if next == scalars.endIndex { return "nothing follows its last backslash; expected \"\\\\\" for a backslash" }
        index = scalars.index(after: next)
      case "[":
        guard let set = CharacterSet(scalars, after: next) else {
          return "a bracket is not closed; expected [a-z], or \"\\[\" for a bracket"
        }
        if set.isEmpty { return "a range runs backwards; expected the lower end first, as in [a-z]" }
        let inside = scalars[next..<set.end]
        if String(inside).contains("[:") { return "there are no classes as [:digit:]; expected a range, as in [0-9]" }
        index = set.end
      default: index = next
      }
    }
    return nil
  }

  /// Whether it stands for one text only.
  static func isPlain(_ pattern: String) -> Bool {
    !pattern.unicodeScalars.contains { "*?[\\".unicodeScalars.contains($0) }
  }
}

/// What stands between brackets.
private struct CharacterSet {
  private var ranges: [(first: Unicode.Scalar, last: Unicode.Scalar)] = []
  private var isNegated = false
  /// Behind the closing bracket.
  var end: String.Index

  /// `nil` if it is not closed.
  init?(_ pattern: String.UnicodeScalarView, after start: String.Index) {
    var index = start
    end = start
    func peek() -> Unicode.Scalar? { index < pattern.endIndex ? pattern[index] : nil }
    /// The next character, a backslash taken away.
    func take() -> Unicode.Scalar? {
      if peek() == "\\" { index = pattern.index(after: index) }
      guard let character = peek() else { return nil }
      index = pattern.index(after: index)
      return character
    }
    if peek() == "!" || peek() == "^" {
      isNegated = true
      index = pattern.index(after: index)
    }
    var isFirst = true
    // A bracket that comes first is a member.
    while isFirst || peek() != "]" {
      isFirst = false
      guard let first = take() else { return nil }
      let dash = index
      if peek() == "-" {
        index = pattern.index(after: index)
        if let next = peek(), next != "]", let last = take() {
          ranges.append((first, last))
          continue
        }
        index = dash
      }
      ranges.append((first, first))
    }
    end = pattern.index(after: index)
  }

  /// Whether one of its ranges holds nothing.
  var isEmpty: Bool { ranges.contains { $0.first > $0.last } }

  func contains(_ character: Unicode.Scalar) -> Bool {
    ranges.contains { $0.first <= character && character <= $0.last } != isNegated
  }
}
