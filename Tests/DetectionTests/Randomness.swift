// SPDX-License-Identifier: Apache-2.0
// A seeded source of randomness and the distributions that the simulator draws from: the same seed, the same process.

import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Randomness: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 0x1234_5678_9abc_def1 }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// Uniform in (0, 1).
  mutating func unit() -> Double { (Double(next() >> 11) + 0.5) * 0x1p-53 }
  mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }
  /// Uniform on a logarithmic scale: for rates and times of which only the order of magnitude is known.
  mutating func magnitude(_ low: Double, _ high: Double) -> Double { low * pow(high / low, unit()) }
  mutating func chance(_ probability: Double) -> Bool { unit() < probability }
  mutating func exponential(mean: Double) -> Double { -mean * log(unit()) }
  mutating func normal() -> Double { sqrt(-2 * log(unit())) * cos(2 * .pi * unit()) }

  mutating func poisson(_ mean: Double) -> Int {
    if mean <= 0 { return 0 }
    if mean > 60 { return max(0, Int((mean + sqrt(mean) * normal()).rounded())) }
    let limit = exp(-mean)
    var count = 0
    var product = unit()
    while product > limit {
      count += 1
      product *= unit()
    }
    return count
  }
}

/// How long a descriptor stays open, in seconds.
enum Lifetime {
  case exponential(mean: Double)
  case logNormal(median: Double, sigma: Double)
  /// Heavy-tailed, cut off where a program's timeout or its operator ends it.
  case pareto(least: Double, alpha: Double, most: Double)
  /// A request or several, then idle until the timeout closes it.
  case keepAlive(busy: Double, timeout: Double)
  case forever

  func draw(_ random: inout Randomness) -> Double {
    switch self {
    case .exponential(let mean): random.exponential(mean: mean)
    case .logNormal(let median, let sigma): median * exp(sigma * random.normal())
    case .pareto(let least, let alpha, let most): min(least / pow(random.unit(), 1 / alpha), most)
    case .keepAlive(let busy, let timeout): random.exponential(mean: busy) + timeout
    case .forever: .infinity
    }
  }

  /// The mean of some draws, none counted above four hours: how many are open at a time follows from it.
  func mean(_ random: inout Randomness) -> Double {
    (0..<100).reduce(0) { sum, _ in sum + min(draw(&random), 14_400) } / 100
  }

  /// Any that real programs show.
  static func any(_ random: inout Randomness, scale: Double) -> Lifetime {
    switch Int(random.uniform(0, 5)) {
    case 0: .exponential(mean: scale)
    case 1: .logNormal(median: scale, sigma: random.uniform(0.5, 1.6))
    case 2: .pareto(least: scale / 4, alpha: random.uniform(0.9, 2), most: scale * random.magnitude(100, 2000))
    case 3: .keepAlive(busy: scale, timeout: random.magnitude(5, 300))
    default: .exponential(mean: scale * random.magnitude(0.3, 3))
    }
  }
}

/// How the rate of arrivals changes with time: a factor around 1.
enum Rhythm {
  case constant
  case daily(depth: Double, phase: Double)
  /// Changes from one level to another, and stays there.
  case change(at: Double, over: Double, factor: Double)
  /// A day's rhythm, and growth by a factor each week.
  case growing(depth: Double, perWeek: Double)
  /// Nothing, and then very much, for a short while.
  case bursts(every: Double, lasting: Double)

  func factor(at time: Double) -> Double {
    switch self {
    case .constant: return 1
    case .daily(let depth, let phase): return 1 + depth * sin(2 * .pi * (time / 86400 + phase))
    case .change(let at, let over, let factor): return 1 + (factor - 1) * min(max((time - at) / over, 0), 1)
    case .growing(let depth, let perWeek):
      return (1 + depth * sin(2 * .pi * time / 86400)) * pow(perWeek, time / 604800)
    case .bursts(let every, let lasting):
      return time.truncatingRemainder(dividingBy: every) < lasting ? min(every / lasting, 3) : 0
    }
  }

  static func any(_ random: inout Randomness, duration: Double) -> Rhythm {
    switch Int(random.uniform(0, 6)) {
    case 0, 1: return .constant
    case 2: return .daily(depth: random.uniform(0.3, 0.95), phase: random.unit())
    case 3:
      return .change(
        at: duration * random.uniform(0.1, 0.7), over: random.magnitude(1, 7200), factor: random.magnitude(0.3, 6))
    case 4: return .growing(depth: random.uniform(0, 0.8), perWeek: random.uniform(0.7, 2))
    default:
      let every = random.magnitude(60, 7200)
      return .bursts(every: every, lasting: every * random.uniform(0.1, 0.5))
    }
  }
}
