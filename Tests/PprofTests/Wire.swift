// SPDX-License-Identifier: Apache-2.0
// A message of protocol buffers, byte by byte: to write what a producer, or an attacker, would.

struct Wire {
  var bytes: [UInt8] = []

  static func varint(_ value: UInt64) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  mutating func number(_ field: UInt64, _ value: UInt64) { bytes += Self.varint(field << 3) + Self.varint(value) }

  mutating func block(_ field: UInt64, _ content: [UInt8]) {
    bytes += Self.varint(field << 3 | 2) + Self.varint(UInt64(content.count)) + content
  }

  mutating func message(_ field: UInt64, _ build: (inout Wire) -> Void) {
    var inner = Wire()
    build(&inner)
    block(field, inner.bytes)
  }

  mutating func packed(_ field: UInt64, _ values: [UInt64]) { block(field, values.flatMap(Self.varint)) }
  mutating func strings(_ texts: [String]) { for text in texts { block(6, Array(text.utf8)) } }
}
