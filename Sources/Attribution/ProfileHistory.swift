// SPDX-License-Identifier: Apache-2.0
// The profiles of one process over time, and which of their stacks account for a leak. README.md has the method.

import Descriptors
import Detection
import Glibc

/// Snapshots of a process's profiles, in memory that does not grow with their number.
package struct ProfileHistory: Sendable {
  private var profiles: [Series] = []
  var filter: FrameFilter

  /// What all of it may take, roughly.
  package var mostBytes = 1 << 20
  /// Where the last snapshot went.
  private var latest: Int?

  /// What it takes.
  package var bytes: Int { profiles.reduce(0) { $0 + $1.bytes } }
  /// There was no room for all stacks of the last snapshots.
  package var isCut: Bool { profiles.contains(where: \.isCut) }
  /// What is kept of the snapshot that came in last.
  package var last: ProfileSnapshot? { latest.flatMap { profiles[$0].last } }

  /// A process has a few profiles that count descriptors.
  private static let mostProfiles = 6

  package init(filter: FrameFilter = FrameFilter()) { self.filter = filter }

  package var isEmpty: Bool { profiles.isEmpty }

  package mutating func add(_ snapshot: ProfileSnapshot, at time: Duration) {
    let index = profiles.firstIndex { $0.name == snapshot.name } ?? profiles.count
    if index == profiles.count {
      guard profiles.count < Self.mostProfiles else { return }
      profiles.append(Series(name: snapshot.name, isWitness: snapshot.isWitness))
    }
    let others = bytes - profiles[index].bytes
    profiles[index].add(snapshot, at: time, within: max(0, mostBytes - others))
    latest = index
  }

  /// Who opened the members of a leak, as far as the profiles tell. `nil` if there are none.
  /// - Parameter open: the descriptors that the process has open.
  package func blame(_ leak: LeakMembers, open: Int) -> Blame? {
    let candidates = profiles.map { $0.blame(leak, open: open, filter) }
    let best = candidates.max { $0.score < $1.score }
    return best?.blame
  }
}

extension ProfileHistory {
  /// The stacks that opened most of what is open, by the profile that accounts for most of it. `nil` where none counts
  /// descriptors.
  func holders(open: Int) -> Blame? {
    profiles.compactMap { $0.holders(open: open, filter) }.max { $0.explained < $1.explained }
  }
}

/// What one profile makes of a leak, and how good that is.
private struct Candidate {
  var blame: Blame
  var score: Double
}

// MARK: One profile

/// One profile over time.
private struct Series: Sendable {
  let name: String
  let isWitness: Bool
  /// Of frames each text is there once: stacks share most.
  private var texts: [String] = []
  private var textIndex: [String: UInt32] = [:]
  private var stacks: [[UInt32]] = []
  private var index: [[UInt32]: UInt32] = [:]
  private var snapshots: [Snapshot] = []
  /// Of the last snapshot.
  private var descriptors: [(stack: UInt32, numbers: [Int32])] = []
  private var descriptorStride: Int32 = 1
  private var others = 0
  private(set) var isCut = false
  /// What texts and stacks take.
  private var stackBytes = 0
  /// What all of it takes.
  var bytes: Int {
    stackBytes + snapshots.reduce(0) { $0 + 16 * $1.counts.count } + descriptors.reduce(0) { $0 + 4 * $1.numbers.count }
  }

  private struct Snapshot {
    var time: Duration
    /// Ascending by stack.
    var counts: [(stack: UInt32, count: Int)]
    var total: Int

    func count(_ stack: UInt32) -> Int {
      var (low, high) = (0, counts.count)
      while low < high {
        let middle = (low + high) / 2
        if counts[middle].stack < stack { low = middle + 1 } else { high = middle }
      }
      return low < counts.count && counts[low].stack == stack ? counts[low].count : 0
    }
  }

  /// Enough for a correlation; where more come in, those closest together go.
  private static let mostSnapshots = 24
  /// What holds little of a large profile is not what leaks.
  private static let mostStacks = 1000
  private static let mostFrames = 128
  private static let longestFrame = 512

  init(name: String, isWitness: Bool) { (self.name, self.isWitness) = (name, isWitness) }

