// SPDX-License-Identifier: Apache-2.0
// The bytes between the daemon and its helper. What comes from the helper comes from who may have taken it over: so a
// reader has an answer, or this error, for all bytes, and no number makes it allocate more than there are bytes.

package struct WireError: Error, Equatable {}

/// Writes numbers in groups of seven bits, the least first, and texts behind their length.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func write(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// Not below zero.
  mutating func write(_ number: Int) { write(UInt64(max(0, number))) }

  mutating func write(_ flag: Bool) { bytes.append(flag ? 1 : 0) }

  mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

  mutating func write(_ text: String) {
    write(text.utf8.count)
    bytes.append(contentsOf: text.utf8)
  }
}

struct WireReader {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  /// Each thing that is read takes a byte at least.
  var left: Int { bytes.count - position }

  mutating func number() throws(WireError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count, shift < 70 {
      let byte = bytes[position]
      position += 1
      if shift == 63, byte > 1 { throw WireError() }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw WireError()
  }

  mutating func number(_ range: ClosedRange<Int>) throws(WireError) -> Int {
    guard let value = Int(exactly: try number()), range.contains(value) else { throw WireError() }
    return value
  }

  mutating func flag() throws(WireError) -> Bool { try number(0...1) == 1 }

  /// - Parameter most: of them.
  mutating func bytes(_ most: Int) throws(WireError) -> [UInt8] {
    let count = try number(0...most)
    guard count <= left else { throw WireError() }
    defer { position += count }
    return Array(bytes[position..<position + count])
  }

  /// - Parameter most: bytes.
  mutating func text(_ most: Int) throws(WireError) -> String {
    let count = try number(0...most)
    guard count <= left else { throw WireError() }
    defer { position += count }
    return String(decoding: bytes[position..<position + count], as: UTF8.self)
  }
}
