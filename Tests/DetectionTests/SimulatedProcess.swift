// SPDX-License-Identifier: Apache-2.0
// A process made of sources, polled: numbers are given out as the kernel does, the lowest free one first.

import Descriptors
import Foundation

/// What a simulated process is made of, and how it is watched.
struct Scenario {
  var name = ""
  var seed: UInt64
  var interval: Double
  var duration: Double
  var softLimit: UInt64 = 16384
  /// Whether the poller tells the states of TCP sockets.
  var readsSockets = false
  /// Open since the process began.
  var base = 20
  /// How long the process has run when the watch begins.
  var priorLife = 0.0
  /// What the poller finds out of its runtime.
  var collector: Collector?
  /// The number of its first descriptor, and the time at which the watch begins: neither may matter.
  var firstNumber: Int32 = 0
  var startTime = 0.0
  var sources: [Source]
  /// What the descriptors look like that leak, if any do.
  var leakingLook: Look?
}

/// Yields one poll after another.
struct SimulatedProcess {
  private let scenario: Scenario
  private var random: Randomness
  private var sources: [Source]
  private var live: [[Int: Int32]]
  private var deaths = DeathQueue()
  private var free: [Bool] = []
  private var nextKey = 1 << 20
  private var nextInode: UInt64 = 100_000
  private var time = 0.0
  private var open = 0
  private var isFirst = true
  /// When each leaked descriptor was first seen.
  private(set) var leaked: [Double] = []

  init(_ scenario: Scenario) {
    self.scenario = scenario
    random = Randomness(seed: scenario.seed)
    sources = scenario.sources
    live = scenario.sources.map { _ in [:] }
  }

  mutating func next() -> Poll? {
    if isFirst { return shifted(first()) }
    let next = ((time + scenario.interval * random.uniform(0.98, 1.02)) * 1000).rounded() / 1000
    guard next <= scenario.duration else { return nil }
    return shifted(advance(to: next))
  }

  private func shifted(_ poll: Poll) -> Poll {
    var poll = poll
    poll.time += .seconds(scenario.startTime)
    poll.closed = poll.closed.map { $0 + scenario.firstNumber }
    for index in poll.opened.indices { poll.opened[index].number += scenario.firstNumber }
    return poll
  }

  private mutating func advance(to next: Double) -> Poll {
    let start = time
    time = next
    var poll = Poll(time: .milliseconds(Int64((max(time, 0) * 1000).rounded())), count: 0)
    var closed: [Int32] = []
    while let death = deaths.pop(before: time) {
      if let number = live[death.source].removeValue(forKey: death.key) { closed.append(number) }
    }
    var births: [(source: Int, key: Int, dies: Double, isLeaked: Bool)] = []
    for index in sources.indices {
      let doings = sources[index].run(from: start, to: time, &random, nextKey: &nextKey)
      for key in doings.closed {
        if let number = live[index].removeValue(forKey: key) { closed.append(number) }
      }
      births += doings.opened.map { (index, $0.key, $0.dies, $0.isLeaked) }
    }
    for number in closed { free[Int(number)] = true }
    open -= closed.count
    for birth in births { add(birth, to: &poll) }
    poll.closed = closed.sorted()
    poll.opened.sort { $0.number < $1.number }
    poll.count = open
    return poll
  }

  /// The first poll opens all that the process holds by then.
  private mutating func first() -> Poll {
    isFirst = false
    var poll = initialPoll()
    var held = Dictionary(uniqueKeysWithValues: poll.opened.map { ($0.number, $0) })
    var sockets: [UInt64: Poll.TCPChange] = [:]
    var families: [UInt64: Poll.FamilyChange] = [:]
    time = -scenario.priorLife
    let interval = max(scenario.interval, scenario.priorLife / 2000)
    while time < 0 {
      let next = advance(to: min(0, time + interval))
      for number in next.closed { held[number] = nil }
      for new in next.opened { held[new.number] = new }
      for change in next.tcp { sockets[change.inode] = change }
      for change in next.families { families[change.inode] = change }
    }
    leaked = []
    poll.opened = held.values.sorted { $0.number < $1.number }
    poll.tcp = poll.opened.compactMap { sockets[$0.inode] }
    poll.families = poll.opened.compactMap { families[$0.inode] }
    poll.count = open
    // Nobody runs a process at its limit for long.
    var limit = scenario.softLimit
    while limit < 4 * UInt64(open) { limit *= 2 }
    poll.limits = Limits(soft: limit, hard: 524_288)
    poll.collector = scenario.collector
    time = 0
    return poll
  }

  private mutating func initialPoll() -> Poll {
    var poll = Poll(time: .zero, count: scenario.base)
    let targets = ["/dev/null", "/var/log/app/app.log", "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "pipe:[7]"]
    for number in 0..<scenario.base {
      free.append(false)
      poll.opened.append(
        Poll.Opened(number: Int32(number), target: targets[number % 5], inode: 7, flags: 2, position: 0))
    }
    open = scenario.base
    return poll
  }

  private mutating func add(_ birth: (source: Int, key: Int, dies: Double, isLeaked: Bool), to poll: inout Poll) {
    var number = free.firstIndex(of: true) ?? free.count
    if number == free.count { free.append(false) } else { free[number] = false }
    number = min(number, Int(Int32.max))
    open += 1
    nextInode += 1
    let source = sources[birth.source]
    poll.opened.append(
      Poll.Opened(
        number: Int32(number), target: source.target(key: birth.key, inode: nextInode, &random), inode: nextInode,
        flags: 2, position: 0))
    live[birth.source][birth.key] = Int32(number)
    if birth.dies.isFinite { deaths.push(birth.dies, birth.source, birth.key) }
    if birth.isLeaked { leaked.append(time) }
    guard scenario.readsSockets else { return }
    switch source.look {
    case .abandoned(let peer): poll.tcp.append(.init(inode: nextInode, state: .closeWait, peer: peer))
    case .client(let peer): poll.tcp.append(.init(inode: nextInode, state: .established, peer: peer))
    case .server:
      let port = 32768 + Int(nextInode % 28000)
      poll.tcp.append(
        .init(inode: nextInode, state: .established, peer: "10.1.\(nextInode % 5).\(nextInode % 251):\(port)"))
    case .socket: poll.families.append(.init(inode: nextInode, kind: .unix))
    default: break
    }
  }
}

/// A binary heap of deaths to come, the soonest first.
private struct DeathQueue {
  private var heap: [(time: Double, source: Int, key: Int)] = []

  mutating func push(_ time: Double, _ source: Int, _ key: Int) {
    heap.append((time, source, key))
    var child = heap.count - 1
    while child > 0, heap[(child - 1) / 2].time > heap[child].time {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop(before time: Double) -> (source: Int, key: Int)? {
    guard let first = heap.first, first.time <= time else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      let left = 2 * parent + 1
      guard left < heap.count else { break }
      let least = left + 1 < heap.count && heap[left + 1].time < heap[left].time ? left + 1 : left
      if heap[parent].time <= heap[least].time { break }
      heap.swapAt(parent, least)
      parent = least
    }
    return (first.source, first.key)
  }
}
