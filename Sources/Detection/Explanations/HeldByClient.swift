// SPDX-License-Identifier: Apache-2.0
// Whoever is at the other end keeps them open: sessions, keep-alive, downloads, windows.

import Glibc

/// `P(m ≥ n clients) · P(none, or so few, hung up until now) · P(births that go on, or have ended)`.
///
/// Either they begin to leave at an age L that is common to all and not known, `P(L > a) = (1 + a/L₀)^-1`, as a timeout is;
/// or each leaves on its own.
enum HeldByClient {
  static func factors(_ facts: ClassFacts) -> [Factor] {
    let births = facts.births
    let age = facts.now - births.first
    var stay = facts.deaths.ofMortal
    if facts.deaths.closes < 0.5 {
      stay = logSum([stay, -log(1 + age / Priors.stay.value)]) - log(2)
    }
    return [
      Factor("prior", log(facts.priors.client)),
      Factor("so many at once", -log(1 + Double(births.count) / facts.priors.clients)),
      Factor("so few have left", stay),
      Factor(
        "how they came",
        logSum([births.goingOn(Leak.growth), births.effective > 0 ? births.ended(Capacity.growth) : -.infinity])
          - log(2)),
      Factor(
        "data waits that nobody reads", facts.unreadShare > Priors.mostShare.value ? log(Priors.clientUnread.value) : 0),
    ]
  }
}
