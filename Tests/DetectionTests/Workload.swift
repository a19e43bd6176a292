// SPDX-License-Identifier: Apache-2.0
// What opens and closes descriptors in a simulated process. Each is a source of one class of them.

import Descriptors
import Foundation

/// What the descriptors of a source look like.
enum Look {
  case socket
  /// Connections to servers: one address and port.
  case client(peer: String)
  /// Connections from clients: any port.
  case server
  /// Connections whose peer has hung up.
  case abandoned(peer: String)
  case path(String)
  /// Any of so many files.
  case paths(prefix: String, count: Int)
  case deleted(prefix: String)
  case anonymous(String)
  case pipe
}

/// What makes a source open and close.
enum Behaviour {
  /// Work: each piece holds a descriptor for its lifetime. `leaking` is the part that is never closed, from `from` on.
  case load(perSecond: Double, Lifetime, Rhythm, leaking: Double, from: Double)
  /// So many at once, every so often, for good: a nightly job that forgets, a reload.
  case batches(every: Double, size: ClosedRange<Int>, lifetime: Lifetime, from: Double, until: Double)
  /// Connections that are kept and reused, up to `most`: opened when all are busy. Each lives for `lifetime`.
  case pool(perSecond: Double, busy: Double, most: Int, lifetime: Lifetime, Rhythm)
  /// Files that are opened when first asked for, and kept: the `most` last used. With `most` as large as the number of
  /// files, a lazily opened set.
  case cache(perSecond: Double, files: Int, most: Int)
  /// Opened until a time, and all closed at another.
  case herd(perSecond: Double, until: Double, closedAt: Double)
  /// Closed by a collector only: every so often, or once there are so many. `missing` is the part that it misses.
  case collected(perSecond: Double, every: Double, most: Int, missing: Double)
}

/// One source of descriptors, with what it has to remember.
struct Source {
  let look: Look
  let behaviour: Behaviour
  /// Pool: connections not in use. Cache: the keys in order of use, the latest last.
  private var idle: [Int] = []
  private var used: [Int: Int] = [:]
  private var busyUntil: [(time: Double, connection: Int)] = []
  private var uncollected: [Int] = []
  /// When the collector runs, or the next batch comes; unknown until the first poll, which may be long before time 0.
  private var nextEvent: Double?
  private var clock = 0

  init(_ look: Look, _ behaviour: Behaviour) {
    self.look = look
    self.behaviour = behaviour
  }
}

/// What a source does between two polls.
struct Doings {
  /// Opened, with the time at which they will be closed.
  var opened: [(key: Int, dies: Double, isLeaked: Bool)] = []
  /// Keys of those that are closed now.
  var closed: [Int] = []
}

