// SPDX-License-Identifier: Apache-2.0
// What the helper answers: bounded, whatever was asked.

import LeakTable
import Pprof

/// A profile, read.
package struct ParsedProfile: Sendable, Equatable {
  package struct Stack: Sendable, Equatable {
    /// As people read them, leaf first.
    package var frames: [String]
    package var count: Int
    package var descriptors: [Int32]

    package init(frames: [String], count: Int, descriptors: [Int32] = []) {
      (self.frames, self.count, self.descriptors) = (frames, count, descriptors)
    }
  }

  /// As the table names it; empty where whoever asked knows it.
  package var name: String
  package var stacks: [Stack] = []
  /// What stacks hold that are not among these.
  package var others = 0
  /// Of the descriptors of its stacks only those are there whose number is a multiple of this: 1 unless there are too many.
  package var stride: Int32 = 1

  package init(name: String) { self.name = name }
}

package struct ParseAnswer: Sendable, Equatable {
  package var profiles: [ParsedProfile] = []
  /// When the profile was taken by its own word, in ns since 1970; 0 where it does not say.
  package var timeNanos: Int64 = 0
  /// Of several sample types the one that was counted.
  package var countedType: String?
  package var notes: Set<Note> = []

  package enum Note: UInt8, Sendable, CaseIterable {
    /// Not all names were looked up: that would have taken too long.
    case budgetSpent = 1
    case stacksLost, valuesLost
  }

  package init() {}
}

/// Why the helper has no answer: in the words of the format, and never in those of the file.
package enum ParseFailure: Error, Sendable, Equatable {
  case profile(PprofError)
  case table(LeakTableError)
  /// The file could not be read.
  case file(errno: Int32)
  /// Copied stacks that are none.
  case stacks
}

/// The figures that bound an answer, and with it what the daemon holds of one profile.
package enum AnswerLimits {
  /// Bytes in all.
  package static let bytes = 256 << 10
  /// Of stacks: the rest of the answer is small.
  static let stackBytes = 240 << 10
  static let leastShare = 8 << 10
  /// Profiles of one table: a program has a few.
  package static let profiles = 8
  package static let stacks = 1000
  package static let frames = 128
  /// Bytes of a frame.
  package static let frame = 512
  package static let name = 128
  /// Numbers of descriptors: beyond that a part of them stands for all.
  package static let descriptors = 32_768
  static let reason = 160
}

// MARK: On the wire

