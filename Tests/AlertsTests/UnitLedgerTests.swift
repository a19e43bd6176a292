// SPDX-License-Identifier: Apache-2.0
// Workers that come and go, fed by hand.

import Descriptors
import Detection
import Foundation
import Testing

@testable import Alerts

@Suite struct `Workers of a unit` {
  private static let life = Duration.seconds(600)

  private func left(_ survivors: Int, early: Bool = false, target: String = "/srv/*") -> [Leftovers] {
    let sum = (0..<survivors).reduce(0.0) { $0 + (early ? 0.01 : (Double($1) + 0.5) / Double(survivors)) }
    return [
      Leftovers(
        kind: .file, target: target, survivors: survivors, evidence: 4, placesSum: sum, thirds: early ? 1 : 7,
        span: 600)
    ]
  }

  private func worker(_ pid: Int32) -> AlertProcess {
    AlertProcess(pid: pid, startTime: 1, command: "gunicorn", executable: nil, user: "www", unit: "web.service")
  }

  private func exit(
    _ ledger: inout UnitLedger, _ pid: Int32, _ leftovers: [Leftovers]?, growth: Int = 0, seconds: Double = 600,
    at time: Duration
  ) {
    ledger.exited(
      ExitedWorker(
        worker(pid), limits: limits, run: 7, leftovers: leftovers, growth: growth, seconds: seconds,
        lastSeen: time - .seconds(5)),
      at: time)
  }

  private func changes(_ ledger: inout UnitLedger, at time: Duration) -> [UnitLedger.Change] {
    ledger.settle(at: time) { _ in 4 }.map(\.change)
  }

  /// One worker after the other, each replaced at once.
  private func run(_ ledger: inout UnitLedger, _ workers: [[Leftovers]], from start: Int = 0) -> [UnitLedger.Change] {
    workers.enumerated().flatMap { index, leftovers in
      let time = Self.life * (start + index + 1)
      exit(&ledger, Int32(index), leftovers, at: time)
      ledger.appeared(worker(Int32(index + 1)), start: time)
      return changes(&ledger, at: time + .seconds(40))
    }
  }

