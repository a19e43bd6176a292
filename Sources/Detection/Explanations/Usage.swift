// SPDX-License-Identifier: Apache-2.0
// What use, and the other end, say of each explanation.

import Descriptors
import Glibc

/// One sign of one kind: by how much it multiplies the odds of "dropped" against "held on purpose".
struct UsageRow: Sendable {
  var kinds: [Kind]
  var sign: UsageSign
  /// Where half of the survivors or more show it, and where fewer do.
  var shown: Double
  var hidden: Double
  /// What is said of the members that show it: `about` for the factor, `sentence` for a person.
  var about: String
  var sentence: String
  var because: String
  var source: String
}

/// Likelihood of what was seen, `P(sign | explanation)`, as a factor relative to what is held on purpose.
///
/// A leaked or uncollected descriptor whose owner has gone is used by nobody: `P(sign | leak) / P(sign | held)` is a row of
/// ``UsageFactors/rows``. Pools, caches, children, sessions, load and start-ups hold on purpose: factor 1. So do threads and
/// children that never end: from outside their descriptors look used, and only their number gives them away.
///
/// A factor is `(hits + 1)/(n + 2)` among leaks over the same among what is held, rounded towards 1: few programs stand
/// behind each, most of them written for the purpose. Where a sign means that no use is possible, it had to be seen at two
/// looks. The rows of one class are far from independent: together they weigh no more than ``UsageFactors/most``.
enum UsageFactors {
  /// Of the survivors that were looked at, in so many at least a sign could be seen.
  static let fewest = 3
  static let most = 8.0
  /// What a child has at most of one kind: standard streams and a channel or two.
  static let mostPerChild = 5

  static let rows: [UsageRow] = [
    UsageRow(
      kinds: [.pipe], sign: .abandoned, shown: 8, hidden: 0.25, about: "nobody can use their other ends",
      sentence: "have no other end that anybody could use",
      because: "a supervisor's children hold theirs; a waking thread waits on its own",
      source: "8 of 9 leaks, 0 of 13 held"),
    UsageRow(
      kinds: [.pipe, .pty], sign: .heldByChild, shown: 0.7, hidden: 1, about: "children have their other ends",
      sentence: "have their other end in a living child",
      because: "not abandoned, and by whom: a part of 0.2, as the row above has the rest",
      source: "0 of 13 leaks, 14 of 17 held"),
    UsageRow(
      kinds: [.pty], sign: .abandoned, shown: 6, hidden: 0.3, about: "nobody can use their other ends",
      sentence: "are terminals that no other process has open",
      because: "a window's shell has its terminal open; a zombie window's is closed",
      source: "4 of 4 leaks, 0 of 4 held"),
    UsageRow(
      kinds: [.unix], sign: .abandoned, shown: 4, hidden: 0.8, about: "nobody can use their other ends",
      sentence: "have no other end that anybody could use", because: "pairs within a process wake its event loops",
      source: "2 of 5 leaks, 0 of 8 held"),
    UsageRow(
      kinds: [.unix], sign: .peerClosed, shown: 6, hidden: 0.9, about: "their peers have closed",
      sentence: "have lost their peer", because: "no use is possible", source: "1 of 5 leaks, 0 of 8 held"),
    UsageRow(
      kinds: [.unix], sign: .heldByChild, shown: 0.4, hidden: 1.2, about: "children have their other ends",
      sentence: "have their other end in a living child", because: "channels to workers",
      source: "0 of 5 leaks, 4 of 8 held"),
    UsageRow(
      kinds: [.tcp], sign: .endRead, shown: 4, hidden: 0.6, about: "the end of their data was read",
      sentence: "were read to their end and not closed",
      because: "an idle pool has not read the end: one byte is left in the queue", source: "4 of 7 leaks, 0 of 13 held"),
    UsageRow(
      kinds: [.tcp], sign: .active, shown: 0.3, hidden: 2, about: "data moves", sentence: "carried data a moment ago",
      because: "idle pools are idle, too", source: "0 of 7 leaks moved in 5 s, 9 of 13 held; 7 and 3 idle for 30 s"),
    UsageRow(
      kinds: [.tcp], sign: .waitedOn, shown: 0.8, hidden: 1.7, about: "threads wait on them",
      sentence: "are waited on", because: "event loops wait on what was dropped, too",
      source: "3 of 7 leaks, 11 of 13 held"),
    UsageRow(
      kinds: [.eventpoll], sign: .unattended, shown: 8, hidden: 0.16, about: "event loops without a thread",
      sentence: "are event loops that no thread waits on", because: "a loop that runs has a thread",
      source: "5 of 5 leaks, 0 of 9 held"),
    UsageRow(
      kinds: [.eventfd], sign: .waitedOn, shown: 0.5, hidden: 4, about: "threads wait on them",
      sentence: "are waited on", because: "a loop is woken by it", source: "1 of 4 leaks, 5 of 5 held"),
    UsageRow(
      kinds: [.timerfd], sign: .waitedOn, shown: 0.5, hidden: 2.5, about: "threads wait on them",
      sentence: "are waited on", because: "who sets a timer waits for it", source: "1 of 3 leaks, 3 of 3 held"),
    UsageRow(
      kinds: [.timerfd], sign: .timerIdle, shown: 2, hidden: 0.5, about: "timers that are not set, or not read",
      sentence: "are not set, or expired and were not read", because: "idle loops may leave theirs unset",
      source: "3 of 3 leaks, 0 of 3 held"),
    UsageRow(
      kinds: [.signalfd], sign: .waitedOn, shown: 0.5, hidden: 2, about: "threads wait on them",
      sentence: "are waited on", because: "it is of no other use", source: "0 of 2 leaks, 1 of 1 held"),
    UsageRow(
      kinds: [.inotify], sign: .watchesNothing, shown: 3, hidden: 0.5, about: "they watch nothing",
      sentence: "watch nothing", because: "closed observers remove their watches first",
      source: "3 of 4 leaks, 0 of 3 held"),
    UsageRow(
      kinds: [.inotify], sign: .waitedOn, shown: 0.5, hidden: 2.5, about: "threads wait on them",
      sentence: "are waited on", because: "it is of no other use", source: "1 of 4 leaks, 3 of 3 held"),
    UsageRow(
      kinds: [.pidfd], sign: .processGone, shown: 6, hidden: 0.6, about: "their processes have exited",
      sentence: "refer to a process that has exited", because: "no use is left", source: "3 of 4 leaks, 0 of 2 held"),
    UsageRow(
      kinds: [.pidfd], sign: .waitedOn, shown: 0.4, hidden: 2, about: "threads wait on them", sentence: "are waited on",
      because: "it is there to be waited on", source: "0 of 4 leaks, 2 of 2 held"),
    UsageRow(
      kinds: [.memfd], sign: .mapped, shown: 1, hidden: 1.5, about: "mapped", sentence: "are mapped",
      because: "leaked ones are often mapped still", source: "1 of 2 leaks, 2 of 2 held"),
  ]