extension Source {
  /// - Parameters:
  ///   - start: the poll before.
  ///   - end: this poll.
  mutating func run(from start: Double, to end: Double, _ random: inout Randomness, nextKey: inout Int) -> Doings {
    var doings = Doings()
    switch behaviour {
    case .load(let perSecond, let lifetime, let rhythm, let leaking, let from):
      let mean = perSecond * rhythm.factor(at: (start + end) / 2) * (end - start)
      for _ in 0..<random.poisson(mean) {
        let birth = random.uniform(start, end)
        if birth < from, leaking >= 1 { continue }
        let isLeaked = birth >= from && leaking > 0 && random.chance(leaking)
        let dies = isLeaked ? .infinity : birth + lifetime.draw(&random)
        if dies > end { doings.open(&nextKey, dies: dies, isLeaked: isLeaked) }
      }
    case .batches(let every, let size, let lifetime, let from, let until):
      var event = nextEvent ?? max(from, start + random.unit() * every * 0.2)
      while event < end {
        if event < until {
          for _ in 0..<Int.random(in: size, using: &random) {
            let dies = event + lifetime.draw(&random)
            if dies > end { doings.open(&nextKey, dies: dies, isLeaked: dies.isInfinite && until.isInfinite) }
          }
        }
        event += every * random.uniform(0.9, 1.1)
      }
      nextEvent = event
    case .pool(let perSecond, let busy, let most, let lifetime, let rhythm):
      runPool(perSecond, busy, most, lifetime, rhythm, start, end, &random, &nextKey, &doings)
    case .cache(let perSecond, let files, let most):
      for _ in 0..<random.poisson(min(perSecond * (end - start), 2000)) {
        clock += 1
        // Zipf's law, by inversion of its continuous form: few are asked for often, most hardly ever.
        let rank = min(Int(pow(Double(files), random.unit())), files - 1)
        if let key = idle.firstIndex(of: rank), key >= 0 {
          used[rank] = clock
        } else {
          idle.append(rank)
          used[rank] = clock
          if idle.count > most, let oldest = idle.min(by: { used[$0, default: 0] < used[$1, default: 0] }) {
            idle.removeAll { $0 == oldest }
            doings.close(oldest)
          }
          doings.opened.append((rank, .infinity, false))
        }
      }
    case .herd(let perSecond, let until, let closedAt):
      if start < until {
        for _ in 0..<random.poisson(perSecond * (end - start)) {
          doings.open(&nextKey, dies: closedAt, isLeaked: false)
        }
      }
    case .collected(let perSecond, let every, let most, let missing):
      for _ in 0..<random.poisson(perSecond * (end - start)) {
        let isLeaked = missing > 0 && random.chance(missing)
        doings.open(&nextKey, dies: .infinity, isLeaked: isLeaked)
        if !isLeaked { uncollected.append(nextKey) }
      }
      let run = nextEvent ?? start + every * random.unit()
      nextEvent = run
      if end >= run || uncollected.count >= most {
        for key in uncollected { doings.close(key) }
        uncollected = []
        nextEvent = end + every * random.uniform(0.7, 1.4)
      }
    }
    return doings
  }

  private mutating func runPool(
    _ perSecond: Double, _ busy: Double, _ most: Int, _ lifetime: Lifetime, _ rhythm: Rhythm, _ start: Double,
    _ end: Double, _ random: inout Randomness, _ nextKey: inout Int, _ doings: inout Doings
  ) {
    for connection in idle where used[connection, default: 0] < Int(end) {
      idle.removeAll { $0 == connection }
      used[connection] = nil
      doings.close(connection)
    }
    // Within long intervals only the last moments matter: what went before is over.
    let begin = max(start, end - 20 * busy)
    let mean = perSecond * rhythm.factor(at: end) * (end - begin)
    let arrivals = (0..<random.poisson(min(mean, 3000))).map { _ in random.uniform(begin, end) }.sorted()
    for arrival in arrivals {
      busyUntil.removeAll {
        if $0.time > arrival { return false }
        idle.append($0.connection)
        return true
      }
      var connection = idle.popLast()
      if connection == nil, busyUntil.count < most {
        let dies = arrival + lifetime.draw(&random)
        doings.open(&nextKey, dies: .infinity, isLeaked: false)
        used[nextKey] = dies < 1e15 ? Int(dies) : .max
        connection = nextKey
      }
      if let connection { busyUntil.append((arrival + random.exponential(mean: busy), connection)) }
    }
  }

  /// The link text of a new descriptor.
  func target(key: Int, inode: UInt64, _ random: inout Randomness) -> String {
    switch look {
    case .socket, .client, .server, .abandoned: "socket:[\(inode)]"
    case .path(let path): path
    case .paths(let prefix, let count): "\(prefix)\(key % count)"
    case .deleted(let prefix): "\(prefix)\(String(random.next() % 0xff_ffff, radix: 36)) (deleted)"
    case .anonymous(let name): "anon_inode:[\(name)]"
    case .pipe: "pipe:[\(inode)]"
    }
  }
}

extension Doings {
  fileprivate mutating func open(_ nextKey: inout Int, dies: Double, isLeaked: Bool) {
    nextKey += 1
    opened.append((nextKey, dies, isLeaked))
  }

  /// One that was opened since the last poll was never seen.
  fileprivate mutating func close(_ key: Int) {
    if let index = opened.firstIndex(where: { $0.key == key }) { opened.remove(at: index) } else { closed.append(key) }
  }
}
