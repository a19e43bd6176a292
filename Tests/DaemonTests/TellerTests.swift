// SPDX-License-Identifier: Apache-2.0
// What is logged while no journald listens.

import Alerts
import Config
import Linux
import TestSupport
import Testing

@testable import Daemon

@Suite struct `A journald that is away` {
  @Test func `gets each entry with its own time when it is back`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/socket"
    let teller = Teller(Configuration(), hooks: try HookRunner(usesSystemd: false), journal: path)
    let before = WallClock.now
    teller.log("first")
    let after = WallClock.now
    #expect(teller.pendingEntries == 1)
    // Later by more than entries are rounded to.
    while WallClock.now < after + 0.01 {}
    let journald = try DatagramSocket(path: path)
    teller.log("second")
    func time(_ text: String) throws -> Double {
      let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("FDWATCH_TIME=") })
      return try #require(Double(line.dropFirst("FDWATCH_TIME=".count)))
    }
    let first = try journald.receive()
    #expect(first.contains("MESSAGE=first\n"))
    #expect(try (before - 0.001...after + 0.001).contains(time(first)))
    let second = try journald.receive()
    #expect(try second.contains("MESSAGE=second\n") && time(second) > time(first))
    #expect(teller.pendingEntries == 0)
  }
}
