// SPDX-License-Identifier: Apache-2.0
// An alert and its stack, told together where that is possible, and never lost.

import Attribution
import Descriptors
import Detection
import Testing

@Suite struct `An alert` {
  /// A process that leaks one eventfd a second, and is asked for its profile at these times.
  private func events(
    profilesAt times: Set<Int>, seconds: Int = 300, exitsAfterAlert: Bool = false
  ) -> [(time: Int, event: DetectionEvent)] {
    var analysis = Analysis()
    var told: [(Int, DetectionEvent)] = []
    var detector = Detector()
    for time in 0..<seconds {
      var poll = Poll(time: .seconds(time), count: 10 + time)
      if time == 0 { poll.limits = Limits(soft: 4096, hard: 4096) }
      poll.opened = [
        .init(number: Int32(10 + time), target: "anon_inode:[eventfd]", inode: 5, flags: 2, position: 0)
      ]
      if times.contains(time) {
        poll.profiles = [.init(name: "file", stacks: [.init(frames: ["main.leak"], count: time)])]
      }
      told += analysis.observe(poll).map { (time, $0) }
      // The detector alone, to know when it would have told.
      if exitsAfterAlert, detector.observe(poll).contains(where: { if case .alert = $0 { true } else { false } }) {
        return told + analysis.processExited(at: .seconds(time + 1)).map { (time + 1, $0) }
      }
    }
    return told
  }

  private func alert(_ events: [(time: Int, event: DetectionEvent)]) throws -> (time: Int, blame: Blame?) {
    let alerts = events.compactMap { entry -> (Int, Blame?)? in
      if case .alert(let finding) = entry.event { (entry.time, finding.blame) } else { nil }
    }
    #expect(alerts.count == 1, "told once")
    return try #require(alerts.first)
  }

  @Test func `waits for nobody where there are no profiles`() throws {
    let (time, blame) = try alert(events(profilesAt: []))
    #expect(blame == nil)
    let (later, _) = try alert(events(profilesAt: [0]))
    #expect(later > time && later <= time + 6, "where there is one, for a moment")
  }

  @Test func `has its stack where that is known`() throws {
    let (_, blame) = try alert(events(profilesAt: Set(stride(from: 0, to: 300, by: 5))))
    #expect(blame?.stacks.map(\.culprit) == ["main.leak"])
    #expect((blame?.explained ?? 0) > 0.95)
  }

  @Test func `that went out without is followed by who it was, once`() throws {
    let all = events(profilesAt: Set([0] + Array(260..<300)))
    let (time, blame) = try alert(all)
    #expect(blame?.stacks.isEmpty == true && time < 260)
    let followers = all.filter { if case .attributed = $0.event { true } else { false } }
    #expect(followers.map(\.time) == [260])
  }

  @Test func `has its stack over a restart, until a profile says otherwise`() throws {
    var analysis = Analysis()
    func poll(_ time: Int, opened: ClosedRange<Int>, by function: String?) -> Poll {
      var poll = Poll(time: .seconds(time), count: 10 + time)
      if time == 0 { poll.limits = Limits(soft: 4096, hard: 4096) }
      poll.opened = opened.map {
        .init(number: Int32(10 + $0), target: "anon_inode:[eventfd]", inode: 5, flags: 2, position: 0)
      }
      if let function {
        poll.profiles = [
          .init(
            name: "file",
            stacks: [.init(frames: [function], count: time, descriptors: (10...(10 + time)).map { Int32($0) })])
        ]
      }
      return poll
    }
    for time in 0..<300 { _ = analysis.observe(poll(time, opened: time...time, by: "main.leak")) }
    let before = try #require(analysis.findings.first?.blame)
    #expect(before.stacks.map(\.culprit) == ["main.leak"])

    var restored = Analysis(
      detector: try Detector(restoring: analysis.savedState, savedAt: .seconds(299)))
    #expect(restored.findings.map(\.blame) == [before])
    // Everything that is open, and no profile yet: nobody is told anew whom to blame.
    var census = poll(300, opened: 0...300, by: nil)
    census.isCensus = true
    let events = restored.observe(census)
    #expect(!events.contains { if case .attributed = $0 { true } else { false } })
    #expect(restored.findings.map(\.blame) == [before])
    for time in 301..<310 { _ = restored.observe(poll(time, opened: time...time, by: "main.other")) }
    #expect(restored.findings.first?.blame?.stacks.map(\.culprit) == ["main.other"])
  }

  @Test func `that waits for its stack is not lost when the process exits`() throws {
    let all = events(profilesAt: [0], exitsAfterAlert: true)
    _ = try alert(all)
    guard case .resolved(_, .exited) = all.last?.event else {
      Issue.record("no end: \(all)")
      return
    }
  }

  @Test func `of a limit can name what fills the table, and the stack that opened most of it`() throws {
    var analysis = Analysis()
    for time in 0..<30 {
      var poll = Poll(time: .seconds(time * 10), count: 100 + 2 * time)
      // A pool from the beginning, and something that grows.
      let numbers = time == 0 ? Array(0..<100) : [98 + 2 * time, 99 + 2 * time]
      poll.opened = numbers.map {
        .init(
          number: Int32($0), target: time == 0 ? "anon_inode:[eventfd]" : "pipe:[\($0)]", inode: UInt64($0), flags: 2,
          position: 0)
      }
      if time == 29 {
        poll.profiles = [
          .init(
            name: "file",
            stacks: [.init(frames: ["main.pool"], count: 100), .init(frames: ["main.leak"], count: 2 * time)])
        ]
      }
      _ = analysis.observe(poll)
    }
    let holders = analysis.holders
    #expect(holders.most?.kind == .eventfd && holders.fastest?.kind == .pipe)
    // The rate of the last minute or so.
    #expect(holders.sentences == ["100 of 158 are eventfd", "pipe grows fastest, by 13/min to 58"])
    let stack = try #require(holders.blame?.stacks.first)
    #expect(stack.culprit == "main.pool" && abs(stack.share - 100.0 / 158) < 0.01)
  }
}
