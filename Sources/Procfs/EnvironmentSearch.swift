// SPDX-License-Identifier: Apache-2.0
// One variable of an environment that is read piece by piece. See proc_pid_environ(5).

/// Looks for `NAME=value` among texts that end with a zero byte, and keeps no more than one of them.
struct EnvironmentSearch {
  private let key: [UInt8]
  /// What the current text has so far; `nil` once it cannot be the one.
  private var text: [UInt8]? = []

  /// Longer than any address of a profile: a path has 4,095 bytes at most.
  static let longestValue = 4096

  init(for name: String) { key = Array((name + "=").utf8) }

  /// - Returns: the value, if it ends within these bytes.
  mutating func take(_ bytes: [UInt8]) -> String? {
    for byte in bytes {
      if byte == 0 {
        if let value = end() { return value }
      } else if let count = text?.count {
        let fits = count < key.count ? byte == key[count] : count < key.count + Self.longestValue
        if fits { text?.append(byte) } else { text = nil }
      }
    }
    return nil
  }

  /// The value, if the current text, which ends here, is the one.
  mutating func end() -> String? {
    defer { text = [] }
    guard let text, text.count >= key.count else { return nil }
    return text[key.count...].text
  }
}
