// SPDX-License-Identifier: Apache-2.0
// What each explanation makes of data: its limits, which way it moves, and whether it knows its own.

import Descriptors
import Foundation
import Testing

@testable import Detection

extension ClassFacts {
  /// Survivors that were opened at these times, of a class in which nothing else ever was.
  fileprivate init(
    _ times: [Double], now: Double, kind: Kind = .eventfd, closesBeyond: Double = 0, evidence: Double = 100,
    hasOneTarget: Bool = false, closes: Int = 0, collector: Collector? = nil
  ) {
    let age = max(1, (now - (times.first ?? 0)) / 8)
    let exposure = times.reduce(0) { $0 + max(0, log((now - $1) / age)) }
    var survival = Survival(
      open: [UInt16](repeating: 0, count: AgeHistogram.binCount), closed: AgeHistogram(),
      closedInitial: AgeHistogram())
    survival.threshold = 1
    survival.evidence = evidence
    self.init(
      kind: kind, now: now, collector: collector, open: times.count, closes: closes, survival: survival,
      births: Births(times, until: now, interval: 1) { _ in 0 },
      deaths: Deaths(closes: closesBeyond, exposure: exposure), bulkCloses: 0, mostClosedInBulk: 0, bulkShare: 0,
      waitsForRelease: false, isCloseWait: false, hasOneTarget: hasOneTarget, deletedShare: 0, unreadShare: 0,
      movedShare: 0)
  }
}

/// One a second from the beginning.
private func steady(_ count: Int, every seconds: Double = 1) -> [Double] { (0..<count).map { Double($0) * seconds } }

@Suite struct `The explanations` {
  @Test(arguments: ClassSort.allCases) func `have priors that are probabilities`(sort: ClassSort) {
    let row = Priors.of(sort)
    let weights = [row.leak, row.capacity, row.collector, row.client, row.step, row.load]
    #expect(abs(weights.reduce(0, +) - 1) < 1e-9 && weights.allSatisfy { $0 > 0 })
    #expect(row.size > 0 && row.sizeShape > 0 && row.clients > 0 && !row.because.isEmpty)
  }

  @Test func `are together certain, whatever is seen`() {
    for times in [steady(2), steady(500), [0, 0], [0, 0, 0, 1000], steady(3, every: 1e6)] {
      for closes in [0.0, 0.3, 40] {
        let facts = ClassFacts(times, now: (times.last ?? 0) + 10, closesBeyond: closes)
        let posterior = facts.posterior
        #expect(abs(posterior.probabilities.reduce(0, +) - 1) < 1e-9)
        #expect(posterior.probabilities.allSatisfy { $0 >= 0 && $0.isFinite }, "\(times.count), \(closes)")
      }
    }
  }

  @Test func `leave the more of a leak, the longer it goes on`() {
    let leak = [8, 16, 32, 64, 128, 256].map { ClassFacts(steady($0), now: Double($0)).posterior.ofAnyLeak }
    #expect(zip(leak, leak.dropFirst()).allSatisfy { $0 < $1 }, "\(leak)")
    #expect((leak.first ?? 1) < 0.6 && (leak.last ?? 0) > 0.9)
  }

  @Test func `make load of ages that are no surprise`() {
    #expect(ClassFacts(steady(20), now: 20, evidence: 0).posterior[.load] > 0.9)
    let load = [0, 2, 4, 8, 16].map { ClassFacts(steady(20), now: 20, evidence: $0).posterior[.load] }
    #expect(zip(load, load.dropFirst()).allSatisfy { $0 > $1 } && (load.last ?? 1) < 0.001)
  }

  @Test func `make a step or a full pool of births that have ended`() {
    let leak = [40, 44, 50, 60, 120].map { ClassFacts(steady(40), now: $0).posterior[.leak] }
    #expect(zip(leak, leak.dropFirst()).allSatisfy { $0 > $1 } && (leak.last ?? 1) < 0.01, "\(leak)")
    let later = ClassFacts(steady(40), now: 120).posterior
    #expect(later[.step] + later[.capacity] + later[.heldByClient] > 0.9)
    // Where clients cannot be, it is one of the other two.
    let files = ClassFacts(steady(40), now: 120, kind: .file).posterior
    #expect(files[.step] + files[.capacity] > 0.2 && files[.leak] < 0.01)
  }

  @Test func `make a burst of one batch, and believe ever less that it is one with each further batch`() {
    func batches(_ count: Int) -> Double {
      ClassFacts((0..<count).flatMap { Array(repeating: Double($0) * 600, count: 12) }, now: Double(count) * 600)
        .posterior[.step]
    }
    #expect(batches(1) > 0.5)
    #expect(batches(1) > batches(2) && batches(2) > batches(4) && batches(8) < 0.05)
  }

