// SPDX-License-Identifier: Apache-2.0
// What the detector says of simulated processes.

import Descriptors
import Detection
import Foundation
import Testing

/// What came of one run.
struct Outcome {
  var alerts: [(time: Double, finding: Finding)] = []
  var resolved: [Resolution] = []
  var notices: [Notice] = []
  var overall = Verdict.unknown

  init(_ process: SimulatedProcess, for duration: Double, untilAlert: Bool = false) {
    var detector = Detector()
    process.run(duration) { poll in
      for event in detector.observe(poll) {
        switch event {
        case .alert(let finding): alerts.append((poll.time / .seconds(1), finding))
        case .resolved(_, let how): resolved.append(how)
        case .notice(let notice): notices.append(notice)
        case .escalated: break
        }
      }
      return !(untilAlert && !alerts.isEmpty)
    }
    overall = detector.overall
  }
}

@Suite struct `A process that does not leak` {
  static let quiet: [(name: String, interval: Double, duration: Double, populations: [Population])] = [
    ("steady churn", 1, 1800, [.churn(10, seconds: 4)]),
    ("long keep-alive", 1, 1800, [.keepAlive(4, seconds: 75)]),
    ("heavy tail", 1, 3600, [.heavyTail(2)]),
    ("collector", 1, 2400, [.collected(1, period: 140)]),
    ("slow collector", 10, 40_000, [.collected(0.04, period: 7000)]),
    ("pool", 1, 2400, [.churn(2, seconds: 2), .pool(50, fillsIn: 150)]),
    ("reload", 1, 1800, [.churn(2, seconds: 3), .step(100, at: 600)]),
    ("cache", 1, 3600, [.cache(300, perSecond: 0.8)]),
    ("day and night", 60, 3 * 86400, [.diurnal(0.5, median: 200)]),
    ("websockets", 60, 3 * 86400, [.diurnal(0.05, median: 2500)]),
    ("log rotation", 10, 86400, [.churn(1, seconds: 8), .rotation(every: 3600)]),
  ]

  @Test(arguments: quiet.indices) func `raises no alarm`(index: Int) {
    let (name, interval, duration, populations) = Self.quiet[index]
    for seed in 1...3 as ClosedRange<UInt64> {
      let outcome = Outcome(
        SimulatedProcess(populations: populations, seed: seed, interval: interval), for: duration)
      let alarm = outcome.alerts.first
      #expect(alarm == nil, "\(name), seed \(seed), \(alarm?.time ?? 0) s: \(alarm?.finding.evidence ?? [])")
    }
  }

  @Test func `is called a sawtooth when a collector closes for it`() {
    let outcome = Outcome(
      SimulatedProcess(populations: [.collected(1, period: 140)], seed: 1, interval: 1), for: 1000)
    #expect(outcome.overall == .sawtooth)
    #expect(outcome.notices.map(\.verdict) == [.sawtooth], "told once")
  }

  @Test func `is called a step when a reload opened more`() {
    let outcome = Outcome(SimulatedProcess(populations: [.step(100, at: 600)], seed: 1, interval: 1), for: 1800)
    #expect(outcome.overall == .step)
  }

  @Test func `is not blamed for what leaked before the watch`() {
    var process = SimulatedProcess(populations: [.churn(5, seconds: 3)], seed: 4, interval: 1)
    process.idle = 800
    #expect(Outcome(process, for: 1800).alerts.isEmpty)
  }
}

@Suite struct `A process that leaks` {
  private func firstAlert(
    _ populations: [Population], interval: Double = 1, for duration: Double = 3600, limit: UInt64 = 1024
  ) throws -> (time: Double, finding: Finding) {
    let process = SimulatedProcess(populations: populations, seed: 7, interval: interval, softLimit: limit)
    return try #require(Outcome(process, for: duration, untilAlert: true).alerts.first)
  }

  @Test func `is found among heavy traffic of the same kind`() throws {
    let (time, finding) = try firstAlert([
      .churn(20, seconds: 3), .leak(0.2, of: { "socket:[\(100_000 + $0)]" }),
    ])
    #expect(finding.kind == .socket)
    #expect(finding.rateInterval.contains(720), "the true rate, \(finding.rateInterval)")
    let leaked = 0.2 * time
    #expect(Double(finding.leaked) > 0.6 * leaked && Double(finding.leaked) < 1.6 * leaked)
  }

  @Test func `is told before it is at half its limit, however fast`() throws {
    let (_, finding) = try firstAlert([.leak(30, of: { "socket:[\(100_000 + $0)]" })])
    #expect(finding.leaked < 512)
    let left = try #require(finding.timeToLimit)
    #expect(left < .seconds(60), "the forecast says how near it is")
  }

  @Test func `is found by the state of its sockets`() throws {
    let (time, finding) = try firstAlert([
      Population({ "socket:[\(100_000 + $0)]" }, rate: { _ in 5 }, tcp: { _ in (.established, "10.0.0.5:5432") }) {
        random, _ in random.exponential(20)
      },
      Population({ "socket:[\(100_000 + $0)]" }, rate: { _ in 0.3 }, tcp: { _ in (.closeWait, "10.0.0.5:5432") }) {
        _, _ in .infinity
      },
    ])
    #expect(finding.kind == .tcp)
    #expect(finding.target == "10.0.0.5:5432 CLOSE_WAIT")
    #expect(time < 120, "that the peer has hung up needs no long proof")
    #expect(finding.evidence.contains { $0.contains("CLOSE_WAIT") })
  }

