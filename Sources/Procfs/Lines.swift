// SPDX-License-Identifier: Apache-2.0
// Taking apart what the kernel prints. Every parser here has an answer for all bytes.

/// The lines of a text file, without their ends.
func lines(_ text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
  text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)
}

/// Words between spaces and tabs.
func words(_ line: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
  line.split(whereSeparator: isBlank)
}

func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

extension ArraySlice<UInt8> {
  /// The bytes as text; what is not UTF-8 becomes U+FFFD.
  var text: String { String(decoding: self, as: UTF8.self) }

  var trimmed: ArraySlice<UInt8> {
    guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
      return self[endIndex...]
    }
    return self[first...last]
  }

  /// A number without sign, or `nil` if there is anything else or if it does not fit.
  func unsigned(radix: UInt64 = 10) -> UInt64? {
    guard !isEmpty else { return nil }
    var value: UInt64 = 0
    for byte in self {
      guard let digit = byte.digit, digit < radix else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: radix)
      let (sum, carry) = product.addingReportingOverflow(digit)
      if overflow || carry { return nil }
      value = sum
    }
    return value
  }

  /// A decimal number with an optional minus sign.
  var signed: Int64? {
    if first == UInt8(ascii: "-") { return dropFirst().unsigned().flatMap { Int64(exactly: $0) }.map { -$0 } }
    return unsigned().flatMap { Int64(exactly: $0) }
  }

  /// What follows a prefix, or `nil` if it does not begin so.
  func after(_ prefix: String) -> ArraySlice<UInt8>? {
    starts(with: prefix.utf8) ? dropFirst(prefix.utf8.count) : nil
  }
}

extension UInt8 {
  /// The value of a digit in any radix up to 16.
  var digit: UInt64? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(self - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(self - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(self - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
