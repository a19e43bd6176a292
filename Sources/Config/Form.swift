// SPDX-License-Identifier: Apache-2.0
// What a setting may be: how it is read, how it is written, and what is expected, in one value.

import Descriptors

/// The form of a value.
struct Form<Value: Sendable>: Sendable {
  /// `a time from "250ms" to "1h"`: what a person is told who wrote something else.
  let expected: String
  /// The value, or `nil` where it is not of this form. Says more in a mistake of its own where more can be said.
  let read: @Sendable (TOMLNode, inout [Mistake]) -> Value?
  /// As TOML, and as JSON: what is written here is both. `nil` if it is not set.
  let text: @Sendable (Value) -> String?
}

extension Form {
  init(
    _ expected: String, read: @escaping @Sendable (TOMLNode) -> Value?, text: @escaping @Sendable (Value) -> String?
  ) {
    self.init(expected: expected, read: { node, _ in read(node) }, text: text)
  }

  /// For what need not be set.
  var optional: Form<Value?> {
    Form<Value?>(
      expected: expected, read: { node, mistakes in read(node, &mistakes).map(Optional.some) },
      text: { $0.flatMap(text) })
  }

  /// For what a word turns off.
  func or(off word: String) -> Form<Value?> {
    Form<Value?>(
      expected: "\(expected), or \(TOMLText.quoted(word))",
      read: { node, mistakes in
        if case .string(word) = node.value { return .some(nil) }
        return read(node, &mistakes).map(Optional.some)
      }, text: { $0.flatMap(text) ?? TOMLText.quoted(word) })
  }
}

extension Form<Bool> {
  static let boolean = Form(
    "true or false",
    read: {
      if case .boolean(let value) = $0.value { return value }
      return nil
    }, text: { $0 ? "true" : "false" })

  /// Of which only "true" says something.
  static let flag = Form("true or false", read: { boolean.read($0) }, text: { $0 ? "true" : nil })

  private func read(_ node: TOMLNode) -> Bool? {
    var none: [Mistake] = []
    return read(node, &none)
  }
}

extension Form<Int> {
  static func whole(_ range: ClosedRange<Int>) -> Form {
    Form(
      "a whole number from \(range.lowerBound) to \(range.upperBound)",
      read: {
        guard case .integer(let value) = $0.value, let value = Int(exactly: value), range.contains(value) else {
          return nil
        }
        return value
      }, text: { String($0) })
  }

  /// Bytes: a number, or a text with a unit.
  static func bytes(_ range: ClosedRange<Int>) -> Form {
    Form(
      "a size from \(Size.text(range.lowerBound)) to \(Size.text(range.upperBound))",
      read: {
        let value: Int? =
          switch $0.value {
          case .integer(let value): Int(exactly: value)
          case .string(let text): Size.bytes(text)
          default: nil
          }
        return value.flatMap { range.contains($0) ? $0 : nil }
      }, text: Size.text)
  }
}

extension Form<Double> {
  static func number(_ range: ClosedRange<Double>) -> Form {
    Form(
      "a number from \(TOMLText.number(range.lowerBound)) to \(TOMLText.number(range.upperBound))",
      read: {
        let value: Double? =
          switch $0.value {
          case .integer(let value): Double(value)
          case .float(let value): value
          default: nil
          }
        return value.flatMap { range.contains($0) ? $0 : nil }
      }, text: TOMLText.number)
  }
}

extension Form<Duration> {
  /// A text such as "10s"; a bare number is seconds.
  static func time(_ range: ClosedRange<Duration>) -> Form {
    Form(
      "a time from \(TimeText.text(range.lowerBound)) to \(TimeText.text(range.upperBound))",
      read: {
        let value: Duration? =
          switch $0.value {
          case .integer(let value): TimeText.seconds(Double(value))
          case .float(let value): TimeText.seconds(value)
          case .string(let text): TimeText.duration(text)
          default: nil
          }
        return value.flatMap { range.contains($0) ? $0 : nil }
      }, text: TimeText.text)
  }
}

extension Form<String> {
  /// A text that is not empty and holds no control characters, such as it may go into a line of a log.
  /// - Parameter fits: whether it is what is expected, beyond that.
  static func string(_ expected: String, where fits: @escaping @Sendable (String) -> Bool = { _ in true }) -> Form {
    Form(
      expected,
      read: {
        guard case .string(let text) = $0.value, !text.isEmpty, !text.unicodeScalars.contains(where: \.isControl),
          fits(text)
        else { return nil }
        return text
      }, text: TOMLText.quoted)
  }

