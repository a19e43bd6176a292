// SPDX-License-Identifier: Apache-2.0
// A start-up, a reload, a first use: a burst that stays, and no more.

import Glibc

/// One burst that goes on, one that has ended, or a few.
///
/// The length W of a burst is not known: `P(W > w) = (1 + w/w₀)^-γ`. `P(going on) = P(W > T)`; one that ended at `w` has
/// the density of W there, times `(T/w)^n` for births that all came until then, integrated over the ends that are possible
/// since the last birth (which divides by `n`). Each further burst is half as likely.
enum Step {
  static func factors(_ facts: ClassFacts) -> [Factor] {
    [
      Factor("prior", log(facts.priors.step)),
      Factor("they came in a burst, or in a few", bursts(facts.births)),
      Factor("hardly any is closed at their age", facts.deaths.ofAbandoned),
      Factor("their offsets move", facts.movedShare > Priors.someShare.value ? log(Priors.stepInUse.value) : 0),
    ]
  }

  static func bursts(_ births: Births) -> Double {
    let scale = max(Priors.burst.value, 3 * births.interval)
    let shape = Priors.burstShape.value
    func longer(_ seconds: Double) -> Double { -shape * log(1 + seconds / scale) }
    let length = max(births.active, births.interval)
    var ways = [
      longer(births.span),
      log(shape * length / (scale + length)) + longer(length) + births.endedAtConstantRate
        - log(max(births.effective, 1)),
    ]
    // Far fewer events than births: batches.
    if births.effective * 3 < Double(births.count) {
      ways.append(-log(2) * max(births.effective - 1, 0) + births.endedAtConstantRate)
    }
    return logSum(ways)
  }
}
