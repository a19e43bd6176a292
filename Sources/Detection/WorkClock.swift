// SPDX-License-Identifier: Apache-2.0
// How much a process has done by when: the clock of work.

/// Descriptors opened and closed within the watch, over time: a request leaves some behind, whatever it is for.
///
/// At most 32 points are kept, the spacing doubled when there are more: half a kilobyte, from minutes to months.
struct WorkClock: Sendable, Equatable {
  fileprivate struct Knot: Sendable, Equatable {
    var time = 0.0
    var done = 0.0
  }

  private var knots: [Knot] = []
  private var spacing = 1.0
  private var done = 0.0
  private static let mostKnots = 32

  static let heapBytes = 32 + (mostKnots + 1) * 16

  mutating func add(_ count: Int, at time: Double) {
    if count == 0 { return }
    if knots.isEmpty {
      knots.reserveCapacity(Self.mostKnots)
      knots.append(Knot(time: time, done: 0))
    }
    done += Double(count)
    // The newest point moves on until it is far enough from the one before.
    if knots.count > 1, let last = knots.last, last.time - knots[knots.count - 2].time < spacing {
      knots[knots.count - 1] = Knot(time: time, done: done)
      return
    }
    if knots.count == Self.mostKnots {
      for index in 1..<(Self.mostKnots / 2) { knots[index] = knots[2 * index] }
      knots.removeSubrange((Self.mostKnots / 2)...)
      spacing *= 2
    }
    knots.append(Knot(time: time, done: done))
  }

  /// Work done until a moment, between the points by a straight line.
  func done(at time: Double) -> Double {
    guard let first = knots.first, let last = knots.last, time > first.time else { return 0 }
    if time >= last.time { return last.done }
    var low = 0
    var high = knots.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if knots[middle].time <= time { low = middle } else { high = middle }
    }
    let (a, b) = (knots[low], knots[high])
    return b.time > a.time ? a.done + (b.done - a.done) * (time - a.time) / (b.time - a.time) : b.done
  }
}

extension WorkClock {
  /// Whether it goes forward, and up to now: what comes from a file is not trusted.
  func isSound(until now: Double) -> Bool {
    (0...1e15).contains(done) && (1...1e15).contains(spacing)
      && knots.allSatisfy { (0...now).contains($0.time) && (0...done).contains($0.done) }
      && zip(knots, knots.dropFirst()).allSatisfy { $0.time <= $1.time && $0.done <= $1.done }
  }
}

extension WorkClock: Storable {
  static let blank = WorkClock()

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&knots)
    try archive.field(&spacing)
    try archive.field(&done)
    guard knots.count <= Self.mostKnots else { throw .damaged }
  }
}

extension WorkClock.Knot: Storable {
  static let blank = WorkClock.Knot()

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&time)
    try archive.field(&done)
  }
}