  @Test func `leaks two classes at once, which are two findings`() {
    let process = SimulatedProcess(
      populations: [
        .churn(5, seconds: 3), .leak(0.3, of: { _ in "anon_inode:[eventfd]" }),
        .leak(0.2, of: { _ in "/srv/models/base.bin" }),
      ], seed: 2, interval: 1, softLimit: 1024)
    let outcome = Outcome(process, for: 1200)
    #expect(Set(outcome.alerts.map(\.finding.kind)) == [.eventfd, .file])
    #expect(outcome.alerts.count == 2, "each is told once")
  }

  @Test func `shows its pattern where names are generated`() throws {
    let (_, finding) = try firstAlert([
      .churn(3, seconds: 2), .leak(0.4, of: { "/srv/upload/part-\($0).tmp (deleted)" }),
    ])
    #expect(finding.target == "/srv/upload/part-*.tmp (deleted)")
  }

  @Test func `is found once a day, in batches`() throws {
    let (time, finding) = try firstAlert(
      [
        Population(
          { "/var/spool/batch/\($0).csv" }, rate: { $0.truncatingRemainder(dividingBy: 86400) < 600 ? 0.06 : 0 }
        ) {
          _, _ in .infinity
        }
      ], interval: 60, for: 6 * 86400)
    #expect(time > 86400, "one batch is a step")
    #expect(finding.kind == .file)
  }

  @Test func `is found when the collector leaves some behind`() throws {
    let (_, finding) = try firstAlert([
      .collected(1, period: 120), .leak(0.06, of: { "/srv/img/\($0).png" }),
    ])
    #expect(finding.kind == .file)
  }

  @Test func `is found when the watch polls by count most of the time`() throws {
    let process = SimulatedProcess(
      populations: [.leak(0.5, of: { _ in "anon_inode:[eventpoll]" })], seed: 3, interval: 10, softLimit: 1024)
    var detector = Detector()
    var alerts: [Finding] = []
    process.run(1800) { census in
      // Between two censuses the count alone is looked at: it is no evidence that nothing was closed.
      for event in detector.observe(census) { if case .alert(let finding) = event { alerts.append(finding) } }
      for second in 1..<10 {
        let count = Poll(time: census.time + .seconds(second), count: census.count, isCensus: false)
        #expect(detector.observe(count).isEmpty)
      }
      return alerts.isEmpty
    }
    #expect(alerts.first?.kind == .eventpoll)
  }

  @Test func `is over when its descriptors are closed`() {
    let process = SimulatedProcess(
      populations: [
        Population({ _ in "anon_inode:[eventfd]" }, rate: { $0 < 600 ? 0.5 : 0 }) { _, born in 700 - born }
      ], seed: 1, interval: 1, softLimit: 1024)
    let outcome = Outcome(process, for: 900)
    #expect(outcome.alerts.count == 1)
    #expect(outcome.resolved.count == 1)
  }

  @Test func `is over when it exits`() throws {
    var detector = Detector()
    SimulatedProcess(
      populations: [.leak(1, of: { _ in "anon_inode:[eventfd]" })], seed: 1, interval: 1, softLimit: 1024
    ).run(200) { poll in
      _ = detector.observe(poll)
      return true
    }
    try #require(detector.findings.count == 1)
    guard case .resolved(_, .exited)? = detector.processExited(at: .seconds(201)).first else {
      Issue.record("not resolved")
      return
    }
    #expect(detector.findings.isEmpty)
  }
}

@Suite struct `What must not matter to a verdict` {
  private static let process = SimulatedProcess(
    populations: [.churn(8, seconds: 4), .leak(0.25, of: { _ in "anon_inode:[eventfd]" }), .heavyTail(1)], seed: 11,
    interval: 1,
    softLimit: 2048)

  private func alerts(_ process: SimulatedProcess) -> [String] {
    Outcome(process, for: 900).alerts.map { "\($0.time - process.startTime) \($0.finding.kind) \($0.finding.leaked)" }
  }

  @Test func `is when the watch began`() {
    var later = Self.process
    later.startTime = 40 * 86400
    #expect(!alerts(Self.process).isEmpty)
    #expect(alerts(later) == alerts(Self.process))
  }

  @Test func `is how descriptors are numbered`() {
    var other = Self.process
    other.firstNumber = 5000
    #expect(alerts(other) == alerts(Self.process))
  }

  @Test func `is how many others lie idle`() {
    var other = Self.process
    other.idle = 500
    // They count towards the limit, which is raised by as many: the forecast is the same.
    other.softLimit += 488
    #expect(alerts(other) == alerts(Self.process))
  }
}

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
    #expect(reports.filter { $0.open == 2 }.count >= 30, "those that came first are told apart")
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
