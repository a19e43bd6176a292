// SPDX-License-Identifier: Apache-2.0
// A saved state whose checksum is right and whose numbers are not: refused, or harmless.

import Descriptors
import Testing

@testable import Detection

/// With the checksum that fits: see Archive.
private func sealed(_ body: ArraySlice<UInt8>) -> [UInt8] {
  let sum = body.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  return Array(body) + (0..<8).map { UInt8(truncatingIfNeeded: sum >> (8 * UInt64($0))) }
}

@Suite struct `A saved state of absurd numbers` {
  /// Numbers as they lie in the file: the ends of the integers, doubles that are large, infinite, or none.
  private static let absurd: [[UInt8]] =
    ([
      UInt64(Int64.max), UInt64(bitPattern: .min), .max, 1 << 47, (1e300 as Double).bitPattern,
      (-1e300 as Double).bitPattern, Double.infinity.bitPattern, Double.nan.bitPattern, (1e18 as Double).bitPattern,
      (-5 as Double).bitPattern, (1e10 as Double).bitPattern,
    ] as [UInt64]).map { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) } }

  /// Eventfds that leak, files that come and go, sockets of a pool.
  private static func poll(_ second: Int, at time: Duration) -> Poll {
    var poll = Poll(time: time, count: second + 4)
    // So near that there is a finding within 150 s: each field of the state costs a millisecond here, and longer is larger.
    if second == 0 { poll.limits = Limits(soft: 110, hard: 4096) }
    func open(_ number: Int32, _ target: String) {
      poll.opened.append(Poll.Opened(number: number, target: target, inode: UInt64(second), flags: 2, position: 0))
    }
    if second > 0 { poll.closed = [0] }
    open(0, "/srv/upload/part-\(second % 3).tmp")
    if second % 3 == 0 { open(Int32(second + 10), "anon_inode:[eventfd]") }
    return poll
  }

  @Test func `is refused, or changes no more than what is said`() async {
    // In a process of its own: a trap would end all tests.
    await #expect(processExitsWith: .success) {
      var detector = Detector()
      for second in 0..<150 { _ = detector.observe(Self.poll(second, at: .seconds(second))) }
      try #require(!detector.findings.isEmpty, "nothing is found")
      let body = detector.savedState.dropLast(8)
      try #require(try Detector(restoring: sealed(body), savedAt: .seconds(149)).findings == detector.findings)
      var restored = 0
      var refused = 0
      // A number that is no divisor of any field's size: in each field some byte is the first.
      for place in stride(from: 6, to: body.endIndex - 8, by: 7) {
        for number in Self.absurd {
          var changed = body
          changed.replaceSubrange(place..<place + 8, with: number)
          guard var found = try? Detector(restoring: sealed(changed), savedAt: .seconds(149)) else {
            refused += 1
            continue
          }
          restored += 1
          _ = found.observe(Self.poll(0, at: .seconds(150)))
          for second in [151, 160, 100_000] { _ = found.observe(Self.poll(second, at: .seconds(second))) }
          _ = (found.classReports, found.explanations, found.leftovers, found.findings, found.overall, found.footprint)
          _ = try? Detector(restoring: found.savedState, savedAt: .seconds(100_000))
          _ = found.processExited(at: .seconds(100_001))
        }
      }
      // Both happen: text and what lies in the past may be anything.
      #expect(restored > 0 && refused > 100, "\(restored) restored, \(refused) refused")
    }
  }
}
