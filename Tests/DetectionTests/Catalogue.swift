// SPDX-License-Identifier: Apache-2.0
// Processes of all sorts, drawn at random: those that do not leak, and those that do.

import Descriptors
import Foundation

extension Scenario {
  /// A process that closes what it opens, sooner or later, or opens no more.
  ///
  /// Watched at a random interval; for a week at 60 s, otherwise for the time of as many polls, and so a fraction of one.
  static func quiet(seed: UInt64, interval: Double? = nil) -> Scenario {
    var random = Randomness(seed: seed &* 31 &+ 7)
    let interval = interval ?? [60, 60, 10, 1][Int(random.uniform(0, 4))]
    let duration = interval >= 60 ? 604_800 : interval * 8640
    var scenario = Scenario(
      seed: seed, interval: interval, duration: duration,
      softLimit: [1024, 4096, 16384, 65536][Int(random.uniform(0, 4))], readsSockets: random.chance(0.8),
      base: Int(random.magnitude(8, 60)), sources: [])
    // Most are watched from the middle of their lives, some from their start.
    if random.chance(0.7) { scenario.priorLife = random.magnitude(3600, 604_800) }
    let count = 1 + Int(random.uniform(0, 4))
    for _ in 0..<count {
      let (name, source) = quietSource(&random, interval: interval, duration: duration)
      // Reloads that leave something behind each time are a leak.
      if name == "reload", scenario.name.contains(name) { continue }
      scenario.name += scenario.name.isEmpty ? name : "+" + name
      scenario.sources.append(source)
      if case .collected(_, let every, _, _) = source.behaviour, every > 80 { scenario.collector = .onDemand }
    }
    if scenario.collector == nil {
      let hasCollector = scenario.name.contains("collector")
      scenario.collector =
        random.chance(0.5) ? .periodic : hasCollector || random.chance(0.5) ? .onDemand : Collector.none
    }
    return scenario
  }

  static func socketLook(_ random: inout Randomness) -> Look {
    [.socket, .server, .client(peer: "10.0.0.\(1 + Int(random.uniform(0, 3))):5432")][Int(random.uniform(0, 3))]
  }

  private static func quietSource(
    _ random: inout Randomness, interval: Double, duration: Double
  ) -> (String, Source) {
    let id = Int(random.uniform(0, 1000))
    // Some 2 to 200 open at a time, of whatever lifetime.
    let scale = random.magnitude(max(0.3, interval / 20), max(60, interval * 40))
    switch Int(random.uniform(0, 13)) {
    case 0, 1, 2:
      let look = random.chance(0.7) ? socketLook(&random) : .paths(prefix: "/srv/upload/\(id)-", count: 1_000_000)
      let lifetime = Lifetime.any(&random, scale: scale)
      let perSecond = min(random.magnitude(2, 200) / lifetime.mean(&random), 20 / interval)
      return (
        "load",
        Source(look, .load(perSecond: perSecond, lifetime, .any(&random, duration: duration), leaking: 0, from: 0))
      )
    case 3:
      let median = random.magnitude(600, 20_000)
      return (
        "websockets",
        Source(
          socketLook(&random),
          .load(
            perSecond: random.magnitude(5, 150) / median, .logNormal(median: median, sigma: random.uniform(0.8, 1.8)),
            .any(&random, duration: duration), leaking: 0, from: 0))
      )
    case 4, 5:
      return (
        "pool",
        Source(
          random.chance(0.7) ? .client(peer: "10.0.0.9:\(5000 + id)") : .socket,
          .pool(
            perSecond: random.magnitude(0.05, 30), busy: random.magnitude(0.01, 3), most: Int(random.magnitude(5, 100)),
            lifetime: random.chance(0.6) ? .forever : .logNormal(median: random.magnitude(300, 20_000), sigma: 0.3),
            .any(&random, duration: duration)))
      )
    case 6:
      let most = Int(random.magnitude(10, 400))
      return (
        "cache",
        Source(
          .paths(prefix: "/srv/www/\(id)/", count: 1 << 40),
          .cache(
            perSecond: random.magnitude(0.01, 10), files: Int(Double(most) * random.magnitude(1.05, 20)), most: most))
      )
    case 7:
      let files = Int(random.magnitude(8, 120))
      return (
        "lazy set",
        Source(
          .paths(prefix: "/var/lib/db/shard-", count: 1 << 40),
          .cache(perSecond: random.magnitude(0.003, 5), files: files, most: files))
      )
    case 8, 9:
      // The busier a program, the sooner its collector runs.
      let every = random.magnitude(15, 1800)
      return (
        "collector",
        Source(
          random.chance(0.5) ? .path("/srv/data/\(id).txt") : .paths(prefix: "/srv/data/\(id)-", count: 1_000_000),
          .collected(
            perSecond: min(random.magnitude(3, 100) / every, 10 / interval), every: every,
            most: random.chance(0.7) ? .max : Int(random.magnitude(20, 300)), missing: 0))
      )
    case 10:
      return (
        "reload",
        Source(
          random.chance(0.5) ? .anonymous("eventfd") : .paths(prefix: "/etc/app/vhost-", count: 1_000_000),
          .batches(
            every: duration * random.uniform(0.6, 0.9), size: 3...120, lifetime: .forever,
            from: duration * 0.05, until: duration))
      )
    case 11:
      let every = random.magnitude(600, 86400)
      return (
        "rotated logs",
        Source(
          .deleted(prefix: "/var/log/app/app.log."),
          .batches(
            every: every, size: 1...20,
            lifetime: .logNormal(median: random.magnitude(3, min(3600, every / 3)), sigma: 0.3), from: -.infinity,
            until: .infinity))
      )
    default:
      let every = random.magnitude(60, 43_200)
      return (
        "jobs",
        Source(
          random.chance(0.5) ? .pipe : .paths(prefix: "/var/spool/batch/", count: 1_000_000),
          .batches(
            every: every, size: 1...60, lifetime: .logNormal(median: random.magnitude(5, every), sigma: 0.6),
            from: -.infinity,
            until: .infinity))
      )
    }
  }

