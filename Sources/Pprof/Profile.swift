// SPDX-License-Identifier: Apache-2.0
// The pprof profile: google/pprof's proto/profile.proto, with its references resolved to indices.

/// Samples, each a stack with values, and what their addresses stand for.
///
/// As compact as the message: strings stay the bytes they were, stacks are one array of indices. Build one with
/// ``ProfileBuilder``, or read one with ``init(decoding:limits:)``.
package struct Profile: Sendable {
  /// What one value of each sample counts, such as `file` in `count`s.
  package struct ValueType: Sendable, Hashable {
    package var type: String
    package var unit: String

    package init(type: String, unit: String) { (self.type, self.unit) = (type, unit) }
  }

  /// A part of a binary in the process's memory: a line of `/proc/<pid>/maps`.
  package struct Mapping: Sendable, Hashable {
    package var start: UInt64
    package var limit: UInt64
    /// Of the file, where `start` lies.
    package var offset: UInt64
    package var file: String
    /// Hexadecimal digits, or empty.
    package var buildID: String
    package var hasFunctions = false
    package var hasFilenames = false
    package var hasLineNumbers = false
    package var hasInlineFrames = false

    package init(start: UInt64, limit: UInt64, offset: UInt64, file: String, buildID: String = "") {
      (self.start, self.limit, self.offset, self.file, self.buildID) = (start, limit, offset, file, buildID)
    }
  }

  /// A function in a source file: several of one ``Location`` where calls were inlined.
  package struct Frame: Sendable, Hashable {
    /// Empty where it is not known.
    package var function: String
    package var systemName: String
    package var file: String
    /// 0 where it is not known.
    package var line: Int

    package init(function: String, systemName: String = "", file: String = "", line: Int = 0) {
      (self.function, self.systemName, self.file, self.line) = (function, systemName, file, line)
    }
  }

  /// A place in the code: an address, with the frames that it stands for, innermost first.
  package struct Location: Sendable, Hashable {
    /// Index into ``Profile/mappings``.
    package var mapping: Int?
    package var address: UInt64
    package var frames: [Frame]
    package var isFolded = false

    package init(address: UInt64 = 0, mapping: Int? = nil, frames: [Frame]) {
      (self.address, self.mapping, self.frames) = (address, mapping, frames)
    }
  }

  /// A word with a sample: text or a number.
  package struct Label: Sendable, Hashable {
    package enum Value: Sendable, Hashable {
      case text(String)
      case number(Int64, unit: String)
    }
    package var key: String
    package var value: Value

    package init(_ key: String, _ value: Value) { (self.key, self.value) = (key, value) }
  }

  package internal(set) var sampleTypes: [ValueType] = []
  package internal(set) var mappings: [Mapping] = []
  package var defaultSampleType = ""
  package var periodType: ValueType?
  package var period: Int64 = 0
  /// When it was taken, in ns since 1970; 0 where it is not known.
  package var timeNanos: Int64 = 0
  package var durationNanos: Int64 = 0
  package var comments: [String] = []
  package var docURL = ""
  /// Regular expressions of functions that are of no interest: kept, not applied.
  package var dropFrames = ""
  package var keepFrames = ""

  var strings = StringTable()
  var functions: [FunctionRecord] = []
  var lines: [LineRecord] = []
  var locations: [LocationRecord] = []
  /// Of all samples, one after the other: indices into ``locations``, leaf first.
  var stacks: [UInt32] = []
  /// Where in ``stacks`` each sample ends.
  var stackEnds: [UInt32] = []
  /// `sampleTypes.count` for each sample.
  var values: [Int64] = []
  var labels: [LabelRecord] = []
  /// Where in ``labels`` each sample ends; empty where no sample has any.
  var labelEnds: [UInt32] = []
}

/// Strings by index, as the bytes that they came in.
struct StringTable: Sendable {
  var bytes: [UInt8] = []
  var ranges: [Range<UInt32>] = []

