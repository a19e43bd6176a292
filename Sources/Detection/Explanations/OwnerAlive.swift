// SPDX-License-Identifier: Apache-2.0
// A leak of threads or children: what each of them holds is in use, and they never end.

import Descriptors
import Glibc

/// `P(births as a leak's) · P(signs as of what is held on purpose)`, a part of the leak's prior.
///
/// It is told as a leak, under its own name: what has to be found is who forgets to end them. Where nothing is known of use
/// the two are one, and their sum is what a leak alone would be.
enum OwnerAlive {
  static func factors(_ facts: ClassFacts) -> [Factor] {
    [Factor("prior", log(facts.priors.leak * UsageFactors.ownerShare(facts)))] + Leak.ofBirths(facts)
  }

  /// `60 children that do not end, 5 pipes each`.
  static func sentence(_ usage: UsageEvidence, of open: Int, kind: String) -> String? {
    func each(_ owners: Int, _ noun: String) -> String {
      let per = (Double(open) / Double(owners)).rounded()
      return "\(owners) \(noun) that do not end, \(per <= 1 ? "one \(kind)" : "\(Int(clamping: per)) \(kind)s") each."
    }
    if let children = usage.children, children >= 3, open * 2 >= children, open <= 8 * children {
      return each(children, "children")
    }
    if let threads = usage.threads, threads >= 4, open * 2 >= threads, open <= 4 * threads {
      return each(threads - 1, "threads")
    }
    return nil
  }
}
