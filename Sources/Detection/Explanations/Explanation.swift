// SPDX-License-Identifier: Apache-2.0
// Why descriptors of a class may stay open: the hypotheses that are weighed against each other.

import Descriptors
import Glibc

/// Why members of a class have survived what others do not.
package enum Explanation: String, Sendable, CaseIterable, Codable {
  /// They are never closed, and go on being opened.
  case leak
  /// Threads or children that never end, each with what it needs: the leak is theirs.
  case ownerAlive = "owner_alive"
  /// A pool, a cache, threads, children, watchers that fill up to a size.
  case capacity
  /// Dropped, and to be closed by a garbage collector.
  case collector
  /// Somebody at the other end keeps them open, and will hang up.
  case heldByClient = "held_by_client"
  /// A start-up or a reload: what it opened stays, and no more comes.
  case step
  /// One population, of which all are closed in the end: these are the long-lived ones.
  case load
}

extension Explanation {
  var isLeak: Bool { self == .leak || self == .ownerAlive }
}

/// One term of an explanation's log-likelihood, and what it is about.
struct Factor: Sendable {
  var about: String
  var value: Double

  init(_ about: String, _ value: Double) { (self.about, self.value) = (about, value) }
}

/// `log(exp(a) + exp(b) + …)` without overflow.
func logSum(_ terms: [Double]) -> Double {
  guard let most = terms.max(), most > -.infinity else { return -.infinity }
  return most + log(terms.reduce(0) { $0 + exp($1 - most) })
}

/// What is believed of a class: the probability of each explanation.
struct Posterior: Sendable {
  /// In the order of ``Explanation/allCases``; together 1.
  private(set) var probabilities: [Double]
  /// Log-likelihoods with the prior, term by term.
  private(set) var factors: [[Factor]]

  init(_ weigh: (Explanation) -> [Factor]) {
    factors = Explanation.allCases.map(weigh)
    let sums = factors.map { $0.reduce(0) { $0 + $1.value } }
    let total = logSum(sums)
    probabilities = sums.map { exp($0 - total) }
  }

  subscript(explanation: Explanation) -> Double {
    zip(Explanation.allCases, probabilities).first { $0.0 == explanation }?.1 ?? 0
  }

  /// The most probable first.
  var ranked: [(explanation: Explanation, probability: Double)] {
    zip(Explanation.allCases, probabilities).map { ($0, $1) }.sorted { $0.probability > $1.probability }
  }

  /// Of a leak, whoever leaks.
  var ofAnyLeak: Double { self[.leak] + self[.ownerAlive] }

  /// The most probable one that is no leak.
  var runnerUp: RunnerUp {
    let other = ranked.first { !$0.explanation.isLeak }
    return RunnerUp(explanation: other?.explanation ?? .load, probability: other?.probability ?? 0)
  }
}

/// The explanation that a leak has to be told from.
package struct RunnerUp: Sendable, Equatable, Codable {
  package var explanation: Explanation
  package var probability: Double

  package init(explanation: Explanation, probability: Double) {
    (self.explanation, self.probability) = (explanation, probability)
  }
}
