// SPDX-License-Identifier: Apache-2.0
// What the rules say of a process.

extension Configuration {
  package enum Decision: Sendable, Equatable {
    case ignored
    /// Watched as this rule says: the first that fits, or an empty one where there are no rules.
    case watch(WatchRule)
    /// There are rules, and none is about it.
    case unwatched
  }

  /// - Parameter pidIn: the number that a pid file holds, such as ``PidFile/pid(in:)``.
  package func rule(for facts: ProcessFacts, pidIn: (String) -> Int32? = { _ in nil }) -> Decision {
    if ignore.contains(where: { $0.matches(facts, pidIn: pidIn) }) { return .ignored }
    if watch.isEmpty { return .watch(WatchRule()) }
    return watch.first { $0.selector.matches(facts, pidIn: pidIn) }.map { .watch($0) } ?? .unwatched
  }

  /// Which facts the rules ask of a process at all: others need not be read for them.
  package var factsAsked: Set<ProcessFacts.Name> {
    (ignore + watch.map(\.selector)).reduce(into: []) { $0.formUnion($1.facts) }
  }
}
