// SPDX-License-Identifier: Apache-2.0
// Whose descriptors are followed where there are too many of all.

import Testing

@testable import Daemon

@Suite struct `A budget of descriptors` {
  private var budget = TrackingBudget(total: 100, perProcess: 60)

  @Test mutating func `grants what there is room for, and no process more than its share`() {
    #expect(budget.charge(60, pid: 1, account: "a") == .granted(displacing: []))
    #expect(budget.charge(61, pid: 2, account: "b") == .refused)
    #expect(budget.charge(40, pid: 2, account: "b") == .granted(displacing: []))
    #expect(budget.used == 100)
    budget.release(1)
    #expect(budget.used == 40)
    #expect(budget.charge(.max, pid: 3, account: "c") == .refused)
  }

  @Test mutating func `lets who has most make room, its largest process first`() {
    for (pid, count) in [(Int32(1), 20), (2, 30), (3, 40)] { _ = budget.charge(count, pid: pid, account: "greedy") }
    #expect(budget.charge(10, pid: 4, account: "modest") == .granted(displacing: []))
    #expect(budget.charge(10, pid: 5, account: "modest") == .granted(displacing: [3]))
    #expect(budget.used == 70)
    // What was displaced has nothing left, and takes nothing from others that have less.
    #expect(budget.charge(40, pid: 3, account: "greedy") == .refused)
    #expect(budget.charge(30, pid: 3, account: "greedy") == .granted(displacing: []))
  }

  @Test mutating func `takes nothing from who has less`() {
    _ = budget.charge(50, pid: 1, account: "a")
    _ = budget.charge(45, pid: 2, account: "b")
    #expect(budget.charge(50, pid: 3, account: "c") == .refused)
    #expect(budget.charge(10, pid: 4, account: "a") == .refused, "its own account has most")
    #expect(budget.used == 95)
  }

  @Test mutating func `follows a process that grows, until it has too much`() {
    for count in stride(from: 10, through: 60, by: 10) {
      #expect(budget.charge(count, pid: 1, account: "a") == .granted(displacing: []))
    }
    #expect(budget.used == 60)
    #expect(budget.charge(61, pid: 1, account: "a") == .refused)
    #expect(budget.used == 0)
  }
}
