// SPDX-License-Identifier: Apache-2.0
// What was closed at the ages that survivors have reached.

import Glibc

/// Closes beyond an age, over the time at risk beyond it in units of the logarithm of age.
///
/// Closes are Poisson's with a hazard per unit of log age that is Gamma distributed: averaged over it, the number of closes
/// is negative binomial (Gelman and others, *Bayesian Data Analysis*, section 2.6).
struct Deaths: Sendable {
  var closes: Double
  var exposure: Double

  /// - Parameters:
  ///   - shape: of the Gamma distribution of the hazard; its mean is `shape / rate`.
  func likelihood(shape: Double, rate: Double) -> Double {
    logGamma(shape + closes) - logGamma(shape) + shape * log(rate) - (shape + closes) * log(rate + exposure)
  }

  /// Stirling's series, for arguments above 0.
  private func logGamma(_ argument: Double) -> Double {
    var (argument, lower) = (argument, 0.0)
    while argument < 8 {
      lower -= log(argument)
      argument += 1
    }
    let series = 1 / (12 * argument) - 1 / (360 * argument * argument * argument)
    return lower + (argument - 0.5) * log(argument) - argument + 0.5 * log(2 * Double.pi) + series
  }

  /// Of what nobody closes: one in a hundred goes, per factor e of age, as the longest-lived of the ordinary ones do.
  var ofAbandoned: Double { likelihood(shape: 0.5, rate: 50) }

  /// Of what is closed some day: of heavy-tailed lifetimes (Pareto's α) half go per factor e of age.
  var ofMortal: Double { likelihood(shape: 0.5, rate: 1) }
}
