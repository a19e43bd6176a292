// SPDX-License-Identifier: Apache-2.0
// What a census needs of fdinfo, and nothing else: it is read for every new descriptor, so no string is formed.

/// The common lines of `fdinfo`, and what tells eventfds apart. ``DescriptorDetails`` has all the rest.
struct DescriptorEssentials {
  var position: Int64 = 0
  var flags: UInt32 = 0
  var mountID: Int32?
  var inode: UInt64?
  var eventfdID: Int64?

  init() {}

  init(fdinfo text: Span<UInt8>) {
    var start = 0
    while start < text.count {
      var end = start
      while end < text.count, text[end] != UInt8(ascii: "\n") { end += 1 }
      take(text.extracting(start..<end))
      start = end + 1
    }
  }

  private mutating func take(_ line: Span<UInt8>) {
    guard let first = line.count > 4 ? line[0] : nil else { return }
    switch first {
    case UInt8(ascii: "p"): if let value = Self.value("pos:", line) { position = Int64(bitPattern: value) }
    case UInt8(ascii: "f"):
      if let value = Self.value("flags:", line, radix: 8) { flags = UInt32(truncatingIfNeeded: value) }
    case UInt8(ascii: "m"): mountID = Self.value("mnt_id:", line).flatMap(Int32.init(exactly:)) ?? mountID
    case UInt8(ascii: "i"): inode = Self.value("ino:", line) ?? inode
    case UInt8(ascii: "e"): eventfdID = Self.value("eventfd-id:", line).flatMap(Int64.init(exactly:)) ?? eventfdID
    default: break
    }
  }

  /// The number behind a key; `nil` if it is another key, or no number.
  private static func value(_ key: StaticString, _ line: Span<UInt8>, radix: UInt64 = 10) -> UInt64? {
    let length = key.utf8CodeUnitCount
    guard line.count > length else { return nil }
    for index in 0..<length where unsafe key.utf8Start[index] != line[index] { return nil }
    var value: UInt64 = 0
    var digits = 0
    var isNegative = false
    for index in length..<line.count {
      let byte = line[index]
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\t"): if digits > 0 { return nil }
      case UInt8(ascii: "-") where digits == 0: isNegative = true
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        digits += 1
        value = value &* radix &+ UInt64(byte - UInt8(ascii: "0"))
      default: return nil
      }
    }
    return digits > 0 && digits < 23 ? (isNegative ? 0 &- value : value) : nil
  }
}
