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

  /// With and without `.service` it is the same.
  func isOfSame(_ other: Silence) -> Bool {
    func plain(_ subject: String) -> Substring { subject.hasSuffix(".service") ? subject.dropLast(8) : subject[...] }
    return plain(subject) == plain(other.subject)
  }

  package func covers(_ alert: Alert, at now: Double) -> Bool {
    if now >= until { return false }
    let names = [alert.unit] + alert.members.prefix(1).map(\.process.command)
    return names.compactMap { $0 }.contains { name in
      Self.fits(subject[...], name[...]) || Self.fits((subject + ".service")[...], name[...])
    }
  }

  private static func fits(_ pattern: Substring, _ text: Substring) -> Bool {
    var parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
    let last = parts.removeLast()
    guard let first = parts.first else { return last == text }
    guard text.hasPrefix(first) else { return false }
    // Each part as early as it can be leaves the most for the next.
    var tail = text.dropFirst(first.count)
    for part in parts.dropFirst() where !part.isEmpty {
      while !tail.hasPrefix(part) {
        if tail.isEmpty { return false }
        tail = tail.dropFirst()
      }
      tail = tail.dropFirst(part.count)
    }
    return tail.count >= last.count && tail.hasSuffix(last)
  }
}
