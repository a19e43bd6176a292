// SPDX-License-Identifier: Apache-2.0
// Ages in logarithmic bins: all that is kept of descriptors that were closed.

/// How many descriptors reached which age, in bins of half an octave.
///
/// Bin `i` holds ages from `0.25 s × √2^i`; the last one all above 37 days. Half an octave is finer than what two polls
/// can tell of an age below ten intervals, and coarse enough that a day's lifetimes fit in 50 numbers.
struct AgeHistogram: Sendable, Equatable {
  static let binCount = 48
  /// Width of a bin in natural logarithms of age.
  static let width = 0.34657359027997264

  private(set) var counts = [UInt16](repeating: 0, count: binCount)
  private(set) var total = 0

  static func bin(_ age: Double) -> Int {
    guard age > 0.25 else { return 0 }
    // Twice the binary logarithm, exact to a bin: the exponent, and one more where the significand is above √2.
    let scaled = age * 4
    return min(2 * Int(scaled.exponent) + (scaled.significand >= 1.4142135623730951 ? 1 : 0), binCount - 1)
  }

  /// The age at which a bin begins, in seconds.
  static func lowerBound(_ bin: Int) -> Double {
    let octaves = Double(sign: .plus, exponent: bin / 2, significand: 0.25)
    return bin % 2 == 0 ? octaves : octaves * 1.4142135623730951
  }

  mutating func add(_ age: Double) {
    let bin = Self.bin(age)
    if counts[bin] == .max { halve() }
    counts[bin] += 1
    total += 1
  }

  mutating func merge(_ other: AgeHistogram) {
    while zip(counts, other.counts).contains(where: { Int($0) + Int($1) > Int(UInt16.max) }) { halve() }
    for bin in counts.indices { counts[bin] = UInt16(clamping: Int(counts[bin]) + Int(other.counts[bin])) }
    total = counts.reduce(0) { $0 + Int($1) }
  }

  /// Forgets half. What counts is the shape, and the newer half of a long life tells more of the present.
  private mutating func halve() {
    for bin in counts.indices { counts[bin] /= 2 }
    total = counts.reduce(0) { $0 + Int($1) }
  }
}
