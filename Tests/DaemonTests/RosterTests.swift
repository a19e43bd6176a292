// SPDX-License-Identifier: Apache-2.0
// Who is watched, and what is known of who could not be for a while.

import Alerts
import Config
import Detection
import Foundation
import Linux
import Procfs
import Synchronization
import TestSupport
import Testing
import Watch

@testable import Daemon

@Suite struct `A roster` {
  @Test func `keeps what it knows of a process that cannot be watched for a while`() throws {
    let child = try child(named: "dt-lost")
    let procfs = try Procfs(path: "/proc")
    let loaded = Configuration.load(
      text: Array("sensitivity = \"high\"\n[[watch]]\ncomm = \"dt-lost\"".utf8), path: "f")
    let roster = Roster(Treatments(loaded.configuration), remembered: StateStore.Remembered(), descriptors: 1000)
    roster.list([child.pid], in: procfs, at: .seconds(100))
    let process = try #require(roster.watched.first?.close)
    for second in 100..<160 { _ = try process.poll(at: .seconds(second)) }
    let known = process.detector.classReports
    try #require(!known.isEmpty)

    roster.remove(0, as: .failed, at: .seconds(160))
    #expect(roster.watched.isEmpty && roster.unseen == [.failed: 1])
    roster.list([child.pid], in: procfs, at: .seconds(170))
    #expect(roster.watched.isEmpty, "it is not tried at each listing")
    _ = roster.reconsider(in: procfs, at: .seconds(199))
    roster.list([child.pid], in: procfs, at: .seconds(200))
    let again = try #require(roster.watched.first?.close)
    #expect(again.detector.classReports.map(\.open) == known.map(\.open) && roster.unseen.isEmpty)
  }

  @Test func `only counts who has more descriptors than there is room for, and looks again later`() throws {
    let child = try child(named: "dt-room")
    try child.open("eventfd", 50)
    let procfs = try Procfs(path: "/proc")
    let loaded = Configuration.load(
      text: Array("sensitivity = \"high\"\n[[watch]]\ncomm = \"dt-room\"".utf8), path: "f")
    let roster = Roster(
      Treatments(loaded.configuration), remembered: StateStore.Remembered(), descriptors: 1000,
      tracking: TrackingBudget(total: 100, perProcess: 80))
    roster.list([child.pid], in: procfs, at: .seconds(100))
    let process = try #require(roster.watched.first?.close)

    try child.open("eventfd", 60)
    _ = try process.poll(at: .seconds(101))
    #expect(!roster.hasRoom(for: 0, at: .seconds(101)))
    #expect(roster.watched[0].close == nil && roster.watched[0].count > 100)
    #expect(roster.takeCountedOnly().map(\.pid) == [child.pid])
    roster.lookClosely(0, in: procfs, at: .seconds(200))
    #expect(roster.watched[0].close == nil, "it is not tried again at once")

    try child.close(Array(child.open.prefix(60)))
    _ = try roster.watched[0].sentry.poll(at: .seconds(701))
    roster.lookClosely(0, in: procfs, at: .seconds(701))
    #expect(roster.watched[0].close != nil && roster.watched[0].countedUntil == nil)
    #expect(roster.takeCountedOnly().isEmpty)
  }

  @Test func `waits for no name service that hangs, and knows the name later`() throws {
    let answer = Mutex<Bool>(false)
    let users = UserNames(patience: .milliseconds(1)) { user in
      while !answer.withLock({ $0 }) { _ = try? Readiness.wait([], until: .now + .milliseconds(1)) }
      return "user\(user)"
    }
    #expect(users.known(7) == nil && users.isWaiting && users.name(7) == "7")
    // Nor does another one wait for it.
    #expect(users.known(8) == nil)
    answer.withLock { $0 = true }
    while users.isWaiting { _ = try Readiness.wait([], until: .now + .milliseconds(1)) }
    #expect(users.known(7) == "user7")
    #expect(UserNames(patience: .seconds(60)) { "u\($0)" }.known(9) == "u9")
  }
}
