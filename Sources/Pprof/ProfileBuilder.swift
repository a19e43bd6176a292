// SPDX-License-Identifier: Apache-2.0
// Making a profile, sample by sample: each string, function and location is there once.

/// Collects samples. Equal stacks with equal labels are one sample, whose values are added.
package struct ProfileBuilder: Sendable {
  private var profile = Profile()
  private var stringIndex: [String: UInt32] = [:]
  private var functionIndex: [FunctionKey: UInt32] = [:]
  private var locationIndex: [Profile.Location: UInt32] = [:]
  private var mappingIndex: [Profile.Mapping: Int] = [:]
  private var sampleIndex: [SampleKey: Int] = [:]

  private struct FunctionKey: Hashable {
    var name: String
    var systemName: String
    var file: String
  }

  private struct SampleKey: Hashable {
    var stack: [UInt32]
    var labels: [Profile.Label]
  }

  package init(sampleTypes: [Profile.ValueType]) {
    profile.sampleTypes = sampleTypes
    _ = string("")
  }

  /// All that does not depend on samples, such as time and comments, may be set here.
  package func finish(_ describe: (inout Profile) -> Void = { _ in }) -> Profile {
    var copy = profile
    describe(&copy)
    return copy
  }

  package mutating func mapping(_ mapping: Profile.Mapping) -> Int {
    if let known = mappingIndex[mapping] { return known }
    profile.mappings.append(mapping)
    mappingIndex[mapping] = profile.mappings.count - 1
    return profile.mappings.count - 1
  }

  package mutating func location(_ location: Profile.Location) -> UInt32 {
    if let known = locationIndex[location] { return known }
    var record = LocationRecord(
      address: location.address, mapping: location.mapping.map { UInt32($0 + 1) } ?? 0,
      lines: UInt32(profile.lines.count), lineCount: UInt32(location.frames.count))
    record.isFolded = location.isFolded
    for frame in location.frames {
      profile.lines.append(LineRecord(function: function(frame), line: Int32(clamping: frame.line)))
    }
    profile.locations.append(record)
    let index = UInt32(profile.locations.count - 1)
    locationIndex[location] = index
    return index
  }

  /// - Parameters:
  ///   - stack: what ``location(_:)`` gave, leaf first.
  ///   - values: one for each sample type.
  package mutating func add(stack: [UInt32], values: [Int64], labels: [Profile.Label] = []) {
    precondition(values.count == profile.sampleTypes.count, "a value for each sample type")
    let key = SampleKey(stack: stack, labels: labels)
    if let known = sampleIndex[key] {
      for (offset, value) in values.enumerated() { profile.values[known * values.count + offset] &+= value }
      return
    }
    sampleIndex[key] = profile.stackEnds.count
    profile.stacks.append(contentsOf: stack)
    profile.stackEnds.append(UInt32(profile.stacks.count))
    profile.values.append(contentsOf: values)
    if profile.labelEnds.isEmpty, !labels.isEmpty {
      profile.labelEnds = [UInt32](repeating: 0, count: profile.stackEnds.count - 1)
    }
    for label in labels {
      var record = LabelRecord(key: string(label.key))
      switch label.value {
      case .text(let text): record.text = string(text)
      case .number(let number, let unit): (record.number, record.unit) = (number, string(unit))
      }
      profile.labels.append(record)
    }
    if !profile.labelEnds.isEmpty || !labels.isEmpty { profile.labelEnds.append(UInt32(profile.labels.count)) }
  }

  private mutating func function(_ frame: Profile.Frame) -> UInt32 {
    if frame.function.isEmpty, frame.file.isEmpty { return 0 }
    let key = FunctionKey(name: frame.function, systemName: frame.systemName, file: frame.file)
    if let known = functionIndex[key] { return known }
    profile.functions.append(
      FunctionRecord(name: string(frame.function), systemName: string(frame.systemName), file: string(frame.file)))
    functionIndex[key] = UInt32(profile.functions.count)
    return UInt32(profile.functions.count)
  }

  private mutating func string(_ text: String) -> UInt32 {
    if let known = stringIndex[text] { return known }
    let start = UInt32(profile.strings.bytes.count)
    profile.strings.bytes.append(contentsOf: text.utf8)
    profile.strings.ranges.append(start..<UInt32(profile.strings.bytes.count))
    let index = UInt32(profile.strings.ranges.count - 1)
    stringIndex[text] = index
    return index
  }
}
