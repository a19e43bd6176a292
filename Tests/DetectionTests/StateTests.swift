// SPDX-License-Identifier: Apache-2.0
// What a detector remembers: over a restart, and in how many bytes.

import Descriptors
import Detection
import Testing

/// A process that opens an eventfd every few seconds for good, beside sockets that come and go.
private struct Leaky {
  private var open: [Int32: Poll.Opened] = [:]
  private var nextInode: UInt64 = 1000

  private mutating func add(_ number: Int32, _ target: (UInt64) -> String) -> Poll.Opened {
    nextInode += 1
    let new = Poll.Opened(number: number, target: target(nextInode), inode: nextInode, flags: 2, position: 0)
    open[number] = new
    return new
  }

  /// What happens in one second.
  mutating func poll(_ second: Int, at time: Duration) -> Poll {
    var poll = Poll(time: time, count: 0)
    if second == 0 { poll.limits = Limits(soft: 1024, hard: 4096) }
    for slot in 0..<5 as Range<Int32> where (second + Int(slot)) % 4 == 0 {
      if open[slot] != nil { poll.closed.append(slot) }
      poll.opened.append(add(slot) { "socket:[\($0)]" })
    }
    if second % 3 == 0 { poll.opened.append(add(Int32(10 + second / 3)) { _ in "anon_inode:[eventfd]" }) }
    poll.count = open.count
    return poll
  }

  /// A census that knows nothing: all that is open.
  func whole(at time: Duration) -> Poll {
    var poll = Poll(time: time, count: open.count)
    poll.opened = open.values.sorted { $0.number < $1.number }
    return poll
  }

  mutating func closeEventfds() -> [Int32] {
    let numbers = open.keys.filter { $0 >= 10 }.sorted()
    for number in numbers { open[number] = nil }
    return numbers
  }
}

private func alert(_ events: [DetectionEvent]) -> Finding? {
  for case .alert(let finding) in events { return finding }
  return nil
}

@Suite struct `A detector that is saved and restored` {
  /// The second of the alert, and the finding.
  private func firstAlert(restartingAt restart: Int?, gap: Int = 0) throws -> (second: Int, finding: Finding) {
    var process = Leaky()
    var detector = Detector()
    var start = 0
    for second in 0..<900 {
      if second == restart {
        // The clock of the new watch begins with it; what was open goes on being open for some seconds unseen.
        detector = try Detector(restoring: detector.savedState, savedAt: .seconds(-gap))
        for unseen in 0..<gap { _ = process.poll(second + unseen, at: .zero) }
        start = second + gap
        _ = detector.observe(process.whole(at: .zero))
      }
      if second < start { continue }
      let time = Duration.seconds(second - start + (restart.map { second > $0 ? 1 : 0 } ?? 0))
      if let finding = alert(detector.observe(process.poll(second, at: time))) { return (second, finding) }
    }
    throw SavedStateError.foreign
  }

  @Test(arguments: [0, 7]) func `knows the ages of what was open before`(gap: Int) throws {
    let straight = try firstAlert(restartingAt: nil)
    let restarted = try firstAlert(restartingAt: 40, gap: gap)
    // What was opened and closed unseen is missing from the clock of work: no more than the gap is lost by it.
    #expect(abs(straight.second - restarted.second) <= 3 + gap, "\(straight.second) \(restarted.second)")
    #expect(abs(straight.finding.leaked - restarted.finding.leaked) <= 3)
    #expect(restarted.finding.since < .zero, "the first leaked one is older than the new watch")
  }

  @Test func `goes on with what it had found, and tells its end`() throws {
    var process = Leaky()
    var detector = Detector()
    for second in 0..<500 { _ = detector.observe(process.poll(second, at: .seconds(second))) }
    let before = try #require(detector.findings.first)
    var restored = try Detector(restoring: detector.savedState, savedAt: .seconds(-10))
    let after = try #require(restored.findings.first)
    #expect(after.id == before.id && after.since == before.since - .seconds(509))
    #expect(restored.overall == .leak && restored.observe(process.whole(at: .zero)).isEmpty, "told twice")
    var poll = Poll(time: .seconds(5), count: 5)
    poll.closed = process.closeEventfds()
    guard case .resolved(let finding, _)? = restored.observe(poll).first else {
      Issue.record("its end is not told")
      return
    }
    #expect(finding.id == before.id)
  }

