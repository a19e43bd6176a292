// SPDX-License-Identifier: Apache-2.0
// Waiting for signals and exits, and the clocks.

import Foundation
import Linux
import TestSupport
import Testing

@Suite struct `A queue of signals` {
  @Test func `hands out what came in, in a process of its own`() async {
    await #expect(processExitsWith: .success) {
      let queue = try SignalQueue()
      #expect(try queue.next() == nil)
      raise(SIGWINCH)
      #expect(try queue.wait(until: .now + .seconds(3600)) == .windowChanged)
      raise(SIGINT)
      #expect(try queue.wait(until: .now) == .interrupt)
      #expect(try queue.wait(until: .now) == nil)
    }
  }

  @Test func `wakes when a process exits`() async {
    await #expect(processExitsWith: .success) {
      let queue = try SignalQueue()
      let child = try FDFactory()
      let exit = try ExitHandle(pid: child.pid)
      #expect(try queue.wait(until: .now + .milliseconds(1), orExitOf: [exit]) == nil)
      child.process.closeInput()
      let deadline = Instant.now + .seconds(3600)
      #expect(try queue.wait(until: deadline, orExitOf: [exit]) == nil)
      #expect(Instant.now < deadline)
    }
  }

  @Test func `of a process that is none is refused`() {
    #expect(throws: SystemCallError("pidfd_open", errno: ESRCH)) { try ExitHandle(pid: 4_194_399) }
  }
}

@Suite struct `A clock` {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (1_795_442_531.25, "2026-11-23T14:02:11.250Z"),
    (951_782_400, "2000-02-29T00:00:00.000Z"),
  ]) func `on the wall is written as RFC 3339 says`(epoch: Double, text: String) {
    #expect(WallClock.rfc3339(epoch) == text)
  }

  @Test func `on the wall has a time of day`() {
    #expect(WallClock.timeOfDay(WallClock.now).split(separator: ":").map(\.count) == [2, 2, 2])
    #expect(WallClock.timeOfDay(.infinity) == "--:--:--")
  }

  @Test func `counts durations in whole nanoseconds`() {
    #expect(Duration.milliseconds(1500).nanoseconds == 1_500_000_000)
    #expect(Duration.milliseconds(1500).seconds == 1.5)
    let now = Instant.now
    #expect((now + .seconds(2)) - now == .seconds(2))
    #expect(Instant.now >= now)
  }
}

@Suite struct `The host` {
  @Test func `knows users by name, or by number`() {
    #expect(Host.userName(0) == "root")
    #expect(Host.userName(4_000_000_001) == "4000000001")
  }

  @Test func `knows the kernel`() { #expect(Host.kernelRelease >= (4, 0)) }

  @Test(.enabled(if: Machine.isRoot, "capabilities are what root has")) func `knows what we may do`() async {
    await #expect(processExitsWith: .success) {
      #expect(Host.has(.sysPtrace) && Host.has(.dacReadSearch))
      guard setuid(65534) == 0 else { throw TestFailure("cannot become another user") }
      #expect(!Host.has(.sysPtrace) && !Host.has(.dacReadSearch))
    }
  }
}
