// SPDX-License-Identifier: Apache-2.0
// What is told, how often, and under which name.

import Descriptors
import Detection
import Testing

/// A process that opens something at each poll, one a second, and closes nothing.
private struct Growing {
  var detector = Detector()
  private var number: Int32 = 3
  private var time = 0

  init(limit: UInt64 = 4096) { self.limit = limit }
  private let limit: UInt64

  private func opened(_ target: String, inode: UInt64) -> Poll.Opened {
    Poll.Opened(number: number, target: target, inode: inode, flags: 0, position: 0)
  }

  /// - Parameter targets: what is opened in this second.
  mutating func second(_ targets: [String]) -> [DetectionEvent] {
    var poll = Poll(time: .seconds(time), count: 0)
    if time == 0 { poll.limits = Limits(soft: limit, hard: limit) }
    for target in targets {
      poll.opened.append(opened(target, inode: UInt64(number)))
      number += 1
    }
    poll.count = Int(number) - 3
    time += 1
    return detector.observe(poll)
  }
}

@Suite struct `What is told of a leak` {
  @Test func `is a suspicion first, then an alert, under one id, and ever more probable`() {
    var process = Growing(limit: 1 << 20)
    var told: [(word: String, finding: Finding)] = []
    for _ in 0..<600 {
      for event in process.second(["anon_inode:[eventfd]"]) {
        switch event {
        case .suspected(let finding): told.append(("suspected", finding))
        case .alert(let finding): told.append(("alert", finding))
        case .raised(let finding, let isAlert): told.append((isAlert ? "alert again" : "suspected again", finding))
        default: break
        }
      }
    }
    #expect(Set(told.map(\.finding.id)).count == 1)
    #expect(told.filter { $0.word == "suspected" }.count == 1 && told.filter { $0.word == "alert" }.count == 1)
    #expect(told.first?.word == "suspected")
    let probabilities = told.map(\.finding.confidence)
    #expect(
      zip(probabilities, probabilities.dropFirst()).allSatisfy { $1 >= $0 + 0.049 || $1 >= 0.9 }, "\(probabilities)")
    let alert = told.first { $0.word == "alert" }?.finding
    #expect((alert?.confidence ?? 0) >= 0.9, "no limit is near")
    for (_, finding) in told {
      let other = finding.runnerUp
      #expect(other != nil && other?.explanation != .leak && (other?.probability ?? 1) < finding.confidence)
      #expect(finding.settles?.isEmpty == false)
    }
  }

  /// With two classes that leak alike the limit is twice as near as each of them makes it.
  @Test func `counts all that grows when it says how long is left`() throws {
    func secondsLeft(_ targets: [String]) throws -> Double {
      var process = Growing(limit: 2000)
      for _ in 0..<300 { _ = process.second(targets) }
      let finding = try #require(process.detector.findings.first)
      return try #require(finding.timeToLimit) / .seconds(1)
    }
    let one = try secondsLeft(["anon_inode:[eventfd]"])
    let two = try secondsLeft(["anon_inode:[eventfd]", "anon_inode:[eventpoll]"])
    #expect(abs(one - 1700) < 60 && abs(two - 700) < 60, "\(one) \(two)")
  }

  @Test func `goes on being counted when it slows down`() throws {
    var process = Growing(limit: 1 << 20)
    for _ in 0..<300 { _ = process.second(["anon_inode:[eventfd]"]) }
    let before = try #require(process.detector.findings.first)
    for round in 0..<600 { _ = process.second(round % 20 == 0 ? ["anon_inode:[eventfd]"] : []) }
    let after = try #require(process.detector.findings.first)
    #expect(after.id == before.id && after.leaked >= before.leaked + 20)
  }

  /// A log that is renamed and then deleted is what it was opened as: else its class would be joined by old members only.
  @Test func `is the same for files that are renamed and deleted`() throws {
    var detector = Detector()
    var told: [Finding] = []
    for second in 0..<400 {
      var poll = Poll(time: .seconds(second), count: second + 1)
      if second == 0 { poll.limits = Limits(soft: 4096, hard: 4096) }
      func file(_ index: Int, _ target: String) -> Poll.Opened {
        Poll.Opened(number: Int32(10 + index), target: target, inode: UInt64(1000 + index), flags: 0, position: 0)
      }
      // In ten seconds each gets another name, in twenty none.
      for (age, name) in [
        (20, "/var/log/pods/p\(second - 20).log.1 (deleted)"), (10, "/var/log/pods/p\(second - 10).log.1"),
      ]
      where second >= age {
        poll.closed.append(Int32(10 + second - age))
        poll.opened.append(file(second - age, name))
      }
      poll.opened.append(file(second, "/var/log/pods/p\(second).log"))
      for event in detector.observe(poll) { if case .alert(let finding) = event { told.append(finding) } }
    }
    #expect(told.count == 1)
    let finding = try #require(told.first)
    #expect(finding.target?.hasPrefix("/var/log/pods/p") == true)
    #expect(finding.evidence.contains { $0.contains("deleted") })
    #expect(detector.classReports.count == 1, "one class")
  }

  /// With its figures the line differs at each poll.
  @Test func `is explained anew only when that changes more than a figure`() {
    var process = Growing(limit: 1 << 20)
    var printed: [Consideration] = []
    var texts: Set<String> = []
    for _ in 0..<400 {
      _ = process.second(["anon_inode:[eventfd]"])
      for new in process.detector.considerations {
        texts.insert(new.text)
        if new.isNews(after: printed.last) { printed.append(new) }
      }
    }
    #expect(texts.count > 300 && (3...12).contains(printed.count), "\(texts.count) \(printed.map(\.text))")
    #expect(printed.last?.verdict == .leak && (printed.last?.probability ?? 0) > 0.85)
  }

  @Test func `is never called steady while it grows`() {
    var process = Growing()
    for second in 0..<60 {
      _ = process.second(["anon_inode:[eventfd]"])
      if second > 0 { #expect(process.detector.classReports.allSatisfy { $0.verdict != .steady }) }
    }
  }
}
