// SPDX-License-Identifier: Apache-2.0
// Into which classes descriptors fall.

import Descriptors
import Detection
import Testing

@Suite struct `Classes` {
  private func opened(_ number: Int32, _ target: String) -> Poll.Opened {
    Poll.Opened(number: number, target: target, inode: UInt64(number) + 1000, flags: 2, position: 0)
  }

  @Test func `are bounded, and none that has members makes room`() {
    var detector = Detector()
    var poll = Poll(time: .zero, count: 0)
    // Two of each: far more targets than there may be classes.
    for index in 0..<300 as Range<Int32> { poll.opened.append(opened(index, "anon_inode:[kind\(index / 2)]")) }
    poll.count = poll.opened.count
    _ = detector.observe(poll)
    let reports = detector.classReports
    #expect(reports.count <= 41)
    #expect(reports.reduce(0) { $0 + $1.open } == 300)
    #expect(reports.filter { $0.open == 2 }.count >= 12, "those that came first are told apart")
  }

  @Test func `take in all descriptors of a socket when its state is told`() {
    var detector = Detector()
    var poll = Poll(time: .zero, count: 3)
    poll.opened = (3...5 as ClosedRange<Int32>).map { number in
      var one = opened(number, "socket:[77]")
      one.inode = 77
      return one
    }
    poll.tcp = [.init(inode: 77, state: .established, peer: "10.0.0.5:5432")]
    _ = detector.observe(poll)
    #expect(detector.classReports.map(\.kind) == [.tcp])
    #expect(detector.classReports.map(\.open) == [3])
  }
}