  /// A process that leaks, among ordinary work.
  static func leaking(seed: UInt64) -> Scenario {
    var random = Randomness(seed: seed &* 37 &+ 11)
    let interval: Double = [60, 10, 1, 1][Int(random.uniform(0, 4))]
    let perSecond = random.magnitude(0.4 / interval / 40, 0.4 / interval)
    // Long enough to leak nearly as many as there may be.
    let softLimit: UInt64 = [1024, 2048][Int(random.uniform(0, 2))]
    let duration = 0.8 * Double(softLimit) / perSecond
    var scenario = Scenario(
      seed: seed, interval: interval, duration: duration, softLimit: softLimit, readsSockets: random.chance(0.4),
      base: Int(random.magnitude(8, 60)), sources: [])
    let start = random.chance(0.3) ? duration * 0.2 : 0
    let scale = random.magnitude(max(0.3, interval / 5), max(20, interval * 10))
    // What begins to leak later has run for long: else its work would look just so in its first minutes.
    if start > 0 { scenario.priorLife = 30 * scale }
    let looks: [(String, Look)] = [
      ("sockets", socketLook(&random)), ("one file", .path("/etc/app/tls.pem")),
      ("uploads", .paths(prefix: "/srv/upload/u", count: 1_000_000)), ("eventfds", .anonymous("eventfd")),
      ("pipes", .pipe), ("deleted files", .deleted(prefix: "/tmp/up-")),
    ]
    let (look, source) = looks[Int(random.uniform(0, 6))]
    scenario.leakingLook = source
    switch Int(random.uniform(0, 6)) {
    case 0, 1, 2:
      // A part of the work is not closed.
      let part = random.magnitude(0.01, 0.5)
      scenario.name = "part of \(look)"
      scenario.sources.append(
        Source(
          source,
          .load(
            perSecond: min(perSecond / part, 20 / interval), .any(&random, scale: scale),
            .constant, leaking: part, from: start)))
    case 3:
      scenario.name = "all \(look)"
      scenario.sources.append(
        Source(source, .load(perSecond: perSecond, .forever, .constant, leaking: 1, from: start)))
    case 4:
      let every = random.uniform(4, 12) / perSecond
      scenario.name = "bursts of \(look)"
      scenario.sources.append(
        Source(
          source, .batches(every: every, size: 2...14, lifetime: .forever, from: start, until: .infinity)))
    default:
      scenario.name = "\(look) behind a collector"
      scenario.sources.append(
        Source(source, .collected(perSecond: perSecond * 5, every: 12 / perSecond, most: .max, missing: 0.2)))
    }
    var runtime = Randomness(seed: seed &* 41 &+ 3)
    scenario.collector =
      runtime.chance(0.3) ? .onDemand : runtime.chance(0.3) ? .periodic : Collector.none
    if random.chance(0.7) {
      scenario.name += " + load"
      scenario.sources.append(
        Source(
          socketLook(&random),
          .load(
            perSecond: min(random.magnitude(2, 60) / scale, 20 / interval), .any(&random, scale: scale),
            .any(&random, duration: duration), leaking: 0, from: 0)))
    }
    return scenario
  }
}
