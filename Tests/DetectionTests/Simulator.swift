// SPDX-License-Identifier: Apache-2.0
// A simulated process: populations of descriptors that are opened and closed, polled as a watch would.

import Descriptors
import Foundation

/// A seeded generator (SplitMix64, Steele et al. 2014): the same numbers in every run.
struct Random: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
  mutating func exponential(_ mean: Double) -> Double { -mean * log(1 - uniform()) }
  mutating func logNormal(median: Double, sigma: Double) -> Double {
    median * exp(sigma * (-2 * log(1 - uniform())).squareRoot() * cos(2 * .pi * uniform()))
  }
  mutating func pareto(_ least: Double, _ alpha: Double) -> Double { least / pow(1 - uniform(), 1 / alpha) }

  mutating func poisson(_ mean: Double) -> Int {
    if mean > 50 {
      let normal = (-2 * log(1 - uniform())).squareRoot() * cos(2 * .pi * uniform())
      return max(0, Int((mean + normal * mean.squareRoot()).rounded()))
    }
    var count = 0
    var left = exp(-mean)
    var product = uniform()
    while product > left {
      count += 1
      product *= uniform()
      if left <= 0 { left = 1e-300 }
    }
    return count
  }
}

/// Descriptors of one origin.
struct Population {
  var target: @Sendable (Int) -> String
  /// Openings per second at a time.
  var rate: @Sendable (Double) -> Double
  /// How long one that is opened at a time stays open; infinite for a leak.
  var lifetime: @Sendable (inout Random, Double) -> Double
  var tcp: (@Sendable (Int) -> (TCPState, String))?

  init(
    _ target: @escaping @Sendable (Int) -> String, rate: @escaping @Sendable (Double) -> Double,
    tcp: (@Sendable (Int) -> (TCPState, String))? = nil, lifetime: @escaping @Sendable (inout Random, Double) -> Double
  ) {
    self.target = target
    self.rate = rate
    self.lifetime = lifetime
    self.tcp = tcp
  }
}

/// A process made of populations.
struct SimulatedProcess {
  var populations: [Population]
  var seed: UInt64
  var interval: Double
  var softLimit: UInt64 = 4096
  /// Moments when everything that is open without being used is released, if there is a collector.
  var firstNumber: Int32 = 0
  var startTime = 0.0
  /// Descriptors that are open from the beginning and never change.
  var idle = 12

  /// Calls `body` with each poll until `duration` is over or it answers `false`.
  func run(_ duration: Double, _ body: (Poll) -> Bool) {
    var random = Random(seed: seed)
    var live: [(dies: Double, number: Int32)] = []
    var free: [Int32] = []
    var nextNumber = firstNumber
    var serial = 0
    func number() -> Int32 {
      if let lowest = free.popLast() { return lowest }
      nextNumber += 1
      return nextNumber - 1
    }
    var time = 0.0
    var last = 0.0
    var isFirst = true
    while time <= duration {
      var poll = Poll(time: .milliseconds(Int64(((startTime + time) * 1000).rounded())), count: 0)
      var closed: [Int32] = []
      live.removeAll { entry in
        if entry.dies <= time { closed.append(entry.number) }
        return entry.dies <= time
      }
      free.append(contentsOf: closed)
      free.sort(by: >)
      if isFirst {
        poll.limits = Limits(soft: softLimit, hard: softLimit)
        for index in 0..<idle { poll.opened.append(opened(number(), "/etc/app/\(index % 3).conf", 7)) }
        isFirst = false
      }
      for population in populations {
        for _ in 0..<random.poisson(population.rate((last + time) / 2) * (time - last)) {
          let born = last + random.uniform() * (time - last)
          let dies = born + population.lifetime(&random, born)
          // What lives for less than a poll is never seen.
          if dies <= time { continue }
          serial += 1
          let fd = number()
          live.append((dies, fd))
          poll.opened.append(opened(fd, population.target(serial), UInt64(100_000 + serial)))
          if let (state, peer) = population.tcp?(serial) {
            poll.tcp.append(.init(inode: UInt64(100_000 + serial), state: state, peer: peer))
          }
        }
      }
      poll.closed = closed.sorted()
      poll.opened.sort { $0.number < $1.number }
      poll.count = live.count + idle
      if !body(poll) { return }
      last = time
      time += interval
    }
  }

  private func opened(_ number: Int32, _ target: String, _ inode: UInt64) -> Poll.Opened {
    Poll.Opened(number: number, target: target, inode: inode, flags: 0o2, position: 0)
  }
}

extension Population {
  // MARK: What does not leak

  static func churn(_ perSecond: Double, seconds: Double) -> Population {
    Population({ "socket:[\(100_000 + $0)]" }, rate: { _ in perSecond }) { random, _ in random.exponential(seconds) }
  }

  /// Work that follows the day: from a tenth at night to all of it in the afternoon.
  static func diurnal(_ perSecond: Double, median: Double) -> Population {
    Population(
      { "socket:[\(100_000 + $0)]" },
      rate: { perSecond * (0.55 - 0.45 * cos(2 * .pi * $0 / 86400)) },
      lifetime: { random, _ in random.logNormal(median: median, sigma: 1) })
  }

  static func heavyTail(_ perSecond: Double) -> Population {
    Population({ "socket:[\(100_000 + $0)]" }, rate: { _ in perSecond }) { random, _ in random.pareto(0.5, 1.1) }
  }

  static func keepAlive(_ perSecond: Double, seconds: Double) -> Population {
    Population({ "socket:[\(100_000 + $0)]" }, rate: { _ in perSecond }) { _, _ in seconds }
  }

  /// Files that only a collector closes, every `period` seconds.
  static func collected(_ perSecond: Double, period: Double) -> Population {
    Population({ "/srv/img/\($0).png" }, rate: { _ in perSecond }) { _, born in
      (floor(born / period) + 1) * period - born
    }
  }

  /// Connections of a pool of `size`, opened as load needs them, and kept.
  static func pool(_ size: Double, fillsIn seconds: Double) -> Population {
    Population({ "socket:[\(100_000 + $0)]" }, rate: { size / seconds * exp(-$0 / seconds) }) { _, _ in .infinity }
  }

  /// A log that is opened anew every period while the old one is kept for a while.
  static func rotation(every period: Double) -> Population {
    Population({ "/var/log/app/app.log.\($0 % 7) (deleted)" }, rate: { _ in 2 / period }) { random, _ in
      period * (0.9 + 0.2 * random.uniform())
    }
  }

  /// Something that opens a batch at times and keeps it, as a reload does.
  static func step(_ count: Double, at moment: Double) -> Population {
    Population({ "/etc/app/vhost\($0).log" }, rate: { abs($0 - moment) < 5 ? count / 10 : 0 }) { _, _ in .infinity }
  }

  static func cache(_ limit: Double, perSecond: Double) -> Population {
    // Once full, every new one pushes an old one out: a lifetime of limit / rate, begun when it is full.
    Population({ "/srv/cache/\($0).bin" }, rate: { _ in perSecond }) { random, _ in
      limit / perSecond * (0.4 + 1.2 * random.uniform())
    }
  }

  // MARK: What does

  static func leak(
    _ perSecond: Double, of target: @escaping @Sendable (Int) -> String, from start: Double = 0
  )
    -> Population
  {
    Population(target, rate: { $0 < start ? 0 : perSecond }) { _, _ in .infinity }
  }
}
