// SPDX-License-Identifier: Apache-2.0
// Saved alerts whose form is right and whose numbers cannot be: refused, or harmless.

import Alerts
import Descriptors
import Detection
import Foundation
import TestSupport
import Testing

@testable import Daemon

@Suite struct `Saved alerts of absurd numbers` {
  private static let process = AlertProcess(
    pid: 5, startTime: 6, command: "x", executable: nil, user: "root", unit: "a.service")
  private static let finding = Finding(
    id: 1, kind: .file, target: "/x", leaked: 40, since: .seconds(9), ratePerHour: 12, rateInterval: 9...15,
    timeToLimit: .seconds(500), timeToLimitInterval: .seconds(400)...Duration.seconds(600), confidence: 0.9,
    evidence: ["seen"])

  /// A leak that goes on, one that is over, a report, a sum of what was too much, workers of a unit.
  private static func filled() -> (AlertBook, UnitLedger) {
    var book = AlertBook(seed: 3)
    book.policy.burst = 1
    let limits = Limits(soft: 1024, hard: 4096)
    func moment(_ second: Int) -> Moment { Moment(time: .seconds(second), wall: 1_700_000_000) }
    _ = book.take(.alert(finding), of: process, count: 50, limits: limits, at: moment(10))
    var other = process
    (other.pid, other.unit) = (7, "b.service")
    _ = book.take(.alert(finding), of: other, count: 50, limits: limits, at: moment(11))
    _ = book.take(.resolved(finding, .closed), of: other, count: 9, limits: limits, at: moment(12))
    _ = book.report("late", subject: "late", of: process, at: moment(13))
    book.lost(process, at: moment(14))
    var units = UnitLedger()
    for second in 20..<26 {
      let left = Leftovers(
        kind: .file, target: "/x", survivors: 6, evidence: 5, placesSum: 3, thirds: 7, span: 100)
      units.exited(worker([left], at: .seconds(second)), at: .seconds(second))
      // The last two have no successors yet.
      if second < 24 { units.appeared(process, start: .seconds(second)) }
      _ = units.settle(at: .seconds(second < 24 ? second + 40 : second)) { _ in 2 }
    }
    units.exited(worker(nil, at: .seconds(30)), at: .seconds(30))
    return (book, units)
  }

  /// One that has exited.
  private static func worker(_ leftovers: [Leftovers]?, at time: Duration) -> ExitedWorker {
    var process = process
    process.unit = "a.service"
    return ExitedWorker(
      process, limits: Limits(soft: 9, hard: 9), run: 7, leftovers: leftovers, growth: 9, seconds: 100, lastSeen: time)
  }

  @Test func `are refused, or change no more than what is said`() async {
    // In a process of its own: a trap would end all tests.
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let store = StateStore(folder: directory.path)
      let (book, units) = Self.filled()
      try store.save(book.saved, units, boot: "a")
      let path = directory.path + "/alerts.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      var (restored, refused) = (0, 0)
      for place in text.ranges(of: /-?[0-9]+(\.[0-9]+)?/) {
        for number in ["9223372036854775807", "-9223372036854775808", "1e300", "0", "-1"] {
          try text.replacingCharacters(in: place, with: number).write(toFile: path, atomically: true, encoding: .utf8)
          guard let found = try? store.rememberedAlerts(boot: "a") else {
            refused += 1
            continue
          }
          restored += 1
          var book = AlertBook()
          var units = found.units
          book.restore(found.book, at: .seconds(100))
          let moment = Moment(time: .seconds(100_000), wall: 1_700_000_000)
          for alert in book.firing { _ = (alert.priority, alert.json { _ in "" }) }
          for event in book.tick(at: moment) { _ = JournalEntry(event) }
          _ = book.update(Self.finding, of: Self.process, count: 1, limits: Limits(soft: 9, hard: 9), at: moment)
          _ = book.endUnconfirmed(at: moment) + book.exited(Self.process, at: moment) + book.finish(at: moment)
          units.exited(Self.worker([], at: moment.time), at: moment.time)
          _ = units.settle(at: moment.time + .seconds(40)) { _ in 0 }
        }
      }
      #expect(restored > 0 && refused > restored / 4, "\(restored) restored, \(refused) refused")
    }
  }
}
