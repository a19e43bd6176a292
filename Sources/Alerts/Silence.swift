// SPDX-License-Identifier: Apache-2.0
// What nobody wants to hear of for a while, and why.

/// Alerts of a unit, or of a command's name, that are shown but not told.
package struct Silence: Sendable, Equatable, Codable {
  /// A unit, or the name of a command; `*` stands for anything.
  package var subject: String
  /// Seconds since 1970.
  package var until: Double
  package var reason: String
  package var by: String

  package init(subject: String, until: Double, reason: String, by: String) {
    (self.subject, self.until, self.reason, self.by) = (subject, until, reason, by)
  }

  package func covers(_ alert: Alert, at now: Double) -> Bool {
    if now >= until { return false }
    let names = [alert.unit] + alert.members.prefix(1).map(\.process.command)
    return names.compactMap { $0 }.contains { name in
      Self.fits(subject[...], name[...]) || Self.fits((subject + ".service")[...], name[...])
    }
  }

  private static func fits(_ pattern: Substring, _ text: Substring) -> Bool {
    guard let star = pattern.firstIndex(of: "*") else { return pattern == text }
    guard text.hasPrefix(pattern[..<star]) else { return false }
    let rest = pattern[pattern.index(after: star)...]
    var tail = text.dropFirst(pattern[..<star].count)
    while true {
      if fits(rest, tail) { return true }
      if tail.isEmpty { return false }
      tail = tail.dropFirst()
    }
  }
}
