// SPDX-License-Identifier: Apache-2.0
// Reading JSON (RFC 8259) from bytes, value by value: traces are long, and a tree of each line would cost more than
// all that is done with it. Every byte sequence has an answer: a value or an error.

/// Why a line could not be read.
struct JSONError: Error, Equatable {
  var what: String
  /// In bytes from the beginning of the line, counted from 1.
  var column: Int
}

/// Reads one JSON text from left to right.
struct JSONScanner {
  private let bytes: ArraySlice<UInt8>
  private var position: Int

  /// Deeper nesting than any trace has is an attack, not a trace.
  private static let deepest = 16

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  func error(_ what: String) -> JSONError { JSONError(what: what, column: position - bytes.startIndex + 1) }

  private mutating func skipBlanks() {
    while position < bytes.endIndex {
      switch bytes[position] {
      case 0x20, 0x09, 0x0a, 0x0d: position += 1
      default: return
      }
    }
  }

  private mutating func peek() -> UInt8? {
    skipBlanks()
    return position < bytes.endIndex ? bytes[position] : nil
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ byte: UInt8) throws(JSONError) {
    if !take(byte) { throw error("expected '\(Character(Unicode.Scalar(byte)))'") }
  }

  /// Nothing may follow.
  mutating func end() throws(JSONError) {
    if peek() != nil { throw error("something follows the value") }
  }

  /// Calls `member` for each member of an object, which must read its value.
  mutating func object(
    _ member: (inout JSONScanner, _ key: String) throws(JSONError) -> Void
  ) throws(JSONError) {
    try expect(UInt8(ascii: "{"))
    if take(UInt8(ascii: "}")) { return }
    repeat {
      let key = try string()
      try expect(UInt8(ascii: ":"))
      try member(&self, key)
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"))
  }

  /// Calls `element` for each element of an array, which must read it.
  mutating func array(_ element: (inout JSONScanner) throws(JSONError) -> Void) throws(JSONError) {
    try expect(UInt8(ascii: "["))
    if take(UInt8(ascii: "]")) { return }
    repeat { try element(&self) } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"))
  }

  /// The next element of an array whose elements have different types: what stands between its brackets.
  mutating func open() throws(JSONError) { try expect(UInt8(ascii: "[")) }
  mutating func comma() throws(JSONError) { try expect(UInt8(ascii: ",")) }
  /// Whether another element follows; steps to it.
  mutating func more() -> Bool { take(UInt8(ascii: ",")) }
  /// Skips elements that a newer version has added, and the closing bracket.
  mutating func close() throws(JSONError) {
    while take(UInt8(ascii: ",")) { try skip() }
    try expect(UInt8(ascii: "]"))
  }

  mutating func string() throws(JSONError) -> String {
    try expect(UInt8(ascii: "\""))
    let start = position
    while position < bytes.endIndex {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        defer { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
      case UInt8(ascii: "\\"): return try escapedString(from: start)
      case ..<0x20: throw error("a control character in a string")
      default: position += 1
      }
    }
    throw error("the line ends within a string")
  }

  private mutating func escapedString(from start: Int) throws(JSONError) -> String {
    var text = Array(bytes[start..<position])
    while position < bytes.endIndex {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
      case ..<0x20: throw error("a control character in a string")
      default: text.append(byte)
      }
    }
    throw error("the line ends within a string")
  }

  private mutating func escape() throws(JSONError) -> Unicode.Scalar {
    guard position < bytes.endIndex else { throw error("the line ends within a string") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw error("no such escape")
    }
  }

  private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let high = try fourDigits()
    if let scalar = Unicode.Scalar(high) { return scalar }
    // A pair of surrogates, or half of one, which stands for nothing.
    let rest = bytes[position...]
    guard (0xd800..<0xdc00).contains(high), rest.starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
      return "\u{fffd}"
    }
    position += 2
    let low = try fourDigits()
    guard (0xdc00..<0xe000).contains(low) else { return Unicode.Scalar(low) ?? "\u{fffd}" }
    return Unicode.Scalar(0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)) ?? "\u{fffd}"
  }

  private mutating func fourDigits() throws(JSONError) -> UInt32 {
    guard bytes.endIndex - position >= 4,
      let value = UInt32(String(decoding: bytes[position..<(position + 4)], as: UTF8.self), radix: 16)
    else { throw error("\\u takes four hexadecimal digits") }
    position += 4
    return value
  }

  mutating func boolean() throws(JSONError) -> Bool {
    _ = peek()
    for (word, value) in [("true", true), ("false", false)] where bytes[position...].starts(with: word.utf8) {
      position += word.utf8.count
      return value
    }
    throw error("expected true or false")
  }

  /// An integer that fits, such as a descriptor's number.
  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(JSONError) -> Value {
    let isNegative = take(UInt8(ascii: "-"))
    guard let first = peek(), first >= 0x30, first <= 0x39 else { throw error("expected a whole number") }
    var value: UInt64 = 0
    while position < bytes.endIndex, bytes[position] >= 0x30, bytes[position] <= 0x39 {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(bytes[position] - 0x30))
      if overflow || carry { throw error("the number is too large") }
      value = sum
      position += 1
    }
    if position < bytes.endIndex, [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(bytes[position]) {
      throw error("expected a whole number")
    }
    if isNegative {
      guard value <= Int64.min.magnitude, let signed = Value(exactly: Int64(truncatingIfNeeded: 0 &- value)) else {
        throw error("the number is out of range")
      }
      return signed
    }
    guard let unsigned = Value(exactly: value) else { throw error("the number is out of range") }
    return unsigned
  }

  /// Any number.
  mutating func number() throws(JSONError) -> Double {
    _ = peek()
    let start = position
    while position < bytes.endIndex {
      switch bytes[position] {
      case 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
        position += 1
      default:
        guard let value = Self.double(bytes[start..<position]) else { throw error("expected a number") }
        return value
      }
    }
    throw error("the line ends within a number")
  }

  private static func double(_ text: ArraySlice<UInt8>) -> Double? {
    guard let first = text.first, first == UInt8(ascii: "-") || (first >= 0x30 && first <= 0x39), text.count <= 40,
      let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite
    else { return nil }
    return value
  }

  /// `null`, if that is what comes.
  mutating func null() -> Bool {
    guard peek() == UInt8(ascii: "n"), bytes[position...].starts(with: "null".utf8) else { return false }
    position += 4
    return true
  }

  /// Passes over a value of any type.
  mutating func skip(depth: Int = 0) throws(JSONError) {
    if depth > Self.deepest { throw error("nested too deeply") }
    switch peek() {
    case UInt8(ascii: "{"): try object { (scanner, _) throws(JSONError) in try scanner.skip(depth: depth + 1) }
    case UInt8(ascii: "["): try array { (scanner) throws(JSONError) in try scanner.skip(depth: depth + 1) }
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "t"): try word("true")
    case UInt8(ascii: "f"): try word("false")
    case UInt8(ascii: "n"): try word("null")
    default: _ = try number()
    }
  }

  private mutating func word(_ word: String) throws(JSONError) {
    guard bytes[position...].starts(with: word.utf8) else { throw error("expected a value") }
    position += word.utf8.count
  }
}
