// SPDX-License-Identifier: Apache-2.0
// Values as TOML text. Kept to what is JSON too, so that both outputs share it.

import Descriptors

enum TOMLText {
  /// A string with its quotes. What could act on a terminal or hide there is escaped.
  static func quoted(_ value: String) -> String {
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case let scalar where scalar.isControl || (scalar.value <= 0xffff && String(scalar).printable != String(scalar)):
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }

  static func number(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
  }

  /// A key: bare where it can be.
  static func key(_ name: String) -> String {
    let isBare =
      !name.isEmpty
      && name.utf8.allSatisfy { byte in
        switch UInt8(byte) {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
    return isBare ? name : quoted(name)
  }
}

/// `250ms`, `10s`, `90min`, `4h`, `7d`.
enum TimeText {
  private static let units: [(suffix: String, milliseconds: Int64)] = [
    ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("ms", 1), ("m", 60_000), ("s", 1000),
  ]

  static func duration(_ text: String) -> Duration? {
    guard let first = text.first, first.isASCII, first.isNumber else { return nil }
    let unit = units.first { text.hasSuffix($0.suffix) }
    let figures = text.dropLast(unit?.suffix.count ?? 0)
    guard figures.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let number = Double(figures) else {
      return nil
    }
    return seconds(number * Double(unit?.milliseconds ?? 1000) / 1000)
  }

  /// To a millisecond. `nil` for what is no time of this world.
  static func seconds(_ number: Double) -> Duration? {
    number.isFinite && number >= 0 && number < 1e9 ? .milliseconds(Int64((number * 1000).rounded())) : nil
  }

  /// In the largest unit that tells it exactly, with quotes.
  static func text(_ duration: Duration) -> String {
    let milliseconds = Int64((duration / .milliseconds(1)).rounded())
    let exact: [(suffix: String, milliseconds: Int64)] = [
      ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1),
    ]
    let unit = exact.first { milliseconds >= $0.milliseconds && milliseconds % $0.milliseconds == 0 }
    return "\"\(milliseconds / (unit?.milliseconds ?? 1))\(unit?.suffix ?? "ms")\""
  }
}

/// `4MiB`, `500kB`.
enum Size {
  private static let units: [(suffix: String, bytes: Double)] = [
    ("GiB", 0x1p30), ("MiB", 0x1p20), ("KiB", 0x1p10), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("G", 0x1p30),
    ("M", 0x1p20), ("K", 0x1p10), ("B", 1),
  ]

  static func bytes(_ text: String) -> Int? {
    guard let first = text.first, first.isASCII, first.isNumber else { return nil }
    let unit = units.first { text.hasSuffix($0.suffix) }
    let figures = text.dropLast(unit?.suffix.count ?? 0)
    guard figures.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let number = Double(figures),
      number * (unit?.bytes ?? 1) < 1e15
    else { return nil }
    return Int((number * (unit?.bytes ?? 1)).rounded())
  }

  /// In the largest unit that tells it exactly.
  static func text(_ bytes: Int) -> String {
    let unit = units.prefix(3).first { bytes >= Int($0.bytes) && bytes % Int($0.bytes) == 0 }
    guard let unit else { return String(bytes) }
    return "\"\(bytes / Int(unit.bytes))\(unit.suffix)\""
  }
}
