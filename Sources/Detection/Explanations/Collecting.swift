// SPDX-License-Identifier: Apache-2.0
// A garbage collector will close them: until it runs they are what a leak is.

import Descriptors
import Glibc

/// `P(births as a leak's) · P(no run for so long)`, the latter `(1 + min(a/a₀, n/n₀))^-γ` with scales by runtime: a
/// collector runs when much was allocated, and where little happens that takes long. For Go's, which runs by the clock
/// at the latest, `(1 + a/60 s)^-½ / (1 + (a/a₀)^γ)`.
///
/// Where many were released at once before, they are expected to be again: of those that were there at the last release
/// each one that was left makes it less likely, and so does each one above the most that ever came together.
enum Collecting {
  static func factors(_ facts: ClassFacts) -> [Factor] {
    [
      Factor("prior", log(min(facts.priors.collector * facts.collectorFactor, 0.9))),
      Factor("no release for so long", patience(facts)),
      Factor("they came at different times", facts.births.atDifferentTimes),
      Factor("they go on being opened", facts.births.goingOn(Leak.growth)),
      Factor("hardly any is closed at their age", facts.deaths.ofAbandoned),
      Factor("their offsets move", facts.movedShare > Priors.someShare.value ? log(Priors.leakInUse.value) : 0),
    ] + UsageFactors.ofDropped(facts)
  }

  /// Logarithm of the probability that no run has come.
  static func patience(_ facts: ClassFacts) -> Double {
    let count = Double(facts.births.count)
    if facts.bulkCloses > 0 {
      return facts.waitsForRelease
        ? -2 * log(1 + count) : -3 * log(1 + count / Double(max(facts.mostClosedInBulk, 4)))
    }
    let age = facts.now - facts.births.first
    let pause = Priors.collectorPause(facts.collector)
    // Go's comes when memory is wanted, and hardly ever later than when it is due by the clock.
    if facts.collector == .periodic {
      return -0.5 * log(1 + age / Priors.collectorPause(nil).seconds) - log(1 + pow(age / pause.seconds, pause.shape))
    }
    return -pause.shape * log(1 + min(age / pause.seconds, count / pause.objects))
  }
}