  /// What is not UTF-8 becomes U+FFFD.
  subscript(_ index: UInt32) -> String {
    guard index < ranges.count else { return "" }
    let range = ranges[Int(index)]
    return String(decoding: bytes[Int(range.lowerBound)..<Int(range.upperBound)], as: UTF8.self)
  }
}

// Indices of records count from 0; an optional one is 1 more, and 0 where there is none.

struct FunctionRecord: Sendable {
  var name: UInt32 = 0
  var systemName: UInt32 = 0
  var file: UInt32 = 0
  var startLine: Int32 = 0
}

struct LineRecord: Sendable {
  var function: UInt32 = 0
  var line: Int32 = 0
  var column: Int32 = 0
}

struct LocationRecord: Sendable {
  var address: UInt64 = 0
  var mapping: UInt32 = 0
  /// Index of the first of its lines.
  var lines: UInt32 = 0
  var lineCount: UInt32 = 0
  var isFolded = false
}

struct LabelRecord: Sendable {
  var key: UInt32 = 0
  var text: UInt32 = 0
  var unit: UInt32 = 0
  var number: Int64 = 0
}

// MARK: Looking at it

extension Profile {
  package var sampleCount: Int { stackEnds.count }
  package var locationCount: Int { locations.count }

  /// One sample, by where its parts are.
  package struct Sample: Sendable {
    package let index: Int
    /// Indices of locations, leaf first.
    package let locations: ArraySlice<UInt32>
    package let values: ArraySlice<Int64>
  }

  package subscript(sample index: Int) -> Sample {
    let start = index == 0 ? 0 : Int(stackEnds[index - 1])
    let width = sampleTypes.count
    return Sample(
      index: index, locations: stacks[start..<Int(stackEnds[index])],
      values: values[(index * width)..<((index + 1) * width)])
  }

  package func labels(ofSample index: Int) -> [Label] {
    labelRange(ofSample: index).map { position in
      let record = labels[position]
      let value: Label.Value =
        record.text != 0 ? .text(strings[record.text]) : .number(record.number, unit: strings[record.unit])
      return Label(strings[record.key], value)
    }
  }

  func labelRange(ofSample index: Int) -> Range<Int> {
    if labelEnds.isEmpty { return 0..<0 }
    return (index == 0 ? 0 : Int(labelEnds[index - 1]))..<Int(labelEnds[index])
  }

  package func location(_ index: UInt32) -> Location {
    let record = locations[Int(index)]
    let range = Int(record.lines)..<Int(record.lines + record.lineCount)
    var location = Location(
      address: record.address, mapping: record.mapping == 0 ? nil : Int(record.mapping - 1),
      frames: lines[range].map(frame))
    location.isFolded = record.isFolded
    return location
  }

  func frame(_ line: LineRecord) -> Frame {
    guard line.function > 0 else { return Frame(function: "", line: Int(line.line)) }
    let function = functions[Int(line.function - 1)]
    return Frame(
      function: strings[function.name], systemName: strings[function.systemName], file: strings[function.file],
      line: Int(line.line))
  }

  /// Which value of a sample counts objects that are there now, by preference: what is in use, in counts; then the type
  /// that the producer itself puts first.
  package var countIndex: Int {
    func first(_ isRight: (ValueType) -> Bool) -> Int? { sampleTypes.firstIndex(where: isRight) }
    return first { $0.type.hasPrefix("inuse_") && ($0.unit == "count" || $0.type.hasSuffix("objects")) }
      ?? first { $0.unit == "count" && !$0.type.hasPrefix("alloc") }
      ?? first { !defaultSampleType.isEmpty && $0.type == defaultSampleType } ?? 0
  }

  /// The sum of all samples' values of one type.
  package func total(_ valueIndex: Int) -> Int64 {
    let width = sampleTypes.count
    guard valueIndex < width else { return 0 }
    return stride(from: valueIndex, to: values.count, by: width).reduce(0) { $0 &+ values[$1] }
  }
}
