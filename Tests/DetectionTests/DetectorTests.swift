// SPDX-License-Identifier: Apache-2.0
// What the detector says of processes that are made to show one thing each.

import Descriptors
import Detection
import Testing

extension Scenario {
  /// A process of these sources.
  init(
    _ name: String, _ sources: [Source], seed: UInt64 = 1, every interval: Double = 1, for duration: Double = 1800,
    limit: UInt64 = 4096, readsSockets: Bool = false
  ) {
    self.init(
      name: name, seed: seed, interval: interval, duration: duration, softLimit: limit, readsSockets: readsSockets,
      sources: sources)
  }
}

extension Source {
  static func churn(_ perSecond: Double, seconds: Double) -> Source {
    Source(.socket, .load(perSecond: perSecond, .exponential(mean: seconds), .constant, leaking: 0, from: 0))
  }

  static func work(_ perSecond: Double, _ lifetime: Lifetime, _ rhythm: Rhythm = .constant) -> Source {
    Source(.socket, .load(perSecond: perSecond, lifetime, rhythm, leaking: 0, from: 0))
  }

  static func collected(_ perSecond: Double, period: Double, missing: Double = 0) -> Source {
    Source(
      .paths(prefix: "/srv/img/", count: 1 << 40),
      .collected(perSecond: perSecond, every: period, most: .max, missing: missing))
  }

  static func leak(_ perSecond: Double, of look: Look, from start: Double = 0) -> Source {
    Source(look, .load(perSecond: perSecond, .forever, .constant, leaking: 1, from: start))
  }

  static let reload = Source(
    .paths(prefix: "/etc/app/vhost", count: 1 << 40),
    .batches(every: 100, size: 100...100, lifetime: .forever, from: 600, until: 601))
}

@Suite struct `A process that does not leak` {
  private static let quiet: [Scenario] = [
    Scenario("steady churn", [.churn(10, seconds: 4)]),
    Scenario("long keep-alive", [.work(4, .keepAlive(busy: 0.1, timeout: 75))]),
    Scenario("heavy tail", [.work(2, .pareto(least: 0.5, alpha: 1.1, most: 1e6))], for: 3600),
    Scenario("collector", [.collected(1, period: 140)], for: 2400),
    Scenario("slow collector", [.collected(0.04, period: 7000)], every: 10, for: 40_000),
    Scenario(
      "pool",
      [
        .churn(2, seconds: 2),
        Source(
          .client(peer: "10.0.0.9:5432"),
          .pool(perSecond: 40, busy: 1, most: 50, lifetime: .forever, .change(at: 100, over: 150, factor: 2))),
      ], for: 2400),
    Scenario("reload", [.churn(2, seconds: 3), .reload]),
    Scenario(
      "cache", [Source(.paths(prefix: "/srv/cache/", count: 1 << 40), .cache(perSecond: 0.8, files: 900, most: 300))],
      for: 3600),
    Scenario(
      "day and night", [.work(0.5, .logNormal(median: 200, sigma: 1), .daily(depth: 0.9, phase: 0))], every: 60,
      for: 3 * 86400),
    Scenario(
      "websockets", [.work(0.05, .logNormal(median: 2500, sigma: 1), .daily(depth: 0.9, phase: 0))], every: 60,
      for: 3 * 86400),
    Scenario(
      "log rotation",
      [
        .churn(1, seconds: 8),
        Source(
          .deleted(prefix: "/var/log/app/app.log."),
          .batches(
            every: 3600, size: 2...2, lifetime: .logNormal(median: 3600, sigma: 0.1), from: 0, until: .infinity)),
      ], every: 10, for: 86400),
  ]

  @Test(arguments: quiet.indices) func `raises no alarm`(index: Int) {
    for seed in 1...3 as ClosedRange<UInt64> {
      var scenario = Self.quiet[index]
      scenario.seed = seed
      let outcome = Outcome(scenario)
      #expect(outcome.alerts.isEmpty, "\(outcome.firstAlert)")
    }
  }

  @Test func `is called a sawtooth when a collector closes for it`() {
    let outcome = Outcome(Scenario("collector", [.collected(1, period: 140)], for: 1000))
    #expect(outcome.overall == .collector)
    #expect(outcome.notices.map(\.verdict) == [.collector], "told once")
  }

