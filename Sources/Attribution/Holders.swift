// SPDX-License-Identifier: Apache-2.0
// What fills a table, leak or not: the classes that hold most and grow most, and the stacks that opened most.

import Descriptors
import Detection

/// Who holds the descriptors of a process.
package struct Holders: Sendable {
  /// The class with most of them.
  package var most: ClassReport?
  /// The one that grows fastest, where it grows at all.
  package var fastest: ClassReport?
  /// All that are open.
  package var open: Int
  /// The stacks by their share of all that are open, where a profile counts descriptors.
  package var blame: Blame?

  /// Less than this in a minute is no growth to speak of.
  private static let leastGrowth = 1.0

  init(_ reports: [ClassReport], open: Int, blame: Blame?) {
    (self.open, self.blame) = (open, blame)
    most = reports.max { $0.open < $1.open }
    fastest = reports.filter { $0.growth >= Self.leastGrowth }.max { $0.growth < $1.growth }
  }

  /// `812 of 1020 are tcp 10.0.0.5:5432`.
  package var sentences: [String] {
    guard let most else { return [] }
    var sentences = ["\(most.open) of \(max(open, most.open)) are \(most.name)"]
    if let fastest {
      let isSame = fastest.kind == most.kind && fastest.target == most.target
      let pace = Int(clamping: fastest.growth.rounded())
      sentences.append(
        isSame ? "they grow by \(pace)/min" : "\(fastest.name) grows fastest, by \(pace)/min to \(fastest.open)")
    }
    return sentences
  }
}

extension ClassReport {
  fileprivate var growth: Double { (openedPerMinute ?? 0) - (closedPerMinute ?? 0) }
  fileprivate var name: String { target.map { "\(kind.rawValue) \($0.printable)" } ?? kind.rawValue }
}
