// SPDX-License-Identifier: Apache-2.0
// How often the detector cries wolf, and how often and how late it finds: on simulated processes of all sorts.

import Detection
import Foundation
import Testing

/// How many processes to simulate: FDWATCH_SIMULATIONS=100 takes a hundred times as many, and prints what came of them, as
/// for the figures in Sources/Detection/README.md. FDWATCH_FIRST_SEED takes others.
private let factor = ProcessInfo.processInfo.environment["FDWATCH_SIMULATIONS"].flatMap { Int($0) }
private let firstSeed = ProcessInfo.processInfo.environment["FDWATCH_FIRST_SEED"].flatMap { UInt64($0) } ?? 0

@Suite struct `Simulated processes` {
  private func seeds(from first: UInt64) -> [UInt64] { (0..<UInt64(4 * (factor ?? 1))).map { first + firstSeed + $0 } }

  @Test func `that do not leak raise no alarm`() async {
    let scenarios = seeds(from: 0).map { Scenario.quiet(seed: $0) }
    let weeks = scenarios.reduce(0) { $0 + $1.duration } / 604_800
    let alarms = await inParallel(scenarios) { Outcome($0) }.filter { !$0.alerts.isEmpty }
    if factor != nil {
      print("\(alarms.count) of \(scenarios.count) processes with a false alarm, in \(Int(weeks)) process-weeks")
      for alarm in alarms { print("false alarm:", alarm.firstAlert) }
    }
    #expect(Double(alarms.count) <= weeks / 1000, "\(alarms.map(\.firstAlert))")
  }

  @Test func `that leak are found`() async {
    let scenarios = seeds(from: 1_000_000).map { Scenario.leaking(seed: $0) }
    let outcomes = await inParallel(scenarios) { Outcome($0) }
    var leakedWhenTold: [Int] = []
    var missed: [String] = []
    var early: [String] = []
    var withinFactor = 0
    var withinInterval = 0
    for outcome in outcomes {
      let start = outcome.leaked.first ?? .infinity
      if outcome.alerts.contains(where: { $0.time < start }) { early.append(outcome.firstAlert) }
      guard let (time, finding) = outcome.alerts.first(where: { $0.time >= start }) else {
        missed.append("\(outcome.name), \(outcome.leaked.count) leaked")
        continue
      }
      let leaked = outcome.leaked.count { $0 <= time }
      leakedWhenTold.append(leaked)
      if finding.leaked * 2 >= leaked, finding.leaked <= leaked * 2 { withinFactor += 1 }
      let rate = Double(leaked) / (time - start) * 3600
      if finding.rateInterval.lowerBound <= rate * 1.25, finding.rateInterval.upperBound >= rate / 1.25 {
        withinInterval += 1
      }
    }
    leakedWhenTold.sort()
    let alerts = outcomes.flatMap { outcome in outcome.alerts.map { ($0.finding.confidence, outcome.isRight($0)) } }
    if factor != nil {
      print("found \(leakedWhenTold.count) of \(scenarios.count), early \(early)")
      print("leaked when told, deciles:", (0..<10).map { leakedWhenTold[leakedWhenTold.count * $0 / 10] })
      print("told within a factor of 2: \(withinFactor), rate in its interval: \(withinInterval)")
      for (low, high) in [(0.0, 0.9), (0.9, 0.95), (0.95, 0.98), (0.98, 1.01)] {
        let told = alerts.filter { $0.0 >= low && $0.0 < high }
        print("confidence \(low)..<\(high): \(told.count { $0.1 }) of \(told.count) right")
      }
      for miss in missed { print("missed:", miss) }
    }
    #expect(early.isEmpty, "\(early)")
    #expect(leakedWhenTold.count * 10 >= scenarios.count * 9, "\(missed)")
    #expect(withinFactor * 10 >= leakedWhenTold.count * (factor == nil ? 5 : 8))
  }

  /// The table of delays in Sources/Detection/README.md.
  @Test func `are told the sooner the faster they leak`() async {
    let rates: [(perHour: Double, interval: Double)] = [(3600, 1), (720, 1), (120, 10), (24, 60), (6, 60)]
    for (name, look) in [("sockets among others", Look.socket), ("eventfds", .anonymous("eventfd"))] {
      var before = 0.0
      for (perHour, interval) in rates {
        let scenarios = (0..<5 as Range<UInt64>).map { seed in
          Scenario(
            name,
            [.churn(min(5, 20 / interval), seconds: 3 * interval), .leak(perHour / 3600, of: look)], seed: seed,
            every: interval, for: 400 / perHour * 3600)
        }
        let outcomes = await inParallel(scenarios) { Outcome($0, untilAlert: true) }
        let delays = outcomes.compactMap { $0.alerts.first?.time }.sorted()
        #expect(delays.count == scenarios.count, "\(name) at \(perHour)/h: \(delays.count) found")
        let median = delays.isEmpty ? 0 : delays[delays.count / 2]
        let leaked = median * perHour / 3600
        if factor != nil { print("\(name), \(Int(perHour))/h: \(Int(median)) s, \(Int(leaked)) leaked") }
        #expect(median > before && leaked < 150)
        before = median
      }
    }
  }
}

/// Spreads work over the machine's cores; results in the order of the inputs.
private func inParallel<Input: Sendable, Output: Sendable>(
  _ inputs: [Input], _ work: @escaping @Sendable (Input) -> Output
) async -> [Output] {
  await withTaskGroup(of: (Int, Output).self) { group in
    for (index, input) in inputs.enumerated() { group.addTask { (index, work(input)) } }
    var outputs: [(Int, Output)] = []
    for await output in group { outputs.append(output) }
    return outputs.sorted { $0.0 < $1.0 }.map(\.1)
  }
}