package enum AnswerWire {
  package static func encoded(_ result: Result<ParseAnswer, ParseFailure>) -> [UInt8] {
    var writer = WireWriter()
    switch result {
    case .success(let answer):
      writer.write(0)
      write(answer, to: &writer)
    case .failure(let failure):
      writer.write(1)
      write(failure, to: &writer)
    }
    return writer.bytes
  }

  /// Takes what a helper sent for what it is: anything.
  package static func decoded(_ bytes: [UInt8]) throws(WireError) -> Result<ParseAnswer, ParseFailure> {
    guard bytes.count <= AnswerLimits.bytes else { throw WireError() }
    var reader = WireReader(bytes)
    let result: Result<ParseAnswer, ParseFailure> =
      try reader.flag() ? .failure(try failure(&reader)) : .success(try answer(&reader))
    guard reader.isAtEnd else { throw WireError() }
    return result
  }

  private static func write(_ answer: ParseAnswer, to writer: inout WireWriter) {
    writer.write(UInt64(bitPattern: answer.timeNanos))
    writer.write(answer.countedType.map { $0.cut(to: AnswerLimits.name) } ?? "")
    writer.write(answer.notes.count)
    for note in answer.notes.sorted(by: { $0.rawValue < $1.rawValue }) { writer.write(Int(note.rawValue)) }
    let profiles = answer.profiles.prefix(AnswerLimits.profiles)
    writer.write(profiles.count)
    // The first, which holds most, may take nearly all: some room is kept for each of the others.
    var left = AnswerLimits.stackBytes
    for (place, profile) in profiles.enumerated() {
      let before = writer.bytes.count
      write(profile, within: max(0, left - AnswerLimits.leastShare * (profiles.count - 1 - place)), to: &writer)
      left -= writer.bytes.count - before
    }
  }

  /// Stack by stack, each with the frames that come up in it for the first time, until there is no room: what the rest hold
  /// is added up.
  private static func write(_ profile: ParsedProfile, within share: Int, to writer: inout WireWriter) {
    writer.write(profile.name.cut(to: AnswerLimits.name))
    writer.write(Int(profile.stride))
    var index: [String: Int] = [:]
    var body = WireWriter()
    var count = 0
    var others = profile.others
    for (place, stack) in profile.stacks.enumerated() {
      guard place < AnswerLimits.stacks else {
        others = others.clampedSum(stack.count)
        continue
      }
      var part = WireWriter()
      var new: [String] = []
      write(stack, index, &new, to: &part)
      guard body.bytes.count + part.bytes.count <= share else {
        others = others.clampedSum(stack.count)
        continue
      }
      for name in new { index[name] = index.count }
      body.append(part)
      count += 1
    }
    writer.write(others)
    writer.write(count)
    writer.append(body)
  }

  /// A frame is 0 and its text where it comes up for the first time, and then 1 more than its place among all such.
  private static func write(
    _ stack: ParsedProfile.Stack, _ index: [String: Int], _ new: inout [String], to writer: inout WireWriter
  ) {
    writer.write(stack.count)
    let frames = stack.frames.prefix(AnswerLimits.frames).map { $0.cut(to: AnswerLimits.frame) }
    writer.write(frames.count)
    var own: [String: Int] = [:]
    for frame in frames {
      if let known = index[frame] ?? own[frame] {
        writer.write(known + 1)
      } else {
        writer.write(0)
        writer.write(frame)
        own[frame] = index.count + new.count
        new.append(frame)
      }
    }
    // Mostly neighbours: a byte each.
    let numbers = stack.descriptors.filter { $0 >= 0 }.sorted()
    writer.write(numbers.count)
    var last: Int32 = 0
    for number in numbers {
      writer.write(Int(number - last))
      last = number
    }
  }

  private static func answer(_ reader: inout WireReader) throws(WireError) -> ParseAnswer {
    var answer = ParseAnswer()
    answer.timeNanos = Int64(bitPattern: try reader.number())
    let type = try reader.text(AnswerLimits.name)
    answer.countedType = type.isEmpty ? nil : type
    for _ in 0..<(try reader.number(0...ParseAnswer.Note.allCases.count)) {
      guard let note = ParseAnswer.Note(rawValue: UInt8(try reader.number(0...255))) else { throw WireError() }
      answer.notes.insert(note)
    }
    var descriptors = 0
    for _ in 0..<(try reader.number(0...AnswerLimits.profiles)) {
      answer.profiles.append(try profile(&reader, &descriptors))
    }
    return answer
  }

  private static func profile(_ reader: inout WireReader, _ descriptors: inout Int) throws(WireError) -> ParsedProfile {
    var profile = ParsedProfile(name: try reader.text(AnswerLimits.name))
    profile.stride = Int32(try reader.number(1...Int(Int32.max)))
    profile.others = try reader.number(0...Int.max)
    var texts: [String] = []
    for _ in 0..<(try reader.number(0...AnswerLimits.stacks)) {
      var stack = ParsedProfile.Stack(frames: [], count: try reader.number(0...Int.max))
      for _ in 0..<(try reader.number(0...AnswerLimits.frames)) {
        let place = try reader.number(0...texts.count)
        if place == 0 { texts.append(try reader.text(AnswerLimits.frame)) }
        stack.frames.append(texts[place == 0 ? texts.count - 1 : place - 1])
      }
      let count = try reader.number(0...min(AnswerLimits.descriptors, reader.left))
      descriptors += count
      if descriptors > AnswerLimits.descriptors { throw WireError() }
      var last = 0
      for _ in 0..<count {
        last += try reader.number(0...Int(Int32.max) - last)
        stack.descriptors.append(Int32(last))
      }
      profile.stacks.append(stack)
    }
    return profile
  }
}

extension WireWriter {
  mutating func append(_ other: WireWriter) { append(other.bytes) }
}

extension Int {
  fileprivate func clampedSum(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(Swift.max(0, other))
    return overflow ? .max : sum
  }
}
