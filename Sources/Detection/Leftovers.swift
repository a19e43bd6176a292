// SPDX-License-Identifier: Apache-2.0
// What a process still held when it exited: evidence of a leak that is too slow, or too short-lived, for one process alone.

import Descriptors

/// The survivors of one class at the end of its process.
package struct Leftovers: Sendable, Equatable, Codable {
  package var kind: Kind
  package var target: String?
  /// Open descriptors of known age beyond the class's ordinary lifetime.
  package var survivors: Int
  /// Logarithm of the likelihood ratio that they are a second population, which is not closed: see README.md, "Survivors".
  package var evidence: Double
  /// Where in the span that was watched they were opened, 0…1 each, added up; with ``survivors`` their mean.
  package var placesSum: Double
  /// Thirds of that span in which any was opened, as bits.
  package var thirds: UInt8
  /// The span, in seconds.
  package var span: Double

  package init(
    kind: Kind, target: String?, survivors: Int, evidence: Double, placesSum: Double, thirds: UInt8, span: Double
  ) {
    (self.kind, self.target, self.survivors, self.evidence) = (kind, target, survivors, evidence)
    (self.placesSum, self.thirds, self.span) = (placesSum, thirds, span)
  }
}

extension Detector {
  /// Of each class that has any. To be asked when the process has exited.
  package var leftovers: [Leftovers] {
    classes.indices.compactMap { index in
      var open = [UInt16](repeating: 0, count: AgeHistogram.binCount)
      var births: [Double] = []
      for entry in ledger.entries where entry.classIndex == index && !entry.marks.contains(.isInitial) {
        let bin = AgeHistogram.bin(lastMoment - entry.born)
        if open[bin] < .max { open[bin] += 1 }
        births.append(entry.born)
      }
      guard !births.isEmpty else { return nil }
      let record = classes[index]
      let survival = Survival(open: open, closed: record.closed, closedInitial: record.closedInitial)
      let span = lastMoment - survival.threshold
      guard survival.evidence > 0, span > 0 else { return nil }
      let places = births.filter { lastMoment - $0 >= survival.threshold }.map { min(max($0 / span, 0), 1) }
      guard !places.isEmpty else { return nil }
      return Leftovers(
        kind: record.kind, target: record.displayTarget, survivors: places.count, evidence: survival.evidence,
        placesSum: places.reduce(0, +),
        thirds: places.reduce(0) { $0 | 1 << UInt8(clamping: min($1 * 3, 2)) }, span: span)
    }
  }
}
