// SPDX-License-Identifier: Apache-2.0
// Writing a profile: as profile.proto, and as the text that Go's `?debug=1` gives.

extension Profile {
  /// `profile.proto`, with gzip as its consumers expect.
  package func encoded(compressed: Bool = true) -> [UInt8] {
    var encoder = Encoder(self)
    let bytes = encoder.message()
    return compressed ? Gzip.compress(bytes) : bytes
  }

  /// The text of `/debug/pprof/NAME?debug=1`: counts, addresses, and a line for each frame.
  ///
  /// Line ends within names would end the line and are left out.
  package func text(name: String, valueIndex: Int? = nil) -> String {
    let valueIndex = valueIndex ?? countIndex
    var text = "\(name.onOneLine) profile: total \(total(valueIndex))\n"
    let order = (0..<sampleCount).sorted { value($0, valueIndex) > value($1, valueIndex) }
    for index in order {
      let stack = self[sample: index].locations.map(location)
      text += "\(value(index, valueIndex)) @"
      for location in stack { text += " 0x" + String(location.address &+ 1, radix: 16) }
      text += "\n"
      for location in stack {
        let address = "#\t0x" + String(location.address, radix: 16)
        if location.frames.isEmpty { text += address + "\n" }
        for frame in location.frames {
          text += "\(address)\t\(frame.function.onOneLine)+0x0\t\(frame.file.onOneLine):\(frame.line)\n"
        }
      }
      text += "\n"
    }
    return text
  }

  private func value(_ sample: Int, _ valueIndex: Int) -> Int64 { values[sample * sampleTypes.count + valueIndex] }
}

extension String {
  fileprivate var onOneLine: String { String(filter { !$0.isNewline && $0 != "\t" }) }
}

private struct Encoder {
  private let profile: Profile
  private var bytes: [UInt8] = []
  /// Those of the profile, and behind them those that it does not keep by reference.
  private var extra: [String] = []
  private var extraIndex: [String: Int] = [:]

  init(_ profile: Profile) { self.profile = profile }

  mutating func message() -> [UInt8] {
    bytes.reserveCapacity(profile.strings.bytes.count + 8 * profile.stacks.count)
    for type in profile.sampleTypes { valueType(1, type) }
    for index in 0..<profile.sampleCount { sample(index) }
    for (index, mapping) in profile.mappings.enumerated() { add(mapping, id: index + 1) }
    for (index, location) in profile.locations.enumerated() { add(location, id: index + 1) }
    for (index, function) in profile.functions.enumerated() { add(function, id: index + 1) }
    number(7, string(profile.dropFrames))
    number(8, string(profile.keepFrames))
    number(9, UInt64(bitPattern: profile.timeNanos))
    number(10, UInt64(bitPattern: profile.durationNanos))
    if let type = profile.periodType { valueType(11, type) }
    number(12, UInt64(bitPattern: profile.period))
    let comments = profile.comments.map { string($0) }
    for comment in comments { element(13, comment) }
    number(14, string(profile.defaultSampleType))
    number(15, string(profile.docURL))
    if profile.strings.ranges.isEmpty { block(6) { _ in } }
    for range in profile.strings.ranges {
      let text = profile.strings.bytes[Int(range.lowerBound)..<Int(range.upperBound)]
      block(6) { $0.bytes.append(contentsOf: text) }
    }
    for text in extra { block(6) { $0.bytes.append(contentsOf: text.utf8) } }
    return bytes
  }

  private mutating func string(_ text: String) -> UInt64 {
    if text.isEmpty { return 0 }
    if let known = extraIndex[text] { return UInt64(known) }
    let index = max(profile.strings.ranges.count, 1) + extra.count
    extra.append(text)
    extraIndex[text] = index
    return UInt64(index)
  }

  private mutating func valueType(_ field: Int, _ value: Profile.ValueType) {
    let (type, unit) = (string(value.type), string(value.unit))
    block(field) {
      $0.number(1, type)
      $0.number(2, unit)
    }
  }

  private mutating func sample(_ index: Int) {
    let sample = profile[sample: index]
    let labels = profile.labels[profile.labelRange(ofSample: index)]
    block(2) { message in
      message.block(1) { for location in sample.locations { $0.varint(UInt64(location) + 1) } }
      message.block(2) { for value in sample.values { $0.varint(UInt64(bitPattern: value)) } }
      for label in labels {
        message.block(3) {
          $0.number(1, UInt64(label.key))
          $0.number(2, UInt64(label.text))
          $0.number(3, UInt64(bitPattern: label.number))
          $0.number(4, UInt64(label.unit))
        }
      }
    }
  }

  private mutating func add(_ mapping: Profile.Mapping, id: Int) {
    let (file, buildID) = (string(mapping.file), string(mapping.buildID))
    block(3) {
      $0.number(1, UInt64(id))
      $0.number(2, mapping.start)
      $0.number(3, mapping.limit)
      $0.number(4, mapping.offset)
      $0.number(5, file)
      $0.number(6, buildID)
      $0.number(7, mapping.hasFunctions ? 1 : 0)
      $0.number(8, mapping.hasFilenames ? 1 : 0)
      $0.number(9, mapping.hasLineNumbers ? 1 : 0)
      $0.number(10, mapping.hasInlineFrames ? 1 : 0)
    }
  }

  private mutating func add(_ location: LocationRecord, id: Int) {
    let lines = profile.lines[Int(location.lines)..<Int(location.lines + location.lineCount)]
    block(4) { message in
      message.number(1, UInt64(id))
      message.number(2, UInt64(location.mapping))
      message.number(3, location.address)
      for line in lines {
        message.block(4) {
          $0.number(1, UInt64(line.function))
          $0.number(2, UInt64(bitPattern: Int64(line.line)))
          $0.number(3, UInt64(bitPattern: Int64(line.column)))
        }
      }
      message.number(5, location.isFolded ? 1 : 0)
    }
  }

  private mutating func add(_ function: FunctionRecord, id: Int) {
    block(5) {
      $0.number(1, UInt64(id))
      $0.number(2, UInt64(function.name))
      $0.number(3, UInt64(function.systemName))
      $0.number(4, UInt64(function.file))
      $0.number(5, UInt64(bitPattern: Int64(function.startLine)))
    }
  }

  // MARK: The wire

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// A number; 0 is what is not there.
  private mutating func number(_ field: Int, _ value: UInt64) {
    if value != 0 { element(field, value) }
  }

  private mutating func element(_ field: Int, _ value: UInt64) {
    varint(UInt64(field) << 3)
    varint(value)
  }

  /// A field with a length. What it holds is written first and then moved up by the size of its length.
  private mutating func block(_ field: Int, _ body: (inout Encoder) -> Void) {
    varint(UInt64(field) << 3 | 2)
    let start = bytes.count
    body(&self)
    let size = bytes.count - start
    var prefix: [UInt8] = []
    var rest = size
    while rest >= 0x80 {
      prefix.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    prefix.append(UInt8(rest))
    bytes.insert(contentsOf: prefix, at: start)
  }
}