  /// Its siblings are in an event loop and these are not.
  static let unlikeSiblings = Prior(
    name: "unlike their siblings", value: 2, because: "others of the kind are in an event loop and these are in none",
    source: "held on the cases tried")
  /// Of the prior of a leak, the part of those whose thread or child lives: less where there are not enough of either.
  static func ownerShare(_ facts: ClassFacts) -> Double {
    let share = (facts.sort == .kernelObject ? ownersOfObjects : ownersOfOthers).value
    guard let usage = facts.usage, let threads = usage.threads, let children = usage.children,
      facts.open > mostPerChild * children + 3 * max(0, threads - 1)
    else { return share }
    return share * ownerless.value
  }
  static let ownersOfObjects = Prior(
    name: "leaks of threads and children", value: 0.15, because: "of the leaks of objects of the kernel and of UDP",
    source: "11 of 58 measured, 2 of 22 of those published")
  static let ownersOfOthers = Prior(
    name: "leaks of threads and children, other kinds", value: 0.03, because: "of the leaks of all else",
    source: "reasoned")
  static let ownerless = Prior(
    name: "too few threads and children", value: 0.1,
    because: "there are more than 5 for each child and 3 for each thread: who should have them?",
    source: "1 to 5 a child, 1 or 2 a thread in all programs measured")

  /// Whether it is known of these that they are held on purpose, or that their owners live: by odds of two.
  static func areInUse(_ facts: ClassFacts) -> Bool {
    facts.usage != nil && ofDropped(facts).reduce(0) { $0 + $1.value } <= -log(2)
  }

  /// What was seen, as factors of a leak: terms that are 0 for what is held on purpose.
  static func ofDropped(_ facts: ClassFacts) -> [Factor] {
    guard let usage = facts.usage else { return [] }
    var factors = rows.compactMap { row -> Factor? in
      guard row.kinds.contains(facts.kind), let isShown = usage.shows(row.sign) else { return nil }
      return Factor(row.about, log(isShown ? row.shown : row.hidden))
    }
    if let mine = usage.signs[.registered], let others = usage.siblings[.registered], mine.seen >= fewest,
      others.seen >= fewest, mine.shown * 5 <= mine.seen, others.shown * 5 >= others.seen * 4
    {
      factors.append(Factor("unlike their siblings, they are in no event loop", log(unlikeSiblings.value)))
    }
    let sum = factors.reduce(0) { $0 + $1.value }
    if abs(sum) > log(most) {
      // Each gives way in proportion: what is told of them stays in order.
      let scale = log(most) / abs(sum)
      for index in factors.indices { factors[index].value *= scale }
    }
    return factors
  }

  /// What was seen, in words: of the rows that were shown the one that weighs most.
  static func sentence(_ usage: UsageEvidence, _ kind: Kind) -> String? {
    let shown = rows.filter { row in
      row.kinds.contains(kind) && row.shown != 1 && usage.shows(row.sign) == true
    }
    guard let row = shown.max(by: { abs(log($0.shown)) < abs(log($1.shown)) }), let share = usage.signs[row.sign] else {
      return nil
    }
    return "Of \(share.seen) looked at, \(share.shown) \(row.sentence)."
  }

  static var markdown: [[String]] {
    rows.map { row in
      [
        row.kinds.map(\.rawValue).joined(separator: ", "), row.about, "× \(row.shown.figure)", "× \(row.hidden.figure)",
        row.because, row.source,
      ]
    }
  }
}

extension UsageEvidence {
  /// Whether half of those that were looked at show it, or do not; `nil` where too few could be seen. A sign that is seen
  /// only where it is there, or only where it is not, must not be taken for one of all.
  func shows(_ sign: UsageSign) -> Bool? {
    guard let share = signs[sign], share.seen >= UsageFactors.fewest else { return nil }
    if share.shown * 2 >= looked { return true }
    return (share.seen - share.shown) * 2 > looked ? false : nil
  }

  /// Descriptors for each living child, where they are what children have their other ends of: 1 else.
  func perChild(of open: Int) -> Int {
    guard let children, children > 0, shows(.heldByChild) == true else { return 1 }
    return min(max(1, open / children), UsageFactors.mostPerChild)
  }
}