  @Test func `that each leak a little are a leak of the unit`() {
    var ledger = UnitLedger()
    let found = run(&ledger, (0..<10).map { _ in left(5) })
    guard case .leak(let finding)? = found.first else { return #expect(Bool(false), "\(found)") }
    #expect(finding.kind == .file && finding.target == "/srv/*")
    #expect(abs(finding.ratePerHour - 4 * 30) < 1)
    #expect(finding.evidence[0].contains("5 workers have exited that still held 25 files /srv/*"))
    // The figures are kept up to date.
    guard case .leak(let last)? = found.last else { return #expect(Bool(false)) }
    #expect(found.count == 6 && last.leaked == 50)
    // Workers of the mended program take it back.
    let after = run(&ledger, Array(repeating: [], count: 30), from: 10)
    guard case .resolved? = after.first else { return #expect(Bool(false)) }
    #expect(after.count == 1)
  }

  @Test func `are known after a restart as they were before`() throws {
    var before = UnitLedger()
    #expect(run(&before, (0..<4).map { _ in left(5) }).isEmpty)
    var ledger = try JSONDecoder().decode(UnitLedger.self, from: JSONEncoder().encode(before))
    #expect(run(&ledger, [left(5)], from: 4).count == 1)
  }

  @Test func `that keep what they opened at their start, or of which few leave any, do not leak`() {
    var pools = UnitLedger()
    #expect(run(&pools, (0..<50).map { _ in left(5, early: true) }).isEmpty)
    var few = UnitLedger()
    #expect(run(&few, (0..<60).map { $0 % 3 == 0 ? left(5) : [] }).isEmpty)
    var short = UnitLedger()
    for pid in 0..<50 {
      exit(&short, Int32(pid), left(5), seconds: 3, at: .seconds(Int64(pid)))
      short.appeared(worker(Int32(pid)), start: .seconds(Int64(pid)))
    }
    #expect(changes(&short, at: Self.life).isEmpty)
  }

  @Test func `that end together and have no successors say nothing of each other`() {
    var ledger = UnitLedger()
    // A service that stops, in its own time: none of them is replaced.
    for pid in 0..<20 { exit(&ledger, Int32(pid), left(20), at: Self.life + .seconds(Int64(pid) * 4)) }
    for second in stride(from: 0, to: 4000, by: 50) {
      #expect(changes(&ledger, at: Self.life + .seconds(second)).isEmpty)
    }
  }

  @Test func `of a unit that was started anew are not known by what went before`() {
    var ledger = UnitLedger()
    for pid in 0..<20 { exit(&ledger, Int32(pid), left(20), at: Self.life) }
    // Their successors are of another run.
    for pid in 20..<40 { ledger.appeared(worker(Int32(pid)), start: Self.life + .seconds(1)) }
    #expect(ledger.runs == ["web.service": 7])
    #expect(changes(&ledger, at: Self.life + .seconds(29)).isEmpty, "it is waited for that")
    ledger.forget("web.service", unless: 8)
    #expect(ledger.runs.isEmpty && changes(&ledger, at: Self.life + .seconds(40)).isEmpty)
    // What belongs to the run that goes on stays.
    exit(&ledger, 50, left(20), at: Self.life * 2)
    ledger.forget("web.service", unless: 7)
    #expect(ledger.runs == ["web.service": 7])
  }

  @Test func `whose targets have their pids in them leak the same`() {
    var ledger = UnitLedger()
    let found = run(&ledger, (0..<10).map { left(5, target: "/x/leak-\(4711 + $0)-*") })
    guard case .leak(let finding)? = found.first else { return #expect(Bool(false), "\(found)") }
    #expect(finding.target == "/x/leak-*-*" && finding.leaked == 25)
    // Five files of five names each, in one worker, count together.
    var single = UnitLedger()
    let each = run(&single, (0..<10).map { pid in (0..<5).flatMap { left(1, target: "/x/leak-\(pid)-\($0)") } })
    guard case .leak(let same)? = each.first else { return #expect(Bool(false), "\(each)") }
    #expect(same.target == "/x/leak-*-*" && same.leaked == 25)
    // An address is another, whatever its numbers.
    var peers = UnitLedger()
    #expect(run(&peers, (0..<10).map { left(5, target: "10.0.0.\($0):5432") }).isEmpty)
  }

  @Test func `that were only counted are looked at once their counts have risen enough together`() {
    var ledger = UnitLedger()
    exit(&ledger, 1, nil, growth: 10, at: Self.life)
    #expect(!ledger.wantsCloserLook(at: worker(2)))
    exit(&ledger, 2, nil, growth: 10, at: Self.life * 2)
    #expect(ledger.wantsCloserLook(at: worker(3)))
    var other = worker(3)
    other.command = "cron"
    #expect(!ledger.wantsCloserLook(at: other))
    // Those that leave nothing end it.
    for pid in 3..<9 {
      exit(&ledger, Int32(pid), [], at: Self.life * pid)
      ledger.appeared(worker(Int32(pid + 1)), start: Self.life * pid)
      _ = changes(&ledger, at: Self.life * pid + .seconds(40))
    }
    #expect(!ledger.wantsCloserLook(at: worker(10)))
    // Who is not looked at does not count as clean.
    var told = UnitLedger()
    #expect(run(&told, (0..<5).map { _ in left(5) }).count == 1)
    for pid in 5..<40 {
      exit(&told, Int32(pid), nil, growth: 10, at: Self.life * pid)
      told.appeared(worker(Int32(pid + 1)), start: Self.life * pid)
      #expect(changes(&told, at: Self.life * pid + .seconds(40)).isEmpty)
    }
  }

  @Test func `are no rate when none is left`() throws {
    var book = AlertBook()
    var unit = process(0)
    unit.startTime = 0
    _ = book.alert(finding(), unit, at: .zero)
    #expect(book.firing[0].ratePerHour > 0)
    #expect(book.firing[0].headline.contains("its workers have exited with 12 that they had not closed, +38/h"))
    book.rest("orders.service")
    #expect(book.firing[0].ratePerHour == 0 && !book.firing[0].headline.contains("/h"))
    #expect(book.endUnit("orders.service", at: at(.seconds(9))).words == [.resolved])
  }
}
