// SPDX-License-Identifier: Apache-2.0
// Writing JSON (RFC 8259): one object on one line, its members in the order in which they are added.

import Descriptors

/// An object under construction.
package struct JSONObject: Sendable {
  private var text = ""

  package init() {}

  /// The object on one line, without a line end.
  package var line: String { "{\(text)}" }

  /// Adds a member whose value is JSON already.
  package mutating func add(_ key: String, json value: String) {
    if !text.isEmpty { text += "," }
    text += JSONObject.quoted(key) + ":" + value
  }

  package mutating func add(_ key: String, _ value: String?) { add(key, json: value.map(JSONObject.quoted) ?? "null") }
  package mutating func add(_ key: String, _ value: some FixedWidthInteger) { add(key, json: String(value)) }
  package mutating func add(_ key: String, _ value: Double?) { add(key, json: value.map(JSONObject.number) ?? "null") }
  package mutating func add(_ key: String, _ values: [String]) {
    add(key, json: "[" + values.map(JSONObject.quoted).joined(separator: ",") + "]")
  }

  /// Up to three digits behind the point. JSON knows no infinity.
  package static func number(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    // Beyond that there are no three digits, and the product may be infinite.
    guard abs(value) < 1e12 else { return String(value) }
    let rounded = (value * 1000).rounded() / 1000
    return rounded == rounded.rounded() ? String(Int64(rounded)) + ".0" : String(rounded)
  }

  /// A string with its quotes. What is hidden is escaped, so that a line stays a line on any terminal, and reads as what
  /// it is.
  package static func quoted(_ value: String) -> String {
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case let scalar where scalar.isHidden:
        for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
          let digits = String(unit, radix: 16)
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
