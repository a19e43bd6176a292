// SPDX-License-Identifier: Apache-2.0
// When to look, and how closely. No clock: times and costs are what the tests say.

import Procfs
import Testing
import Watch

/// A second between two polls.
private let second = Duration.seconds(1)

@Suite struct `A schedule` {
  /// Plays polls, one a second, and returns how closely each looked.
  private func play(
    _ polls: Int, cost: Duration, isSuspicious: Bool = false, counting: Procfs.Counting = .bySize, spread: Double = 0,
    count: (Int) -> Int
  ) -> [Look] {
    var schedule = Schedule(interval: second, counting: counting, spread: spread)
    var before: Int?
    return (0..<polls).map { index in
      let (time, now) = (second * index, count(index))
      let look = schedule.look(at: time, count: now, isSuspicious: isSuspicious)
      if case .census(let verification) = look {
        schedule.took(
          verification, cost: cost, at: time, count: now, changed: before != now, isSuspicious: isSuspicious)
        before = now
      }
      return look
    }
  }

  private func verifications(_ looks: [Look]) -> [Int] {
    looks.indices.filter { looks[$0] == .census(verifying: .links) || looks[$0] == .census(verifying: .deep) }
  }

  @Test func `begins with a census`() {
    #expect(play(1, cost: .zero) { _ in 5 } == [.census(verifying: .links)])
  }

  @Test func `only counts where nothing changes, and verifies ever more rarely`() {
    let looks = play(1_000, cost: .milliseconds(1)) { _ in 5 }
    let due = verifications(looks)
    let gaps = zip(due, due.dropFirst()).map { $1 - $0 }
    #expect(looks.count { $0 == .count } > 950)
    #expect(zip(gaps, gaps.dropFirst()).allSatisfy { $0 <= $1 })
    // But never so rarely that a reuse of all numbers would go unseen for long.
    #expect(gaps.last == 120)
  }

  @Test func `takes a census as soon as the count changes`() {
    let looks = play(300, cost: .milliseconds(1)) { $0 < 250 ? 5 : 6 }
    #expect(looks[249] == .count)
    #expect(looks[250] != .count)
    // And verifies at the next poll, to see what else has changed.
    #expect(verifications(looks).contains { (250...252).contains($0) })
  }

  @Test func `looks deeply at what is suspicious, at every poll that it can afford`() {
    let looks = play(50, cost: .milliseconds(1), isSuspicious: true) { _ in 5 }
    #expect(looks.allSatisfy { $0 == .census(verifying: .deep) })
  }

  @Test(arguments: [1, 20, 100, 400, 2_000]) func `keeps within its share of a core`(cost: Int) {
    // The worst: always another count, and suspicious.
    let cost = Duration.milliseconds(cost)
    let polls = 2_000
    let looks = play(polls, cost: cost, isSuspicious: true) { $0 }
    let spent = cost * looks.count { $0 != .count }
    // Lists and verifications each have the share; below an interval the cost is what a poll costs.
    let allowed = max(second * polls * Schedule.usualShare * 2, cost * polls / 20)
    #expect(spent <= allowed + cost)
    #expect(looks.contains { $0 != .count })
  }

  @Test func `lists what does not change ever more rarely, where counting is listing`() {
    let looks = play(1_000, cost: .microseconds(20), counting: .byListing) { $0 < 900 ? 5 : 6 }
    let listed = looks.indices.filter { looks[$0] != .skip }
    let gaps = zip(listed, listed.dropFirst()).map { $1 - $0 }
    #expect(!looks.contains(.count))
    #expect(gaps.max() == 10)
    #expect(listed.count < 150)
    // A change is seen by the list that is due, and then every poll looks until it is quiet again.
    let change = listed.first { $0 >= 900 } ?? 0
    #expect((900...909).contains(change) && looks[change + 1] != .skip)
  }

  @Test func `does not verify all processes at the same time`() {
    let due = [0, 0.25, 0.5, 0.75].map { spread in
      Set(verifications(play(4_000, cost: .milliseconds(1), spread: spread) { _ in 5 }).suffix(10))
    }
    #expect(due.reduce(due[0]) { $0.intersection($1) }.isEmpty)
  }
}