  @Test(arguments: [12, 500]) func `do not make a leak of one batch, however large`(count: Int) {
    let batch = ClassFacts(Array(repeating: 100, count: count), now: 102).posterior
    #expect(batch[.leak] < 0.4, "told as soon as the limit is near: \(batch.probabilities)")
  }

  @Test func `think of a cache where births decline`() {
    // n ∝ √t: the k-th comes at k².
    let declining = (0..<60).map { Double($0 * $0) / 60 }
    let even = ClassFacts(steady(60), now: 60).posterior
    let slower = ClassFacts(declining, now: 60).posterior
    #expect(slower[.capacity] > 5 * even[.capacity] && slower[.leak] < even[.leak])
  }

  @Test func `think of clients where some have hung up at that age`() {
    let posteriors = [0.0, 2, 8, 30].map { ClassFacts(steady(60), now: 60, kind: .tcp, closesBeyond: $0).posterior }
    let leak = posteriors.dropFirst().map { $0[.leak] }
    #expect(posteriors.last.map { $0[.heldByClient] > 0.9 } == true)
    #expect(zip(leak, leak.dropFirst()).allSatisfy { $0 > $1 }, "\(leak)")
  }

  @Test func `wait for a collector that is known, and not for ever`() {
    func leak(_ seconds: Int, _ collector: Collector?) -> Double {
      ClassFacts(
        steady(seconds / 2, every: 2), now: Double(seconds), kind: .file, hasOneTarget: true, collector: collector
      ).posterior[.leak]
    }
    #expect(leak(110, .periodic) < leak(110, nil) - 0.05)
    #expect(leak(400, .periodic) > 0.9)
    #expect(leak(110, .onDemand) < leak(110, nil) && leak(600, .onDemand) > 0.9)
    #expect(leak(110, Collector.none) > leak(110, nil))
  }

  @Test func `expect more of files than of event loops`() {
    func leak(_ kind: Kind) -> Double { ClassFacts(steady(60), now: 60, kind: kind).posterior[.leak] }
    #expect(leak(.eventpoll) > leak(.file), "a cache holds hundreds of files")
    #expect(leak(.udp) > leak(.tcp), "nobody asks for a UDP socket of its own")
  }

  @Test func `do not depend on the unit of time of what has ended`() {
    let seconds = Births(steady(50), until: 80, interval: 0.01) { _ in 0 }
    let hours = Births(steady(50, every: 3600), until: 80 * 3600, interval: 36) { _ in 0 }
    #expect(abs(seconds.ended(Leak.growth) - hours.ended(Leak.growth)) < 1e-6)
    #expect(abs(seconds.goingOn(Leak.growth) - hours.goingOn(Leak.growth)) < 1e-6)
  }

  @Test func `count a batch as one event`() {
    let single = Births(steady(10, every: 10), until: 100, interval: 1) { _ in 0 }
    let tens = Births((0..<100).map { Double($0 / 10) * 10 }, until: 100, interval: 1) { _ in 0 }
    #expect(abs(single.effective - tens.effective) < 1.5)
  }

  /// What keeps pace with the work is steady by its clock, however busy the hours are.
  @Test func `take births by the clock of work, too`() {
    let busy = (0..<100).map { 1000 * (Double($0) / 100).squareRoot() }
    let byTime = Births(busy, until: 1000, interval: 1) { _ in 0 }
    let byWork = Births(busy, until: 1000, interval: 1) { $0 * $0 / 100 }
    #expect(byWork.goingOn(Leak.growth) > byTime.goingOn(Leak.growth) - log(2))
    let declining = (0..<60).map { Double($0 * $0) / 60 }
    let excused = Births(declining, until: 60, interval: 0.1) { ($0 * 60).squareRoot() * 10 }
    let plain = Births(declining, until: 60, interval: 0.1) { _ in 0 }
    // Against what fills, which declines by the clock of time.
    func lead(_ births: Births) -> Double { births.goingOn(Leak.growth) - births.goingOn(Capacity.growth) }
    #expect(lead(excused) > lead(plain) + 1, "\(lead(excused)) \(lead(plain))")
  }
}

/// Draws from what an explanation itself says of a class.
private struct Drawn {
  var random: Randomness

  /// A size or a length with `P(X ≥ x) = (1 + x/scale)^-shape`.
  mutating func lomax(_ scale: Double, _ shape: Double) -> Double {
    scale * (pow(1 - random.uniform(0, 1), -1 / shape) - 1)
  }

  /// Times of a Poisson process in which `n ∝ t^β`, until a time or a number is reached.
  mutating func births(perSecond: Double, beta: Double, until end: Double, most: Int) -> [Double] {
    var times: [Double] = []
    var operational = 0.0
    while times.count < most {
      operational -= log(1 - random.uniform(0, 1))
      let time = pow(operational / (perSecond * pow(end, 1 - beta)), 1 / beta)
      if time > end { break }
      times.append(time.rounded())
    }
    return times
  }
}

