// SPDX-License-Identifier: Apache-2.0
// Ages in logarithmic bins: all that is kept of descriptors that were closed.

import Glibc

/// How many descriptors were closed at which age, in bins of half an octave.
///
/// Bin `i` holds ages from `0.25 s × √2^i`; the last one all above 37 days. Half an octave is finer than what two polls
/// can tell of an age below ten intervals, and coarse enough that a day's lifetimes fit in 50 numbers.
struct AgeHistogram: Sendable, Equatable {
  static let binCount = 48
  /// Width of a bin in natural logarithms of age.
  static let width = 0.34657359027997264

  /// Decayed counts; empty until something was closed.
  private(set) var counts: [Float] = []
  /// All that were ever closed.
  private(set) var everClosed = 0
  private var decayedTo = 0.0

  /// What was closed at age `a` is forgotten over `32 a`, and over an hour at least: survivors of an age are compared
  /// with what was closed at such ages while they grew old, not with last month.
  private static let shortestMemory = 3600.0
  private static let memoryPerAge = 32.0
  /// Decay is applied when it amounts to something.
  private static let decayEvery = 120.0

  static let heapBytes = 32 + binCount * MemoryLayout<Float>.stride

  static func bin(_ age: Double) -> Int {
    guard age > 0.25 else { return 0 }
    // Twice the binary logarithm, exact to a bin: the exponent, and one more where the significand is above √2.
    let scaled = min(age, 1e12) * 4
    return min(2 * Int(scaled.exponent) + (scaled.significand >= 1.4142135623730951 ? 1 : 0), binCount - 1)
  }

  /// The age at which a bin begins, in seconds.
  static func lowerBound(_ bin: Int) -> Double {
    let octaves = Double(sign: .plus, exponent: bin / 2, significand: 0.25)
    return bin % 2 == 0 ? octaves : octaves * 1.4142135623730951
  }

  /// - Parameter time: now, in seconds since the watch began.
  mutating func add(_ age: Double, at time: Double) {
    decay(to: time)
    if counts.isEmpty {
      counts = [Float](repeating: 0, count: Self.binCount)
      decayedTo = time
    }
    counts[Self.bin(age)] += 1
    everClosed += 1
  }

  mutating func decay(to time: Double) {
    let step = time - decayedTo
    guard !counts.isEmpty, step >= Self.decayEvery else { return }
    for bin in counts.indices where counts[bin] > 0 {
      let kept = counts[bin] * Self.factor(step, bin)
      counts[bin] = kept < 0.01 ? 0 : kept
    }
    decayedTo = time
    if counts.allSatisfy({ $0 == 0 }) { counts = [] }
  }

  private static func factor(_ step: Double, _ bin: Int) -> Float {
    Float(exp(-step / max(shortestMemory, memoryPerAge * lowerBound(bin))))
  }

  /// How many reached an age, to half an octave.
  func count(beyond age: Double) -> Double {
    counts.isEmpty ? 0 : Double(counts[Self.bin(age)...].reduce(0, +))
  }

  mutating func merge(_ other: AgeHistogram) {
    everClosed += other.everClosed
    if counts.isEmpty {
      (counts, decayedTo) = (other.counts, other.decayedTo)
    } else {
      for (bin, count) in other.counts.enumerated() { counts[bin] += count }
    }
  }

  /// The age within which 95 % of the closes came, in seconds: an upper bound.
  var ordinaryAge: Double? {
    let total = counts.reduce(0, +)
    var seen: Float = 0
    for (bin, count) in counts.enumerated() {
      seen += count
      if seen > 0, seen >= 0.95 * total { return Self.lowerBound(min(bin + 1, Self.binCount - 1)) }
    }
    return nil
  }
}

extension AgeHistogram: Storable {
  static let blank = AgeHistogram()

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&counts)
    try archive.field(&everClosed)
    try archive.field(&decayedTo)
    guard counts.isEmpty || counts.count == Self.binCount, counts.allSatisfy({ $0 >= 0 }) else { throw .damaged }
  }

  func isSound(until time: Double) -> Bool { (0...time).contains(decayedTo) }
}