  /// Until the collector's first run this looks like a leak, and only knowing of the collector helps.
  @Test(arguments: [Collector.periodic, .onDemand]) func `waits for a collector that is known`(collector: Collector) {
    let source = Source(
      .path("/srv/data.txt"), .collected(perSecond: 0.5, every: 110, most: .max, missing: 0))
    var scenario = Scenario("one file, collected", [source], seed: 3, for: 2400, limit: 300)
    #expect(!Outcome(scenario).alerts.isEmpty, "else this shows nothing")
    scenario.collector = collector
    #expect(Outcome(scenario).alerts.isEmpty)
  }

  @Test func `is called a step when a reload opened more`() {
    #expect(Outcome(Scenario("reload", [.reload])).overall == .step)
  }

  @Test func `is not blamed for what leaked before the watch`() {
    var scenario = Scenario("churn", [.churn(5, seconds: 3)], seed: 4)
    scenario.base = 800
    #expect(Outcome(scenario).alerts.isEmpty)
  }
}

@Suite struct `A process that leaks` {
  private func firstAlert(_ scenario: Scenario) throws -> (time: Double, finding: Finding) {
    try #require(Outcome(scenario, untilAlert: true).alerts.first)
  }

  private func firstAlert(_ sources: Source...) throws -> (time: Double, finding: Finding) {
    try firstAlert(Scenario("leak", sources, seed: 7, for: 3600, limit: 1024))
  }

  @Test func `is found among heavy traffic of the same kind`() throws {
    let (time, finding) = try firstAlert(.churn(20, seconds: 3), .leak(0.2, of: .socket))
    #expect(finding.kind == .socket)
    #expect(finding.rateInterval.contains(720), "the true rate, \(finding.rateInterval)")
    let leaked = 0.2 * time
    #expect(Double(finding.leaked) > 0.6 * leaked && Double(finding.leaked) < 1.6 * leaked)
  }

  @Test(arguments: [Collector.periodic, .onDemand]) func `is found though a collector might have closed for it`(
    collector: Collector
  ) throws {
    var scenario = Scenario("leak", [.leak(0.5, of: .path("/srv/data.txt"))], seed: 7, for: 3600, limit: 1024)
    scenario.collector = collector
    let (time, finding) = try firstAlert(scenario)
    #expect(time > 120 && finding.leaked < 150)
  }

  @Test func `is told before it is at half its limit, however fast`() throws {
    // Sockets, of which none was ever closed, may be a herd of clients: kernel objects cannot.
    let (_, finding) = try firstAlert(.leak(30, of: .anonymous("eventfd")))
    #expect(finding.leaked < 512)
    let left = try #require(finding.timeToLimit)
    #expect(left < .seconds(60), "the forecast says how near it is")
  }

  @Test func `is found by the state of its sockets`() throws {
    let scenario = Scenario(
      "abandoned",
      [
        Source(
          .client(peer: "10.0.0.5:5432"),
          .load(perSecond: 5, .exponential(mean: 20), .constant, leaking: 0, from: 0)),
        .leak(0.3, of: .abandoned(peer: "10.0.0.5:5432")),
      ], seed: 7, limit: 1024, readsSockets: true)
    let (time, finding) = try firstAlert(scenario)
    #expect(finding.kind == .tcp)
    #expect(finding.target == "10.0.0.5:5432 CLOSE_WAIT")
    #expect(time < 120, "that the peer has hung up needs no long proof")
    #expect(finding.evidence.contains { $0.contains("CLOSE_WAIT") })
  }

  @Test func `leaks two classes at once, which are two findings`() {
    let scenario = Scenario(
      "two",
      [.churn(5, seconds: 3), .leak(0.3, of: .anonymous("eventfd")), .leak(0.2, of: .path("/srv/models/base.bin"))],
      seed: 2, for: 1200, limit: 1024)
    let outcome = Outcome(scenario)
    #expect(Set(outcome.alerts.map(\.finding.kind)) == [.eventfd, .file])
    #expect(outcome.alerts.count == 2, "each is told once")
  }

