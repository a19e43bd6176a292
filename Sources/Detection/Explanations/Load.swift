// SPDX-License-Identifier: Apache-2.0
// Ordinary load: one population, in which the ages that are seen are no surprise.

import Glibc

/// `exp(-evidence)`: what the survivors' ages say against one population (``Survival``), less what is gained by looking for
/// the best of some forty scales.
enum Load {
  static func factors(_ facts: ClassFacts) -> [Factor] {
    [
      Factor("prior", log(facts.priors.load)),
      Factor("ages that one population would not reach", log(Priors.scales.value) - facts.survival.evidence),
      Factor("closes at their age", max(facts.deaths.ofAbandoned, facts.deaths.ofMortal)),
    ]
  }
}
