// SPDX-License-Identifier: Apache-2.0
// Whose use is worth a look: it costs more than all else, so of few classes, and of few members of each.

import Descriptors

extension Detector {
  /// Below that nobody would be told whatever was seen: evidence weighs 8 at most, and a suspicion takes even odds.
  private static let leastProbability = 0.12
  /// Most leaks are of one kind, or of the three or four that an event loop has.
  private static let mostSuspects = 4
  /// The majority of so many decides.
  private static let mostMembers = 12

  /// Three looks at intervals of five seconds, and a moment. Where none can be taken, so long a suspicion waits in vain.
  static let patienceForUsage = 12.0

  /// The classes whose use should be looked at, the most suspicious first.
  package var usageSuspects: [UsageSuspect] {
    let suspects = classes.indices.filter {
      classes[$0].probability >= Self.leastProbability || classes[$0].finding != nil
    }
    .filter { Self.showsUse(classes[$0].kind) }
    .sorted { classes[$0].probability > classes[$1].probability }
    return suspects.prefix(Self.mostSuspects).compactMap(suspect)
  }

  /// Nothing that can be seen of files, directories, devices and UDP tells leaked ones from others.
  static func showsUse(_ kind: Kind) -> Bool {
    kind == .udp || UsageFactors.rows.contains { $0.kinds.contains(kind) }
  }

  private func suspect(_ index: UInt16) -> UsageSuspect? {
    let record = classes[index]
    var survivors: [LedgerEntry] = []
    var siblings: [LedgerEntry] = []
    for entry in ledger.entries where entry.kind == record.kind {
      if entry.classIndex == index, !entry.marks.contains(.isInitial) {
        if entry.born <= record.survivorsUntil { survivors.append(entry) }
      } else {
        siblings.append(entry)
      }
    }
    guard survivors.count >= UsageFactors.fewest else { return nil }
    return UsageSuspect(
      kind: record.kind, isCloseWait: record.isCloseWait,
      survivors: Self.sample(survivors).map { UsageSuspect.Member(number: $0.number, age: time - $0.born) },
      siblings: Self.sample(siblings).map(\.number))
  }

  /// A part of them that hardly changes while they grow in number, so that a second look sees the same ones: those whose
  /// numbers come first in an order of no meaning (Fibonacci hashing).
  private static func sample(_ entries: [LedgerEntry]) -> [LedgerEntry] {
    func order(_ entry: LedgerEntry) -> UInt32 { UInt32(bitPattern: entry.number) &* 2_654_435_769 }
    if entries.count <= mostMembers { return entries }
    return Array(entries.sorted { order($0) < order($1) }.prefix(mostMembers))
  }
}
