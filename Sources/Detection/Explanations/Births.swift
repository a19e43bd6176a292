// SPDX-License-Identifier: Apache-2.0
// When survivors were opened: likelihoods of their times under rates that stay, grow, decline or have ended.

import Descriptors
import Glibc

/// How a rate of births goes with time or with work, `n ∝ u^β`: a prior over β, to be averaged over.
struct Growth: Sendable {
  var weights: [(beta: Double, weight: Double)]
}

/// The times at which survivors were opened, as evidence.
///
/// A power-law process (Crow, "Reliability analysis for complex, repairable systems", 1974) with `n ∝ u^β` has, given the
/// number of births in `(0, 1]`, the likelihood `Π β u^(β − 1)`. It is taken by the clock of time and by the clock of work,
/// half each: a leak on an error path keeps pace with requests, not with hours.
struct Births: Sendable {
  let count: Int
  let first: Double
  let last: Double
  /// Until then a birth would be known.
  let end: Double
  /// Usual time between two censuses.
  let interval: Double
  /// How many independent events the births after the first are worth. Batches are fewer events than they seem: no more
  /// than there were censuses with any, than the dispersion of twelve counts allows, and than fit by the longest pause.
  let effective: Double
  /// Mean logarithm of the place of a birth after the first in `(first, end]`, in `(first, last]`, and by work.
  private let meanLog: Double
  private let meanLogUntilLast: Double
  private let meanLogWork: Double?
  /// Mean logarithm of the pace of the clock of work at a birth: likelihoods by both clocks are of the same times.
  private let meanLogPace: Double

  /// Each birth is one of many: above this a further one tells nothing that these did not.
  static let mostEffective = 200.0
  private static let mostSampled = 256
  private static let slots = 12
  /// Below that the clock of work is too coarse.
  static let fewestWork = 20.0
  /// A place so near the first birth is within what a census can tell.
  private static let leastPlace = 1e-3
  /// Where no work is seen, some may have been done.
  private static let leastPace = 0.05

  /// - Parameters:
  ///   - times: ascending, at least two.
  ///   - work: what the process had done until a moment.
  init(_ times: [Double], until end: Double, interval: Double, work: (Double) -> Double) {
    count = times.count
    first = times.first ?? 0
    last = times.last ?? 0
    // Polls are whole milliseconds apart. A recording may have any number of them at one time.
    let interval = max(interval, 1e-3)
    self.interval = interval
    self.end = max(end, last)
    let later = times.dropFirst()
    let span = last - first
    effective = Self.effective(Array(later), first: first, span: span)
    // Their mean is what counts: of very many a part will do.
    let stride = max(1, later.count / Self.mostSampled)
    let sample = later.enumerated().filter { $0.offset % stride == 0 }.map(\.element)
    func mean(_ place: (Double) -> Double) -> Double {
      sample.isEmpty ? 0 : sample.reduce(0) { $0 + log(min(1, max(Self.leastPlace, place($1)))) } / Double(sample.count)
    }
    let (first, whole) = (self.first, max(self.end - self.first, interval))
    meanLog = mean { ($0 - first) / whole }
    meanLogUntilLast = mean { ($0 - first) / (span + interval / 2) }
    let (before, done) = (work(first), work(self.end))
    guard done - before >= Self.fewestWork, !sample.isEmpty else {
      (meanLogWork, meanLogPace) = (nil, 0)
      return
    }
    meanLogWork = mean { (work($0) - before) / (done - before) }
    // How much faster than on average the clock of work goes at a birth, within a twelfth of the time.
    let reach = whole / 24
    let bound = self.end
    meanLogPace =
      sample.reduce(0) { sum, time in
        let (low, high) = (max(first, time - reach), min(bound, time + reach))
        let pace = high > low ? (work(high) - work(low)) / (high - low) * whole / (done - before) : 1
        return sum + log(max(Self.leastPace, pace))
      } / Double(sample.count)
  }

  private static func effective(_ later: [Double], first: Double, span: Double) -> Double {
    guard span > 0, let last = later.last else { return 0 }
    var counts = [Double](repeating: 0, count: slots)
    var distinct = 0
    var longest = 0.0
    var previous = first
    for time in later {
      counts[min(slots - 1, Int(clamping: (time - first) / span * Double(slots) * 0.9999))] += 1
      if time > previous { distinct += 1 }
      longest = max(longest, time - previous)
      previous = time
    }
    let count = Double(later.count)
    let mean = count / Double(slots)
    let variance = counts.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(slots - 1)
    let dispersion = max(1, variance / mean)
    // Of a Poisson process the longest of n pauses is ln n times the mean one.
    let byPause = longest > 0 ? 1.5 * (last - first) / longest : count
    return min(Double(distinct), count / dispersion, byPause, mostEffective)
  }

  /// From the first to now, in seconds.
  var span: Double { max(end - first, interval) }
  /// From the first to the last.
  var active: Double { last - first }
  /// Which part of ``span`` had passed at the last birth, 0…1.
  var activePart: Double { min(1, max(1e-4, (active + interval / 2) / (span + interval / 2))) }
  var perSecond: Double { Double(count) / span }

  /// Log-likelihood of so few different moments, for what goes on: three have to be seen. One batch, however large, has
  /// shown no more than that it came.
  var atDifferentTimes: Double { log(min(1, (effective + 0.5) / 2.5)) }

  /// Log-likelihood that they go on, averaged over how the rate may grow or decline.
  func goingOn(_ growth: Growth) -> Double {
    let byTime = likelihood(meanLog, growth)
    guard let meanLogWork else { return byTime }
    return logSum([byTime, likelihood(meanLogWork, growth) + effective * meanLogPace]) - log(2)
  }

  /// Log-likelihood that they went on until the last one, and then no more came.
  ///
  /// The same number of births within a part `f` of the time is `f^-n` times as likely; half a birth more for the rate,
  /// which is not known either.
  func ended(_ growth: Growth) -> Double {
    (active > 0 ? likelihood(meanLogUntilLast, growth) : 0) + endedAtConstantRate
  }

  var endedAtConstantRate: Double { -(effective + 0.5) * log(activePart) }

  private func likelihood(_ meanLog: Double, _ growth: Growth) -> Double {
    if effective == 0 { return 0 }
    return logSum(
      growth.weights.map { log($0.weight) + effective * (log($0.beta) + ($0.beta - 1) * meanLog) })
  }
}