  static let path = string("an absolute path") { $0.hasPrefix("/") }

  /// A glob, of whose mistakes each is told.
  static let pattern = Form(
    expected: "a glob, as in \"nginx*\"",
    read: { node, mistakes in
      guard let text = string("").read(node, &mistakes) else { return nil }
      guard let wrong = Pattern.mistake(in: text) else { return text }
      mistakes.append(Mistake(place: node.place, message: "\(node.shown) is no glob: \(wrong)"))
      return nil
    }, text: TOMLText.quoted)
}

extension Form {
  /// One of some words.
  static func word(_ raw: KeyValuePairs<String, Value>) -> Form where Value: Equatable {
    let words = raw.map { (word: $0.key, value: $0.value) }
    return Form(
      "one of " + words.map { TOMLText.quoted($0.word) }.joined(separator: ", "),
      read: { node in
        guard case .string(let text) = node.value else { return nil }
        return words.first { $0.word == text }?.value
      }, text: { value in words.first { $0.value == value }.map { TOMLText.quoted($0.word) } })
  }

  static func word() -> Form where Value: RawRepresentable<String> & CaseIterable & Equatable {
    let words = Value.allCases.map { TOMLText.quoted($0.rawValue) }.joined(separator: ", ")
    return Form(
      "one of \(words)",
      read: { node in
        guard case .string(let text) = node.value else { return nil }
        return Value(rawValue: text)
      }, text: { TOMLText.quoted($0.rawValue) })
  }

  /// A list, of which each element that is not as expected is told. One element may stand for a list of one.
  static func list<Element>(of form: Form<Element>) -> Form where Value == [Element] {
    Form(
      expected: "a list; in it: \(form.expected)",
      read: { node, mistakes in
        guard case .array(let elements) = node.value else {
          if case .string = node.value { return form.read(node, &mistakes).map { [$0] } }
          return nil
        }
        return form.readAll(elements, in: node.key, &mistakes)
      }, text: { "[" + $0.compactMap(form.text).joined(separator: ", ") + "]" })
  }

  /// All or, where one is wrong, none.
  func readAll(_ elements: [TOMLNode], in key: String, _ mistakes: inout [Mistake]) -> [Value]? {
    let before = mistakes.count
    let values = elements.compactMap { element in
      read(element, named: key.isEmpty ? "an element" : "an element of \(key.printable)", &mistakes)
    }
    return mistakes.count == before ? values : nil
  }

  /// Reads, and says what is expected where nothing better was said.
  func read(_ node: TOMLNode, named name: String, _ mistakes: inout [Mistake]) -> Value? {
    let before = mistakes.count
    if let value = read(node, &mistakes) { return value }
    if mistakes.count == before {
      mistakes.append(Mistake(place: node.place, message: "\(name) cannot be \(node.shown); expected \(expected)"))
    }
    return nil
  }
}

extension Form<[String: String]> {
  /// A table whose keys are free.
  static let labels = Form(
    expected: "a table of texts, as in { team = \"web\" }",
    read: { node, mistakes in
      guard case .table(let members) = node.value else { return nil }
      let before = mistakes.count
      var labels: [String: String] = [:]
      for member in members {
        if member.key.isEmpty || member.key.unicodeScalars.contains(where: \.isControl) {
          mistakes.append(
            Mistake(place: member.keyPlace, message: "a label is named \"\"; expected a name of letters and digits"))
        }
        labels[member.key] = Form<String>.string("a text").read(
          member, named: "the label \(member.key.printable)", &mistakes)
      }
      return mistakes.count == before ? labels : nil
    }, text: { _ in nil })
}

extension TOMLNode {
  /// What was written, as short as it takes to find it.
  var shown: String {
    switch value {
    case .string(let text):
      text.count > 60 ? TOMLText.quoted(String(text.prefix(60))) + "…" : TOMLText.quoted(text)
    case .integer(let value): String(value)
    case .float(let value): TOMLText.number(value)
    case .boolean(let value): value ? "true" : "false"
    case .date: "a date"
    case .array: "a list"
    case .table: "a table"
    }
  }
}

extension Unicode.Scalar {
  var isControl: Bool { value < 0x20 || (0x7f..<0xa0).contains(value) }
}