  /// - Parameter most: bytes that the whole series may take.
  mutating func add(_ snapshot: ProfileSnapshot, at time: Duration, within most: Int) {
    let top = snapshot.stacks.sorted { $0.count > $1.count }.prefix(Self.mostStacks)
    (descriptors, descriptorStride) = ([], snapshot.stride)
    // A half is for what is new. What earlier snapshots hold goes before that, the first, a baseline, at last.
    if stacks.count + top.count > 4 * Self.mostStacks || bytes > most / 2 { forgetUnused() }
    while bytes > most / 2, !snapshots.isEmpty {
      if snapshots.count > 2 { thin() } else { snapshots.removeLast() }
      forgetUnused()
    }
    let room = min(most, bytes + most / 2) - 16 * top.count - 4 * top.reduce(0) { $0 + $1.descriptors.count }
    isCut = false
    var counts: [UInt32: Int] = [:]
    var kept = 0
    for stack in top {
      guard let place = place(of: stack.frames, within: room) else {
        isCut = true
        continue
      }
      counts[place, default: 0] += stack.count
      kept += stack.count
      if !stack.descriptors.isEmpty { descriptors.append((place, stack.descriptors)) }
    }
    others = snapshot.total - kept
    let new = Snapshot(
      time: time, counts: counts.map { ($0.key, $0.value) }.sorted { $0.stack < $1.stack }, total: snapshot.total)
    if let last = snapshots.last, last.time >= time { snapshots.removeLast() }
    snapshots.append(new)
    if snapshots.count > Self.mostSnapshots { thin() }
  }

  /// The place of a stack, which is made if there is room.
  private mutating func place(of frames: [String], within most: Int) -> UInt32? {
    let frames = frames.prefix(Self.mostFrames).map {
      $0.utf8.count > Self.longestFrame ? String($0.prefix(Self.longestFrame)) : $0
    }
    let known = frames.compactMap { textIndex[$0] }
    if known.count == frames.count, let place = index[known] { return place }
    // A text with its place in the table of all, a stack with its own; each twice, as dictionaries have room to spare.
    let cost = 96 + 8 * frames.count + frames.reduce(0) { textIndex[$1] == nil ? $0 + 96 + $1.utf8.count : $0 }
    if bytes + cost > most { return nil }
    stackBytes += cost
    let stack = frames.map { text in
      if let place = textIndex[text] { return place }
      textIndex[text] = UInt32(texts.count)
      texts.append(text)
      return UInt32(texts.count - 1)
    }
    index[stack] = UInt32(stacks.count)
    stacks.append(stack)
    return UInt32(stacks.count - 1)
  }

  private func frames(_ stack: UInt32) -> [String] { stacks[Int(stack)].map { texts[Int($0)] } }

  /// What is kept of the last snapshot.
  var last: ProfileSnapshot? {
    guard let last = snapshots.last else { return nil }
    let numbers = Dictionary(descriptors.map { ($0.stack, $0.numbers) }, uniquingKeysWith: +)
    var snapshot = ProfileSnapshot(
      name: name, isWitness: isWitness,
      stacks: last.counts.sorted { $0.count > $1.count }.map {
        StackCount(frames: frames($0.stack), count: $0.count, descriptors: numbers[$0.stack] ?? [])
      })
    (snapshot.others, snapshot.stride) = (others, descriptorStride)
    return snapshot
  }

  /// Drops the snapshot without which the longest gap stays shortest: the first, a baseline, and the latest stay.
  private mutating func thin() {
    let gaps = (1..<(snapshots.count - 1)).map { snapshots[$0 + 1].time - snapshots[$0 - 1].time }
    guard let least = gaps.indices.min(by: { gaps[$0] < gaps[$1] }) else { return }
    snapshots.remove(at: least + 1)
  }

