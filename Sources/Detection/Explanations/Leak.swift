// SPDX-License-Identifier: Apache-2.0
// A leak: births go on, hardly any dies, and nobody uses them.

import Glibc

/// `P(births | n ∝ u^β, β around 1) · P(hardly any closed)`, less where they came at fewer than three moments.
///
/// What forgets to close does so once per request, per error or per hour: at a rate that stays, grows with the work, or
/// declines a little with it.
enum Leak {
  static let growth = Growth(
    weights: [(0.8, 0.10), (0.9, 0.20), (1, 0.30), (1.15, 0.20), (1.4, 0.12), (2, 0.08)])

  static func factors(_ facts: ClassFacts) -> [Factor] {
    [Factor("prior", log(facts.priors.leak * (1 - UsageFactors.ownerShare(facts))))] + ofBirths(facts)
      + UsageFactors.ofDropped(facts)
  }

  static func ofBirths(_ facts: ClassFacts) -> [Factor] {
    [
      Factor("they came at different times", facts.births.atDifferentTimes),
      Factor("they go on being opened", facts.births.goingOn(growth)),
      Factor("hardly any is closed at their age", facts.deaths.ofAbandoned),
      Factor("their offsets move", facts.movedShare > Priors.someShare.value ? log(Priors.leakInUse.value) : 0),
    ]
  }
}