  @Test func `shows its pattern where names are generated`() throws {
    let (_, finding) = try firstAlert(.churn(3, seconds: 2), .leak(0.4, of: .deleted(prefix: "/srv/upload/part-")))
    #expect(finding.target == "/srv/upload/part-* (deleted)")
  }

  /// A cache that takes in some files each night looks just so, below its limit.
  @Test func `is suspected once a day, in batches`() throws {
    let nightly = Source(
      .paths(prefix: "/var/spool/batch/", count: 1 << 40),
      .batches(every: 86400, size: 30...40, lifetime: .forever, from: 3600, until: .infinity))
    let outcome = Outcome(Scenario("nightly", [nightly], every: 60, for: 10 * 86400, limit: 1024))
    let (time, finding) = try #require((outcome.suspicions + outcome.alerts).first)
    #expect(time > 86400, "one batch is a step")
    #expect(finding.kind == .file)
  }

  /// What a collector may yet release never reaches 0.9 while the limit is out of sight.
  @Test func `is suspected when the collector leaves some behind`() throws {
    let outcome = Outcome(
      Scenario("leak", [.collected(1, period: 120, missing: 0.06)], seed: 7, for: 7200, limit: 1024))
    #expect((outcome.suspicions + outcome.alerts).first?.finding.kind == .file)
  }

  @Test func `is found when the watch polls by count most of the time`() throws {
    var process = SimulatedProcess(
      Scenario("rare censuses", [.leak(0.5, of: .anonymous("eventpoll"))], seed: 3, every: 10, limit: 1024))
    var detector = Detector()
    var alerts: [Finding] = []
    while alerts.isEmpty, let census = process.next() {
      // Between two censuses the count alone is looked at: it is no evidence that nothing was closed.
      for event in detector.observe(census) { if case .alert(let finding) = event { alerts.append(finding) } }
      for second in 1..<9 {
        let count = Poll(time: census.time + .seconds(second), count: census.count, isCensus: false)
        #expect(detector.observe(count).isEmpty)
      }
    }
    #expect(alerts.first?.kind == .eventpoll)
  }

  @Test func `is over when its descriptors are closed`() {
    let herd = Source(.anonymous("eventfd"), .herd(perSecond: 0.5, until: 600, closedAt: 700))
    let outcome = Outcome(Scenario("herd", [herd], for: 900, limit: 1024))
    #expect(outcome.alerts.count == 1)
    #expect(outcome.resolved.count == 1)
  }

  @Test func `is over when it exits`() throws {
    var process = SimulatedProcess(Scenario("leak", [.leak(1, of: .anonymous("eventfd"))], for: 200, limit: 1024))
    var detector = Detector()
    while let poll = process.next() { _ = detector.observe(poll) }
    try #require(detector.findings.count == 1)
    guard case .resolved(_, .exited)? = detector.processExited(at: .seconds(201)).first else {
      Issue.record("not resolved")
      return
    }
    #expect(detector.findings.isEmpty)
  }
}

@Suite struct `What must not matter to a verdict` {
  private static let scenario = Scenario(
    "mixture",
    [
      .churn(8, seconds: 4), .leak(0.25, of: .anonymous("eventfd")),
      .work(1, .pareto(least: 0.5, alpha: 1.1, most: 1e6)),
    ], seed: 11, for: 900, limit: 2048)

  private func alerts(_ scenario: Scenario) -> [String] {
    Outcome(scenario).alerts.map { "\(Int($0.time)) \($0.finding.kind) \($0.finding.leaked)" }
  }

  @Test func `is when the watch began`() {
    var later = Self.scenario
    later.startTime = 40 * 86400
    #expect(!alerts(Self.scenario).isEmpty)
    #expect(alerts(later) == alerts(Self.scenario))
  }

  @Test func `is how descriptors are numbered`() {
    var other = Self.scenario
    other.firstNumber = 5000
    #expect(alerts(other) == alerts(Self.scenario))
  }

  @Test func `is how many others lie idle`() {
    var other = Self.scenario
    other.base = 500
    // They count towards the limit, which is raised by as many: the forecast is the same.
    other.softLimit += 480
    #expect(alerts(other) == alerts(Self.scenario))
  }
}