  private mutating func forgetUnused() {
    let used = Set(snapshots.flatMap { $0.counts.map(\.stack) }).sorted()
    var remap: [UInt32: UInt32] = [:]
    let old = used.map { frames($0) }
    (texts, textIndex, stacks, index, stackBytes) = ([], [:], [], [:], 0)
    for (frames, place) in zip(old, used) { remap[place] = self.place(of: frames, within: .max) }
    for place in snapshots.indices {
      snapshots[place].counts = snapshots[place].counts.compactMap { entry in
        remap[entry.stack].map { ($0, entry.count) }
      }
    }
  }
}

// MARK: Blame

extension Series {
  /// What accounts for less than this of a leak does not fit it.
  private static let leastExplained = 0.3
  private static let mostNamed = 5
  /// Of the leak: as much as the one descriptor at the ends may be.
  private static let mostAtEnds = 0.1
  /// Descriptors by which the leak grew while the profile was read: fewer show nothing.
  private static let leastGrowth = 5.0

  func blame(_ leak: LeakMembers, open: Int, _ filter: FrameFilter) -> Candidate {
    guard let last = snapshots.last else { return misfit("it was not read yet", score: -1) }
    if !descriptors.isEmpty { return exact(leak, filter) }
    // Ours may be some polls old, and a process may count what it is about to open.
    if !isWitness, last.total > open * 3 / 2 + 16 {
      return misfit(
        "the profile \(name) counts \(last.total), but the process has \(open) descriptors open: it counts something else",
        score: 0)
    }
    let shares = sharesByGrowth(leak)
    let explained = shares.values.reduce(0) { $0 + $1.share }
    if explained < Self.leastExplained {
      let percent = Int(clamping: (explained * 100).rounded())
      let reason =
        snapshots.count < 2
        ? "the profile \(name) was read only once so far"
        : "the growth of the profile \(name) accounts for \(percent) % of it"
      return misfit(reason, score: explained * 0.1)
    }
    // A profile of something else may grow along with the leak, but hardly by the same amount.
    let weight = shares.values.reduce(0) { $0 + $1.share * $1.weight } / explained
    let remark = snapshots.count == 2 ? "by two snapshots only" : nil
    return Candidate(
      blame: Blame(
        profile: name, isWitness: isWitness, stacks: named(shares.mapValues(\.share), filter), remark: remark),
      score: explained * min(1, weight) * (isWitness ? 0.5 : 1))
  }

  /// The stacks by their share of all that are open.
  func holders(open: Int, _ filter: FrameFilter) -> Blame? {
    guard !isWitness, open > 0, let last = snapshots.last, last.total <= open * 3 / 2 + 16 else { return nil }
    let shares = last.counts.map { ($0.stack, Double($0.count) / Double(open)) }
    let stacks = named(Dictionary(shares, uniquingKeysWith: +), filter)
    return stacks.isEmpty ? nil : Blame(profile: name, stacks: stacks)
  }

  private func misfit(_ remark: String, score: Double) -> Candidate {
    Candidate(blame: Blame(profile: name, isWitness: isWitness, stacks: [], remark: remark), score: score)
  }

  private func named(_ shares: [UInt32: Double], _ filter: FrameFilter) -> [Blame.Stack] {
    // A hundredth is within what the times of polls and snapshots differ by.
    shares.filter { $0.value >= 0.01 }.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(Self.mostNamed).map {
      let (frames, own) = filter.named(frames($0.key), in: name)
      return Blame.Stack(frames: frames, own: own, share: min($0.value, 1))
    }
  }

  private func exact(_ leak: LeakMembers, _ filter: FrameFilter) -> Candidate {
    let numbers = Set(survivors(of: leak).map(\.number).filter { $0 % descriptorStride == 0 })
    guard !numbers.isEmpty else { return misfit("nothing of it is open", score: 0) }
    var shares: [UInt32: Double] = [:]
    for (stack, held) in descriptors {
      shares[stack, default: 0] += Double(numbers.intersection(held).count) / Double(numbers.count)
    }
    let explained = shares.values.reduce(0, +)
    if explained < Self.leastExplained {
      return misfit(
        "the profile \(name) holds \(Int(clamping: (explained * 100).rounded())) % of its descriptors",
        score: explained * 0.1)
    }
    return Candidate(
      blame: Blame(profile: name, isWitness: isWitness, isExact: true, stacks: named(shares, filter)),
      score: 1 + explained)
  }