@Suite struct `What is drawn from the explanations` {
  /// Of what is told at a probability, as many are leaks: with the model's own draws it has to be.
  @Test func `is judged as it should be`() {
    var drawn = Drawn(random: Randomness(seed: 11))
    let priors = Priors.of(.kernelObject)
    let odds = priors.leak / (priors.leak + priors.capacity + priors.step)
    var bins = [(count: Int, leaks: Int, sum: Double)](repeating: (0, 0, 0), count: 5)
    for _ in 0..<4000 {
      let end = 60 * pow(20, drawn.random.uniform(0, 1))
      let perSecond = 0.1 * pow(10, drawn.random.uniform(0, 1))
      let choice = drawn.random.uniform(0, 1)
      var times: [Double]
      if choice < odds {
        times = drawn.births(perSecond: perSecond, beta: 1, until: end, most: 1000)
      } else if choice < odds + (1 - odds) * priors.capacity / (priors.capacity + priors.step) {
        let size = Int(drawn.lomax(priors.size, priors.sizeShape)) + 1
        let betas = [0.25, 0.35, 0.5, 0.65, 0.8, 1, 1]
        let beta = betas[Int(drawn.random.uniform(0, Double(betas.count)))]
        times = drawn.births(perSecond: perSecond, beta: beta, until: end, most: size)
      } else {
        let length = min(end, drawn.lomax(Priors.burst.value, Priors.burstShape.value))
        times = drawn.births(perSecond: 20 * perSecond, beta: 1, until: max(length, 1), most: 1000)
      }
      guard times.count >= 8 else { continue }
      let posterior = ClassFacts(times, now: end).posterior
      let p = posterior[.leak] / (posterior[.leak] + posterior[.capacity] + posterior[.step])
      let bin = min(4, Int(p * 5))
      bins[bin].count += 1
      bins[bin].leaks += choice < odds ? 1 : 0
      bins[bin].sum += p
    }
    // What births tell is tempered, as real ones are seldom a Poisson process: what is far from certain is drawn towards
    // the prior. What is told as sure is so.
    let rates = bins.map { Double($0.leaks) / Double(max(1, $0.count)) }
    #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 <= $1 + 0.05 }, "\(bins)")
    let sure = bins[4]
    let told = sure.sum / Double(max(1, sure.count))
    #expect(sure.count > 300 && (rates.last ?? 0) >= told - 0.05, "\(sure)")
    #expect((rates.first ?? 1) < 0.2, "\(bins)")
  }
}

@Suite struct `The rule of what is told` {
  @Test func `asks for less as the limit comes near`() {
    let decision = Decision()
    let needed = [.infinity, 86_400, 3600, 600, 60, 0].map { decision.alertProbability(secondsToLimit: $0) }
    #expect(abs((needed.first ?? 0) - 0.9) < 1e-9 && needed.last == 0.5)
    #expect(zip(needed, needed.dropFirst()).allSatisfy { $0 > $1 })
  }

  @Test func `knows one thing to set, what a false alarm costs`() {
    var detector = Detector()
    let usual = detector.decision.alertProbability(secondsToLimit: .infinity)
    detector.patience = 2
    #expect(detector.decision.alertProbability(secondsToLimit: .infinity) > usual)
    #expect(detector.decision.alertProbability(secondsToLimit: 0) == 0.5)
    detector.patience = 0.5
    #expect(detector.decision.alertProbability(secondsToLimit: .infinity) < usual)
  }
}

@Suite struct `The clock of work` {
  @Test func `keeps few points, and knows how much was done by when`() {
    var clock = WorkClock()
    for second in 0..<20_000 { clock.add(3, at: Double(second)) }
    #expect(clock.done(at: -1) == 0 && clock.done(at: 1e9) == 60_000)
    for second in stride(from: 2000.0, to: 19_000, by: 777) {
      #expect(abs(clock.done(at: second) - 3 * second) < 0.05 * 60_000)
    }
    let moments = stride(from: 0.0, through: 20_000, by: 100).map { clock.done(at: $0) }
    #expect(zip(moments, moments.dropFirst()).allSatisfy { $0 <= $1 })
  }
}

@Suite struct `The table of priors` {
  /// `FDWATCH_WRITE_DOCS=1 swift test --filter priors` writes it anew.
  @Test func `is in the manual as it is in the code`() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Sources/Detection/README.md").standardized
    let text = try String(contentsOf: path, encoding: .utf8)
    let (begin, end) = ("<!-- priors -->\n", "<!-- end of priors -->")
    let from = try #require(text.range(of: begin)).upperBound
    let to = try #require(text.range(of: end)).lowerBound
    if ProcessInfo.processInfo.environment["FDWATCH_WRITE_DOCS"] != nil {
      let new = text[..<from] + Priors.markdown + text[to...]
      try String(new).write(to: path, atomically: true, encoding: .utf8)
      return
    }
    #expect(text[from..<to] == Priors.markdown)
  }
}
