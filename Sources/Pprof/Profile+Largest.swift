// SPDX-License-Identifier: Apache-2.0
// The stacks that hold most, in memory and time that follow from limits and not from what a stranger made a profile of.

extension Profile {
  /// The largest stacks of a profile, and what all others hold.
  package struct LargestStacks: Sendable {
    /// A stack by one of its samples.
    package struct Stack: Sendable {
      package var sample: Int
      package var count: Int64
      /// The numbers of its descriptors, where the producer labels them `fd`.
      package var descriptors: [Int32] = []
    }

    /// The most first.
    package var stacks: [Stack] = []
    package var others: Int64 = 0
  }

  /// - Parameters:
  ///   - valueIndex: which of a sample's values counts.
  ///   - most: so many stacks.
  ///   - depth: frames of a stack, from its leaf, by which it is distinguished from others. A location stands for as many
  ///     frames as were inlined there, and a sample has as many locations: to write all of them out is to multiply.
  package func largestStacks(_ valueIndex: Int, most: Int, depth: Int) -> LargestStacks {
    var stacks: [LargestStacks.Stack] = []
    // By the hash of their frames; those of one hash are a chain.
    var firstOfHash: [Int: Int32] = [:]
    var next: [Int32] = []
    var stackOfSample = [Int32](repeating: -1, count: sampleCount)
    var naming = LocationNaming(count: locations.count)
    var (frames, others) = ([UInt64](), [UInt64]())
    for index in 0..<sampleCount {
      let value = values[index * sampleTypes.count + valueIndex]
      if value == 0 { continue }
      identify(index, depth, &naming, &frames)
      let hash = frames.hashValue
      var place = firstOfHash[hash] ?? -1
      while place >= 0 {
        identify(stacks[Int(place)].sample, depth, &naming, &others)
        if others == frames { break }
        place = next[Int(place)]
      }
      if place < 0 {
        place = Int32(stacks.count)
        stacks.append(LargestStacks.Stack(sample: index, count: 0))
        next.append(firstOfHash[hash] ?? -1)
        firstOfHash[hash] = place
      }
      stacks[Int(place)].count &+= value
      stackOfSample[index] = place
    }
    let order = stacks.indices.sorted { (stacks[$0].count, $1) > (stacks[$1].count, $0) }
    var result = LargestStacks()
    var rank = [Int32](repeating: -1, count: stacks.count)
    for (place, stack) in order.prefix(most).enumerated() {
      rank[stack] = Int32(place)
      result.stacks.append(stacks[stack])
    }
    for stack in order.dropFirst(most) { result.others &+= max(0, stacks[stack].count) }
    if labels.isEmpty { return result }
    for index in 0..<sampleCount where stackOfSample[index] >= 0 {
      let place = rank[Int(stackOfSample[index])]
      if place < 0 { continue }
      for position in labelRange(ofSample: index) {
        if let fd = descriptor(labels[position]) { result.stacks[Int(place)].descriptors.append(fd) }
      }
    }
    return result
  }

  private func descriptor(_ label: LabelRecord) -> Int32? {
    guard label.text == 0, label.key < strings.ranges.count else { return nil }
    let key = strings.ranges[Int(label.key)]
    guard key.count == 2, strings.bytes[Int(key.lowerBound)] == UInt8(ascii: "f"),
      strings.bytes[Int(key.lowerBound) + 1] == UInt8(ascii: "d"), let fd = Int32(exactly: label.number), fd >= 0
    else { return nil }
    return fd
  }

  /// The locations of a sample, leaf first.
  package func locations(ofSample index: Int) -> ArraySlice<UInt32> { self[sample: index].locations }

  package func address(ofLocation index: UInt32) -> UInt64 { locations[Int(index)].address }

  /// Its index into ``mappings``.
  package func mapping(ofLocation index: UInt32) -> Int? {
    let mapping = locations[Int(index)].mapping
    return mapping == 0 ? nil : Int(mapping - 1)
  }

  /// The frames of a location that the producer named, at most so many; none where it named none of these.
  package func namedFrames(ofLocation index: UInt32, most: Int) -> [Frame] {
    let naming = LocationNaming(count: 0)
    guard naming.isNamed(self, locations[Int(index)], most) else { return [] }
    return lines(of: locations[Int(index)], most).map { frame(lines[$0]) }
  }

  fileprivate func lines(of record: LocationRecord, _ most: Int) -> Range<Int> {
    Int(record.lines)..<Int(record.lines) + min(Int(record.lineCount), most)
  }

  /// What tells its stack from others: functions with lines, or addresses where there are no names.
  private func identify(_ sample: Int, _ depth: Int, _ naming: inout LocationNaming, _ frames: inout [UInt64]) {
    frames.removeAll(keepingCapacity: true)
    let start = sample == 0 ? 0 : Int(stackEnds[sample - 1])
    for position in start..<Int(stackEnds[sample]) {
      if frames.count >= depth { return }
      let location = Int(stacks[position])
      let record = locations[location]
      if naming.isNamed(self, location, depth) {
        for line in lines(of: record, depth - frames.count) {
          frames.append(UInt64(lines[line].function) << 32 | UInt64(UInt32(bitPattern: lines[line].line)))
        }
      } else {
        frames.append(1 << 63 | record.address)
      }
    }
  }
}

/// Which locations have names, found out once each.
private struct LocationNaming {
  private var known: [UInt8]

  init(count: Int) { known = [UInt8](repeating: 0, count: count) }

  mutating func isNamed(_ profile: Profile, _ location: Int, _ most: Int) -> Bool {
    if known[location] == 0 { known[location] = isNamed(profile, profile.locations[location], most) ? 2 : 1 }
    return known[location] == 2
  }

  func isNamed(_ profile: Profile, _ record: LocationRecord, _ most: Int) -> Bool {
    profile.lines(of: record, most).contains { line in
      let function = profile.lines[line].function
      guard function > 0 else { return false }
      let name = profile.functions[Int(function - 1)].name
      return name < profile.strings.ranges.count && !profile.strings.ranges[Int(name)].isEmpty
    }
  }
}

extension Profile.Frame {
  /// `function file:line`, of at most so many bytes. A frame without a function is `address`.
  package func words(most: Int, address: UInt64) -> String {
    let name = function.isEmpty ? "0x" + String(address, radix: 16) : function
    if file.isEmpty { return name.cut(to: most) }
    // The end of a path says more than its beginning, and where a place is more than the end of a name.
    let place = line > 0 ? "\(file):\(line)" : file
    if name.utf8.count + place.utf8.count < most { return "\(name) \(place)" }
    return "\(name.cut(to: most / 2)) \(place.suffix(most / 4))".cut(to: most)
  }
}

extension String {
  /// At most so many bytes, and whole characters.
  package func cut(to bytes: Int) -> String {
    if utf8.count <= bytes { return self }
    var end = utf8.index(startIndex, offsetBy: bytes)
    while end > startIndex, end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(self[..<end])
  }
}
