// SPDX-License-Identifier: Apache-2.0
// A detector that outlives a restart of who feeds it.

import Descriptors

extension Detector {
  /// All that is known of the process, to be read by ``init(restoring:savedAt:timeOfDay:)``: some 24 bytes for each open
  /// descriptor, and a few kilobytes. Of the same process only: who keeps it must compare its start time.
  package var savedState: [UInt8] {
    var archive = Archive()
    var copy = self
    // Only reading fails.
    try? copy.store(&archive)
    return archive.finished
  }

  /// Goes on where another left off.
  ///
  /// The next census tells all that is open, as a first one does: what is known is recognized by number, kind and inode,
  /// and keeps its age. What was closed meanwhile tells nothing of lifetimes, as nobody saw when.
  /// - Parameters:
  ///   - bytes: a ``savedState``.
  ///   - savedAt: when it was saved, on the clock of the polls to come: usually negative.
  package init(
    restoring bytes: [UInt8], savedAt: Duration, timeOfDay: (@Sendable (Duration) -> String)? = nil
  ) throws(SavedStateError) {
    self.init(timeOfDay: timeOfDay)
    var archive = try Archive(reading: bytes)
    try store(&archive)
    guard archive.isAtEnd, isSound else { throw .damaged }
    resume(at: savedAt)
  }
}

extension LedgerEntry: Storable {
  static var blank: LedgerEntry {
    LedgerEntry(number: 0, inode: 0, born: 0, classIndex: 0, kind: .anon, marks: [])
  }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&number)
    try archive.field(&inode)
    try archive.field(&born)
    try archive.field(&classIndex)
    try archive.field(&kind)
    var raw = marks.rawValue
    try archive.field(&raw)
    marks = Marks(rawValue: raw)
  }
}

extension Finding: Storable {
  static var blank: Finding {
    Finding(
      id: 0, kind: .anon, target: nil, leaked: 0, since: .zero, ratePerHour: 0, rateInterval: 0...0, timeToLimit: nil,
      timeToLimitInterval: nil, confidence: 0, evidence: [])
  }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&id)
    try archive.field(&kind)
    try archive.field(&target)
    try archive.field(&leaked)
    try archive.field(&since)
    try archive.field(&ratePerHour)
    try archive.field(&rateInterval)
    try archive.field(&timeToLimit)
    try archive.field(&timeToLimitInterval)
    try archive.field(&confidence)
    var who = explanation?.rawValue ?? ""
    try archive.field(&who)
    explanation = Explanation(rawValue: who)
    try archive.field(&runnerUp)
    var sentence = settles ?? ""
    try archive.field(&sentence)
    settles = sentence.isEmpty ? nil : sentence
    try archive.field(&evidence)
    try archive.field(&blame)
  }
}

extension Blame: Storable {
  static var blank: Blame { Blame(profile: "", stacks: []) }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&profile)
    try archive.field(&isWitness)
    try archive.field(&isExact)
    try archive.field(&stacks)
    try archive.field(&remark)
  }
}

extension Blame.Stack: Storable {
  static var blank: Blame.Stack { Blame.Stack(frames: [], own: 0, share: 0) }

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&frames)
    try archive.field(&own)
    try archive.field(&share)
  }
}

extension Duration: Storable {
  static let blank = Duration.zero
  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    var milliseconds = Int64(clamping: (self / .milliseconds(1)).rounded())
    try archive.field(&milliseconds)
    self = .milliseconds(milliseconds)
    guard isPlausible else { throw .damaged }
  }
}

extension ClosedRange: Storable where Bound: Storable {
  static var blank: ClosedRange { Bound.blank...Bound.blank }
  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    var (low, high) = (lowerBound, upperBound)
    try archive.field(&low)
    try archive.field(&high)
    guard low <= high else { throw .damaged }
    self = low...high
  }
}

extension Limits: Storable {
  static var blank: Limits { Limits(soft: 0, hard: 0) }
  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&soft)
    try archive.field(&hard)
  }
}

extension RunnerUp: Storable {
  static var blank: RunnerUp { RunnerUp(explanation: .load, probability: 0) }
  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&explanation)
    try archive.field(&probability)
  }
}