  /// Those members of the leak of which the last snapshot tells who opened them.
  private func survivors(of leak: LeakMembers) -> [LeakMembers.Member] {
    guard let time = snapshots.last?.time, let oldest = leak.members.first?.opened else { return leak.members }
    let span = time - oldest
    var until = min(leak.settled, time)
    // Where few were closed so far the age is not known at which others are: then those of the last third may be yet.
    if leak.settled < oldest || leak.settled > time - span / 10 { until = time - span / 3 }
    let settled = leak.members.filter { $0.opened <= until }
    return settled.isEmpty ? leak.members : settled
  }

  // MARK: By growth

  private func sharesByGrowth(_ leak: LeakMembers) -> [UInt32: (share: Double, weight: Double)] {
    // One snapshot has nothing to be compared with.
    guard snapshots.count >= 2 else { return [:] }
    let points = snapshots
    let (growth, last) = leakGrowth(leak, points.map(\.time))
    let total = growth.reduce(0, +)
    guard total >= Self.leastGrowth else { return [:] }

    var candidates: [(stack: UInt32, growth: [Double])] = []
    for stack in Set(points.flatMap { $0.counts.map(\.stack) }).sorted() {
      if let floors = floorGrowth(points.map { $0.count(stack) }, upTo: last) { candidates.append((stack, floors)) }
    }
    let most: Double = leak.kind == .pipe || leak.kind == .unix ? 2 : 1
    candidates = Self.needed(candidates, for: growth, most: most)
    let weights = Self.weights(of: candidates.map(\.growth), for: growth, most: most)
    var shares: [UInt32: (share: Double, weight: Double)] = [:]
    for step in growth.indices {
      let expected = candidates.indices.reduce(0) { $0 + weights[$1] * candidates[$1].growth[step] }
      guard expected > 0 else { continue }
      for place in candidates.indices {
        let part = weights[place] * candidates[place].growth[step] / expected * min(growth[step], expected) / total
        let before = shares[candidates[place].stack]?.share ?? 0
        shares[candidates[place].stack] = (before + part, weights[place])
      }
    }
    // What comes a little before or after its snapshot is not lost over all of them, but for one at the ends: a poll sees
    // a descriptor up to an interval later than the profile. Of a small leak one may be all the difference.
    let atEnds = min(1, Self.mostAtEnds * total)
    let expected = candidates.indices.reduce(0) { $0 + weights[$1] * candidates[$1].growth.reduce(0, +) }
    let told = shares.values.reduce(0) { $0 + $1.share }
    let scale = told > 0 ? max(1, min((expected + atEnds) / total, 1) / told) : 1
    return shares.mapValues { ($0.share * scale, $0.weight) }
  }

  /// By how much the leak grew between the points, and the last point up to which it is known.
  ///
  /// Of what is younger than the ages at which others are closed a part may be closed yet. Up to the last point that is old
  /// enough all is known; where there is none, the leak is taken to have gone on as before.
  private func leakGrowth(_ leak: LeakMembers, _ times: [Duration]) -> (growth: [Double], last: Int) {
    func opened(until time: Duration) -> Double { Double(leak.members.partitioned { $0.opened > time }) }
    let first = opened(until: times[0])
    if let settled = times.lastIndex(where: { $0 <= leak.settled }), settled > 0,
      opened(until: times[settled]) - first >= Self.leastGrowth
    {
      return ((1...settled).map { opened(until: times[$0]) - opened(until: times[$0 - 1]) }, settled)
    }
    let known = opened(until: leak.settled) - first
    guard known >= Self.leastGrowth, leak.settled > times[0] else {
      return ((1..<times.count).map { opened(until: times[$0]) - opened(until: times[$0 - 1]) }, times.count - 1)
    }
    let perSecond = known / ((leak.settled - times[0]) / .seconds(1))
    func expected(until time: Duration) -> Double {
      time <= leak.settled
        ? opened(until: time) : opened(until: leak.settled) + perSecond * ((time - leak.settled) / .seconds(1))
    }
    return ((1..<times.count).map { expected(until: times[$0]) - expected(until: times[$0 - 1]) }, times.count - 1)
  }

