// SPDX-License-Identifier: Apache-2.0
// A key of a table: its name, where its value goes, and of what form it is. All that is known of a setting in one line.

import Descriptors

struct Field<Owner: Sendable>: Sendable {
  /// With the tables that it stands in: `alerts.burst`.
  let name: String
  let expected: String
  /// Takes the value in. Says whether it could.
  let read: @Sendable (TOMLNode, inout Owner, inout [Mistake]) -> Bool
  /// The value as TOML; `nil` if it is not set.
  let text: @Sendable (Owner) -> String?
  /// The members of a table whose keys are free: each is a setting of its own.
  let members: (@Sendable (Owner) -> [String: String])?

  init<Value: Sendable>(_ name: String, _ path: any WritableKeyPath<Owner, Value> & Sendable, _ form: Form<Value>) {
    self.name = name
    expected = form.expected
    read = { node, owner, mistakes in
      guard let value = form.read(node, named: name, &mistakes) else { return false }
      owner[keyPath: path] = value
      return true
    }
    text = { form.text($0[keyPath: path]) }
    members = nil
  }

  init<Value: Sendable>(
    _ name: String, _ path: any WritableKeyPath<Owner, Value?> & Sendable, optional form: Form<Value>
  ) {
    self.init(name, path, form.optional)
  }

  /// A table of labels, which a later file adds to.
  /// - Parameter emptyText: what is written where there is none.
  init(
    labels name: String, _ path: any WritableKeyPath<Owner, [String: String]> & Sendable, emptyText: String? = "{}"
  ) {
    self.name = name
    expected = Form<[String: String]>.labels.expected
    read = { node, owner, mistakes in
      guard let labels = Form<[String: String]>.labels.read(node, named: name, &mistakes) else { return false }
      owner[keyPath: path].merge(labels) { $1 }
      return true
    }
    text = { $0[keyPath: path].isEmpty ? emptyText : nil }
    members = { $0[keyPath: path].mapValues(TOMLText.quoted) }
  }

  /// A key of what is a part of the owner.
  init<Part: Sendable>(_ field: Field<Part>, of path: any WritableKeyPath<Owner, Part> & Sendable) {
    name = field.name
    expected = field.expected
    read = { node, owner, mistakes in field.read(node, &owner[keyPath: path], &mistakes) }
    text = { field.text($0[keyPath: path]) }
    if let inner = field.members {
      members = { inner($0[keyPath: path]) }
    } else {
      members = nil
    }
  }
}

/// A file's line.
struct Source: Sendable, Equatable {
  var path: String
  var line: Int

  var description: String { "\(path):\(line)" }
}

/// Where the values of a table came from, by name. What is missing is a default.
typealias Sources = [String: Source]

/// A table and the keys that it may have.
struct Schema<Owner: Sendable>: Sendable {
  let fields: [Field<Owner>]
  /// Names that are read elsewhere.
  var others: [String] = []

  private let byName: [String: Field<Owner>]
  private let tables: Set<String>

  init(_ fields: [Field<Owner>], others: [String] = []) {
    self.fields = fields
    self.others = others
    byName = Dictionary(uniqueKeysWithValues: fields.map { ($0.name, $0) })
    var tables: Set<String> = []
    for field in fields {
      for index in field.name.indices where field.name[index] == "." { tables.insert(String(field.name[..<index])) }
    }
    self.tables = tables
  }

  /// Takes in what a table says.
  /// - Parameter place: of the key, in a file.
  func read(
    _ members: [TOMLNode], into owner: inout Owner, _ sources: inout Sources, path: String, within table: String = "",
    _ mistakes: inout [Mistake]
  ) {
    for node in members {
      let name = table + node.key
      let isPlain = !node.key.contains(".")
      let source = Source(path: path, line: node.keyPlace.line)
      if isPlain, let field = byName[name] {
        guard field.read(node, &owner, &mistakes) else { continue }
        sources[name] = source
        guard case .table(let labels) = node.value, field.members != nil else { continue }
        for label in labels {
          sources["\(name).\(label.key)"] = Source(path: path, line: label.keyPlace.line)
        }
      } else if isPlain, tables.contains(name) {
        if case .table(let members) = node.value {
          read(members, into: &owner, &sources, path: path, within: name + ".", &mistakes)
        } else {
          mistakes.append(
            Mistake(place: node.place, message: "\(name) cannot be \(node.shown); expected a table, [\(name)]"))
        }
      } else if table.isEmpty, others.contains(name) {
        continue
      } else {
        // Of a file that is something else altogether the first hundred keys will do.
        mistakes.append(.warning(node.keyPlace, unknown(name, suggests: mistakes.count < 100)))
      }
    }
  }

  private func unknown(_ name: String, suggests: Bool) -> String {
    let what = "unknown key \(name.printable)"
    let known = fields.map(\.name) + tables + others
    guard suggests, let nearest = Spelling.nearest(to: name, among: known) else {
      return "\(what); it has no effect"
    }
    return "\(what); did you mean \(nearest)?"
  }

  /// All that is set, or would be by default, with what it is as TOML and where that came from.
  func settings(of owner: Owner, _ sources: Sources) -> [(key: String, value: String, source: Source?)] {
    fields.flatMap { field -> [(key: String, value: String, source: Source?)] in
      let own = field.text(owner).map { (key: field.name, value: $0, source: sources[field.name]) }
      let members = (field.members?(owner) ?? [:]).sorted { $0.key < $1.key }.map { label, value in
        (
          key: "\(field.name).\(TOMLText.key(label))", value: value, source: sources["\(field.name).\(label)"]
        )
      }
      return (own.map { [$0] } ?? []) + members
    }
  }
}

enum Spelling {
  /// What was probably meant: a name in which little is different, or the same word in another table.
  static func nearest(to name: String, among known: [String]) -> String? {
    let sameWord = known.filter { last($0) == last(name) }
    if sameWord.count == 1 { return sameWord[0] }
    let most = min(2, max(1, name.count / 3))
    let rated = known.map { (name: $0, distance: min(distance($0, name), distance(last($0), last(name)))) }
    let best = rated.min { ($0.distance, $0.name) < ($1.distance, $1.name) }
    return best.flatMap { $0.distance <= most ? $0.name : nil }
  }

  private static func last(_ name: String) -> String { String(name.split(separator: ".").last ?? "") }

  /// Levenshtein's: how many letters to add, to leave out, or to change.
  static func distance(_ one: String, _ other: String) -> Int {
    let (one, other) = (Array(one.unicodeScalars.prefix(64)), Array(other.unicodeScalars.prefix(64)))
    var row = Array(0...other.count)
    for (index, letter) in one.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for column in other.indices {
        let changed = diagonal + (letter == other[column] ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(changed, row[column] + 1, diagonal + 1)
      }
    }
    return row[other.count]
  }
}