  @Test func `does not take what was closed meanwhile for a collector's release`() throws {
    var process = Leaky()
    var detector = Detector()
    for second in 0..<300 { _ = detector.observe(process.poll(second, at: .seconds(second))) }
    for _ in 0..<3 {
      detector = try Detector(restoring: detector.savedState, savedAt: .seconds(-60))
      _ = process.closeEventfds()
      for event in detector.observe(process.whole(at: .zero)) {
        if case .notice(let notice) = event { Issue.record("\(notice.text)") }
      }
      for second in 300..<400 { _ = detector.observe(process.poll(second, at: .seconds(second - 299))) }
    }
  }

  @Test func `says the same when it is saved again`() throws {
    var process = Leaky()
    var detector = Detector()
    for second in 0..<200 { _ = detector.observe(process.poll(second, at: .seconds(second))) }
    let saved = detector.savedState
    #expect(try Detector(restoring: saved, savedAt: .seconds(199)).savedState == saved)
  }

  @Test func `is refused if it is anything else`() throws {
    var process = Leaky()
    var detector = Detector()
    for second in 0..<100 { _ = detector.observe(process.poll(second, at: .seconds(second))) }
    let saved = detector.savedState
    func refusal(_ bytes: [UInt8]) -> SavedStateError? {
      do {
        _ = try Detector(restoring: bytes, savedAt: .zero)
        return nil
      } catch { return error }
    }
    #expect(refusal([]) == .foreign && refusal(Array("{\"t\":1}".utf8)) == .foreign)
    var other = saved
    other[4] = 9
    #expect(refusal(other) == .otherVersion(9))
    #expect(refusal(other)?.description.contains("have format 9; this one reads 3") == true)
    for length in stride(from: 6, to: saved.count, by: 7) { #expect(refusal(Array(saved[..<length])) == .damaged) }
    for index in stride(from: 6, to: saved.count, by: 5) {
      var bytes = saved
      bytes[index] ^= 0x40
      #expect(refusal(bytes) == .damaged)
    }
    #expect(refusal(saved + [0]) == .damaged)
  }
}

@Suite struct `What a detector keeps` {
  /// Opens and closes, with all that a class can remember: ages of all sizes, findings, evidence.
  private func feed(_ detector: inout Detector, tracked: Int, target: (Int, UInt64) -> String) {
    var inode: UInt64 = 0
    for round in 0..<60 {
      var poll = Poll(time: .seconds(round * round * 30), count: tracked)
      if round == 0 { poll.limits = Limits(soft: 65_536, hard: 65_536) }
      for index in 0..<tracked where round == 0 || index % 7 == round % 7 {
        inode += 1
        if round > 0 { poll.closed.append(Int32(index)) }
        poll.opened.append(
          Poll.Opened(number: Int32(index), target: target(index, inode), inode: inode, flags: 2, position: 0))
      }
      _ = detector.observe(poll)
    }
  }

  @Test(arguments: [20, 1000]) func `is bounded, whatever names a process uses`(tracked: Int) {
    let targets: [(String, (Int, UInt64) -> String)] = [
      (
        "an ordinary mixture",
        { index, inode in
          switch index % 8 {
          case 0, 1, 2: "socket:[\(inode)]"
          case 3: "/srv/upload/part-\(inode).tmp (deleted)"
          case 4: "/var/lib/app/db-\(index % 5)"
          case 5: "anon_inode:[eventfd]"
          case 6: "pipe:[\(inode)]"
          default: "/var/log/app/app.log"
          }
        }
      ),
      ("names that never repeat", { index, inode in "/\(inode % 977)/\(inode % 31)/some-quite-long-name-\(inode)/x" }),
      ("unknown kinds", { index, inode in "anon_inode:[a-kind-that-nobody-knows-\(inode % 500)]" }),
    ]
    for (name, target) in targets {
      var detector = Detector()
      feed(&detector, tracked: tracked, target: target)
      let bytes = detector.footprint
      // Beside it 24 bytes are kept of each for the census.
      #expect(bytes <= 40 * tracked + 16_384, "\(name), \(tracked) open: \(bytes) bytes")
    }
  }

  @Test func `does not grow with time`() {
    var detector = Detector()
    var process = Leaky()
    var most = [0, 0]
    let month = 30 * 288
    for round in 0..<month {
      var poll = process.poll(round, at: .seconds(round * 300))
      // All but the churn is closed now and then.
      if round % 50 == 49 { poll.closed = (poll.closed + process.closeEventfds()).sorted() }
      _ = detector.observe(poll)
      let half = round * 2 / month
      most[half] = max(most[half], detector.footprint)
    }
    #expect(most[1] * 4 <= most[0] * 5)
  }
}
