// SPDX-License-Identifier: Apache-2.0
// Is there a part of a class that does not die? The model and its sources are in README.md beside this file.

import Glibc

/// What the ages of a class say of its survivors: those older than the class's ordinary lifetime.
///
/// With `h(a)` the hazard of being closed at age `a`, `ρ(a) = a·h(a)` is the hazard per unit of the logarithm of age. For
/// one population of descriptors it does not fall with age: it is constant for Pareto's lifetimes, the heaviest that
/// programs show, and rises for exponential, Weibull and log-normal ones. Where it falls to nothing, a second population
/// begins that is not closed. So at each scale τ the closes beyond τ are compared, by likelihood, with what the ages
/// below τ make us expect.
struct Survival: Sendable, Equatable {
  /// The age beyond which a descriptor counts as a survivor, in seconds: the scale with the most evidence.
  var threshold = 0.0
  /// Open ones of known age beyond it.
  var survivors = 0
  /// Closes beyond it.
  var closes = 0.0
  /// Natural logarithm of the likelihood ratio: immortal survivors against the ordinary hazard going on.
  var evidence = 0.0

  /// What is taken for a class of which nothing below a scale has been closed: half the log-hazard of the
  /// heaviest-tailed lifetimes that were measured on programs (Pareto's α = 0.5).
  private static let priorHazard = 0.25
  /// The ordinary log-hazard is believed up to this: a timeout or a collector gives any number above.
  private static let highestHazard = 1.0
  /// Beyond the scale the hazard may be half of what it was before it counts as fallen.
  private static let tolerance = 0.5
  /// Closes in two octaves that are enough for a hazard.
  private static let fewestCloses = 3.0
  /// Less than half a close, long ago, is none.
  private static let negligible = 0.5
  /// Bins over which a hazard is taken: two octaves.
  private static let window = 4

  /// - Parameters:
  ///   - open: ages of those open now, where known.
  ///   - closed: ages at which others were closed.
  ///   - closedInitial: lower bounds of the ages at which those were closed that had been open before the watch. Beyond
  ///     a scale they count in full; of the lifetimes below it they say nothing.
  init(open: [UInt16], closed: AgeHistogram, closedInitial: AgeHistogram) {
    let none = [Float](repeating: 0, count: open.count)
    let closed = closed.counts.isEmpty ? none : closed.counts
    let closedInitial = closedInitial.counts.isEmpty ? none : closedInitial.counts
    // Time at risk in each bin, in units of log age: whole for those who went beyond it, half for those who stayed in.
    var atRisk = [Double](repeating: 0, count: open.count)
    var beyond = 0.0
    for bin in open.indices.reversed() {
      let here = Double(open[bin]) + Double(closed[bin])
      atRisk[bin] = AgeHistogram.width * (beyond + here / 2)
      beyond += here
    }
    let ordinary = Self.ordinaryHazards(closed, atRisk)
    var exposure = 0.0
    var survivors = 0
    var closes = 0.0
    var initialBeyond = 0.0
    for bin in open.indices.reversed() {
      let initial = Double(closedInitial[bin])
      exposure += atRisk[bin] + AgeHistogram.width * (initialBeyond + initial / 2)
      initialBeyond += initial
      survivors += Int(open[bin])
      closes += Double(closed[bin]) + initial
      guard survivors > 0, bin > 0 else { continue }
      let evidence = Self.evidence(closes: closes, exposure: exposure, ordinary: ordinary[bin])
      // On equal terms the older scale: it names the survivors more cleanly.
      if evidence > self.evidence {
        self = Survival(AgeHistogram.lowerBound(bin), survivors, closes, evidence)
      }
    }
  }

  private init(_ threshold: Double, _ survivors: Int, _ closes: Double, _ evidence: Double) {
    self.threshold = threshold
    self.survivors = survivors
    self.closes = closes
    self.evidence = evidence
  }

  /// For each bin, the highest log-hazard that was seen at younger ages; `nil` where there were too few closes.
  private static func ordinaryHazards(_ closed: [Float], _ atRisk: [Double]) -> [Double?] {
    var highest: Double?
    return closed.indices.map { bin in
      defer {
        let bins = max(0, bin - window + 1)...bin
        let closes = bins.reduce(0) { $0 + Double(closed[$1]) }
        let risk = bins.reduce(0) { $0 + atRisk[$1] }
        if closes >= fewestCloses, risk > 0 { highest = max(highest ?? 0, closes / risk) }
      }
      return highest
    }
  }

  /// Log-likelihood ratio of two Poisson rates of closes per unit of log age: the one seen against the ordinary one.
  private static func evidence(closes: Double, exposure: Double, ordinary: Double?) -> Double {
    var expected = ordinary.map { min($0, highestHazard) * tolerance } ?? 0
    // With next to no close beyond the scale, a class in which hardly any is closed has a hazard to be compared with too.
    if closes < Self.negligible { expected = max(expected, priorHazard) }
    guard expected > 0, exposure > 0 else { return 0 }
    let seen = closes / exposure
    guard seen < expected else { return 0 }
    let loss = closes > 0 ? closes * log(seen / expected) : 0
    return loss + (expected - seen) * exposure
  }
}
