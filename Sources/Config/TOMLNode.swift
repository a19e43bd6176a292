// SPDX-License-Identifier: Apache-2.0
// A TOML document as a tree of values, each with its place. The one place where the parser's memory is touched.

import CToml

/// Line and column in a file, both from 1; columns count characters. Line 0: the file as a whole.
package struct Place: Sendable, Equatable, Comparable {
  package var line: Int
  package var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  package static func < (one: Place, other: Place) -> Bool { (one.line, one.column) < (other.line, other.column) }
}

struct TOMLNode {
  indirect enum Value {
    case string(String)
    case integer(Int64)
    case float(Double)
    case boolean(Bool)
    /// A date, a time, or both: no setting is one.
    case date
    case array([TOMLNode])
    case table([TOMLNode])
  }

  /// Its key in a table; empty in a list.
  var key: String
  var keyPlace: Place
  var place: Place
  var value: Value
}

/// Why a text is no TOML.
struct TOMLError: Error, Equatable {
  var what: String
  var place: Place

  /// More bytes than this are not looked at.
  static let mostBytes = Int(fdwatch_toml_max_bytes)
}

extension TOMLNode {
  /// The members of the document's own table.
  static func members(of text: [UInt8]) throws(TOMLError) -> [TOMLNode] {
    let document = unsafe text.withUnsafeBytes {
      unsafe fdwatch_toml_parse($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
    }
    guard let document = unsafe document else {
      throw TOMLError(what: "there is no memory to read it", place: Place(line: 0, column: 0))
    }
    defer { unsafe fdwatch_toml_free(document) }
    var place = fdwatch_toml_place()
    if let error = unsafe fdwatch_toml_error(document, &place) {
      throw TOMLError(what: sentence(unsafe String(cString: error)), place: Place(place))
    }
    let values = unsafe UnsafeBufferPointer(
      start: fdwatch_toml_values(document), count: fdwatch_toml_count(document))
    return unsafe children(of: 0, in: values)
  }

  /// The parser's words without what it does ("Error while parsing string: ") and without names of its own.
  private static func sentence(_ error: String) -> String {
    let beginning = "Error while parsing "
    guard error.hasPrefix(beginning), let colon = error.firstIndex(of: ":") else { return error }
    let subject = error[..<colon].dropFirst(beginning.count)
    let rest = error[colon...].dropFirst(2).replacing(" (TOML_MAX_NESTED_VALUES)", with: "")
    return "not TOML: \(rest) (\(subject))"
  }

  private static func children(of index: Int, in values: UnsafeBufferPointer<fdwatch_toml_value>) -> [TOMLNode] {
    let end = unsafe index + Int(values[index].within)
    var nodes: [TOMLNode] = []
    var next = index + 1
    while next <= end {
      let raw = unsafe values[next]
      nodes.append(
        unsafe TOMLNode(
          key: text(raw.key, raw.key_length), keyPlace: Place(raw.key_place), place: Place(raw.place),
          value: value(raw, at: next, in: values)))
      unsafe next += 1 + Int(raw.within)
    }
    return nodes
  }

  private static func value(
    _ raw: fdwatch_toml_value, at index: Int, in values: UnsafeBufferPointer<fdwatch_toml_value>
  ) -> Value {
    switch unsafe raw.type {
    case fdwatch_toml_string: unsafe .string(text(raw.text, raw.text_length))
    case fdwatch_toml_integer: unsafe .integer(raw.integer)
    case fdwatch_toml_float: unsafe .float(raw.number)
    case fdwatch_toml_boolean: unsafe .boolean(raw.integer != 0)
    case fdwatch_toml_array: unsafe .array(children(of: index, in: values))
    case fdwatch_toml_table: unsafe .table(children(of: index, in: values))
    default: .date
    }
  }

  private static func text(_ start: UnsafePointer<CChar>?, _ length: Int) -> String {
    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: length)
    return unsafe String(decoding: bytes, as: UTF8.self)
  }
}

extension Place {
  fileprivate init(_ place: fdwatch_toml_place) { self.init(line: Int(place.line), column: Int(place.column)) }
}