  /// By how much its floor grew from snapshot to snapshot. `nil` if it did not grow, or fell by as much.
  private func floorGrowth(_ counts: [Int], upTo last: Int) -> [Double]? {
    var floors = counts
    for place in floors.indices.dropLast().reversed() { floors[place] = min(floors[place], floors[place + 1]) }
    var highest = 0
    var fall = 0
    for count in counts {
      highest = max(highest, count)
      fall = max(fall, highest - count)
    }
    guard floors[last] - floors[0] > fall else { return nil }
    return (1...last).map { Double(floors[$0] - floors[$0 - 1]) }
  }

  /// Stacks of which the most grew.
  private static let mostCandidates = 12
  /// What accounts for less may be left out, if the others account for it as well; two of a size are not told apart so.
  private static let minorShare = 0.25
  /// Of the leak: each leaked descriptor was opened by some stack, so what leaves more unaccounted for is needed.
  private static let mostLost = 0.05
  /// Of log likelihood: what one more stack has to gain (the Bayesian information criterion: half the logarithm of the
  /// number of points, of which there are 24 at most, and some for what polls and snapshots differ by in time).
  private static let leastGain = 2.5

  /// The stacks without which the leak's growth cannot be accounted for. A busy stack whose floor rose a little, as at a
  /// program's start, is not among them.
  private static func needed(
    _ all: [(stack: UInt32, growth: [Double])], for whole: [Double], most: Double
  ) -> [(stack: UInt32, growth: [Double])] {
    func total(_ growth: [Double]) -> Double { growth.reduce(0, +) }
    var kept = Array(all.sorted { total($0.growth) > total($1.growth) }.prefix(mostCandidates))
    while kept.count > 1 {
      let weights = weights(of: kept.map(\.growth), for: whole, most: most)
      let sizes = kept.indices.map { weights[$0] * total(kept[$0].growth) }
      let sum = sizes.reduce(0, +)
      let before = likelihood(kept.map(\.growth), weights, of: whole)
      var best: (index: Int, loss: Double)?
      for index in kept.indices where sizes[index] < minorShare * sum {
        var rest = kept.map(\.growth)
        rest.remove(at: index)
        let others = Self.weights(of: rest, for: whole, most: most)
        let accounted = rest.indices.reduce(0) { $0 + others[$1] * total(rest[$1]) }
        if min(accounted, total(whole)) < min(sum, total(whole)) - mostLost * total(whole) { continue }
        let loss = before - likelihood(rest, others, of: whole)
        if loss < best?.loss ?? leastGain { best = (index, loss) }
      }
      guard let best else { return kept }
      kept.remove(at: best.index)
    }
    return kept
  }

  /// Poisson's, up to a constant. A descriptor or two more than expected is what polls and snapshots differ by in time.
  private static func likelihood(_ parts: [[Double]], _ weights: [Double], of whole: [Double]) -> Double {
    whole.indices.reduce(0) { sum, step in
      let expected = parts.indices.reduce(0.5 + 0.02 * whole[step]) { $0 + weights[$1] * parts[$1][step] }
      return sum + whole[step] * log(expected) - expected
    }
  }

  /// The weights under which the sum of `parts` makes `whole` most likely.
  private static func weights(of parts: [[Double]], for whole: [Double], most: Double) -> [Double] {
    var weights = [Double](repeating: 1, count: parts.count)
    let sums = parts.map { $0.reduce(0, +) }
    for _ in 0..<100 {
      var ratios = [Double](repeating: 0, count: whole.count)
      for step in whole.indices {
        let expected = parts.indices.reduce(0) { $0 + weights[$1] * parts[$1][step] }
        ratios[step] = expected > 0 ? whole[step] / expected : 0
      }
      for place in parts.indices where sums[place] > 0 {
        let factor = whole.indices.reduce(0) { $0 + parts[place][$1] * ratios[$1] } / sums[place]
        weights[place] = min(weights[place] * factor, most)
      }
    }
    return weights
  }
}

extension Array {
  /// How many come before the first that satisfies what all later ones do, too.
  fileprivate func partitioned(_ isPast: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isPast(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
