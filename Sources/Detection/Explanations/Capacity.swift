// SPDX-License-Identifier: Apache-2.0
// A pool, a cache, threads, children: it fills up to a size that is not known.

import Glibc

/// `P(K ≥ n) · P(births | n ∝ u^β, β < 1) + P(K = n) · P(births until the last one, and none since)`.
///
/// The size K has a Lomax distribution, `P(K ≥ n) = (1 + n/n₀)^-α`, whose scale depends on what is held. Filling slows
/// down: a cache sees ever fewer new keys (Heaps' law, β from 0.4 to 0.8 on text; Breslau and others, 1999, on proxies),
/// a pool is asked for more than it has ever more rarely.
enum Capacity {
  static let growth = Growth(
    weights: [
      (0.15, 0.10), (0.25, 0.12), (0.35, 0.13), (0.5, 0.15), (0.65, 0.15), (0.8, 0.10), (1, 0.20), (1.4, 0.05),
    ])

  /// Logarithms of `P(K ≥ n)` and `P(K = n)`.
  static func size(_ count: Int, _ priors: ClassPriors) -> (atLeast: Double, exactly: Double) {
    let atLeast = -priors.sizeShape * log(1 + Double(count) / priors.size)
    return (atLeast, atLeast + log(priors.sizeShape / (priors.size + Double(count))))
  }

  static func factors(_ facts: ClassFacts) -> [Factor] {
    // Of children, where it is known that they are: each is one member, whatever it has.
    let size = size(facts.births.count / (facts.usage?.perChild(of: facts.open) ?? 1), facts.priors)
    return [
      Factor("prior", log(facts.priors.capacity)),
      Factor(
        "so many, and how they came",
        logSum([size.atLeast + facts.births.goingOn(growth), size.exactly + facts.births.ended(growth)])),
      Factor("hardly any is closed at their age", facts.deaths.ofAbandoned),
      Factor(
        "data waits that nobody reads", facts.unreadShare > Priors.mostShare.value ? log(Priors.pooledUnread.value) : 0),
    ]
  }
}
