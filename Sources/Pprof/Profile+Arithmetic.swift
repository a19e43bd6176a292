// SPDX-License-Identifier: Apache-2.0
// Sums, differences, filters, and the stacks that hold most.

extension Profile {
  /// The sum of two profiles of the same sample types.
  package func adding(_ other: Profile) throws(PprofError) -> Profile { try combined(with: other, sign: 1) }

  /// What has come since `base`: samples that did not change are left out.
  package func subtracting(_ base: Profile) throws(PprofError) -> Profile { try combined(with: base, sign: -1) }

  private func combined(with other: Profile, sign: Int64) throws(PprofError) -> Profile {
    guard sampleTypes == other.sampleTypes else {
      throw .incompatible(sampleTypes.description, other.sampleTypes.description)
    }
    var builder = ProfileBuilder(sampleTypes: sampleTypes)
    builder.add(self, sign: 1) { _ in true }
    builder.add(other, sign: sign) { _ in true }
    return builder.finish(describedBy: self).withoutZeroes
  }

  /// Only the samples whose stack, leaf first, passes.
  package func filtered(_ isIncluded: ([Location]) -> Bool) -> Profile {
    var builder = ProfileBuilder(sampleTypes: sampleTypes)
    builder.add(self, sign: 1, isIncluded)
    return builder.finish(describedBy: self)
  }

  private var withoutZeroes: Profile {
    let width = sampleTypes.count
    guard (0..<sampleCount).contains(where: { self[sample: $0].values.allSatisfy { $0 == 0 } }) else { return self }
    var copy = self
    (copy.stacks, copy.stackEnds, copy.values, copy.labels, copy.labelEnds) = ([], [], [], [], [])
    for index in 0..<sampleCount where self[sample: index].values.contains(where: { $0 != 0 }) {
      copy.stacks.append(contentsOf: self[sample: index].locations)
      copy.stackEnds.append(UInt32(copy.stacks.count))
      copy.values.append(contentsOf: values[(index * width)..<((index + 1) * width)])
      copy.labels.append(contentsOf: labels[labelRange(ofSample: index)])
      if !labelEnds.isEmpty { copy.labelEnds.append(UInt32(copy.labels.count)) }
    }
    return copy
  }
}

extension Profile.ValueType: CustomStringConvertible {
  package var description: String { "\(type)/\(unit)" }
}

extension ProfileBuilder {
  fileprivate mutating func add(_ profile: Profile, sign: Int64, _ isIncluded: ([Profile.Location]) -> Bool) {
    let mappings = profile.mappings.map { mapping($0) }
    var known: [UInt32?] = Array(repeating: nil, count: profile.locationCount)
    for index in 0..<profile.sampleCount {
      let sample = profile[sample: index]
      guard isIncluded(sample.locations.map(profile.location)) else { continue }
      var stack: [UInt32] = []
      for old in sample.locations {
        if let found = known[Int(old)] {
          stack.append(found)
          continue
        }
        var place = profile.location(old)
        place.mapping = place.mapping.map { mappings[$0] }
        let new = location(place)
        known[Int(old)] = new
        stack.append(new)
      }
      add(stack: stack, values: sample.values.map { $0 &* sign }, labels: profile.labels(ofSample: index))
    }
  }

  fileprivate func finish(describedBy other: Profile) -> Profile {
    finish {
      ($0.defaultSampleType, $0.periodType, $0.period) = (other.defaultSampleType, other.periodType, other.period)
      ($0.timeNanos, $0.comments, $0.docURL) = (other.timeNanos, other.comments, other.docURL)
      ($0.dropFrames, $0.keepFrames) = (other.dropFrames, other.keepFrames)
    }
  }
}

// MARK: Stacks

extension Profile {
  /// A stack as people read it, with what it holds.
  package struct StackCount: Sendable, Equatable {
    /// `function file:line`, leaf first. An address without a name is `0x…`.
    package var frames: [String]
    package var count: Int64
    /// The numbers of its descriptors, where the producer labels them `fd`.
    package var descriptors: [Int32]

    package init(frames: [String], count: Int64, descriptors: [Int32] = []) {
      (self.frames, self.count, self.descriptors) = (frames, count, descriptors)
    }
  }

  /// What each stack holds, the most first. Samples that read alike, as those that differ in addresses or labels, are one.
  /// - Parameter symbolize: asked for the frames of a location that has none, innermost first.
  package func stackCounts(
    _ valueIndex: Int? = nil, symbolize: (Location) -> [Frame] = { _ in [] }
  ) -> [StackCount] {
    let valueIndex = valueIndex ?? countIndex
    var words: [[String]?] = Array(repeating: nil, count: locations.count)
    var places: [[String]: Int] = [:]
    var found: [StackCount] = []
    for index in 0..<sampleCount {
      let sample = self[sample: index]
      let value = sample.values[sample.values.startIndex + valueIndex]
      if value == 0 { continue }
      var frames: [String] = []
      for place in sample.locations {
        if let known = words[Int(place)] {
          frames += known
        } else {
          let text = Self.words(location(place), symbolize)
          words[Int(place)] = text
          frames += text
        }
      }
      let at = places[frames] ?? found.count
      if at == found.count {
        places[frames] = at
        found.append(StackCount(frames: frames, count: 0))
      }
      found[at].count &+= value
      for label in labels(ofSample: index) {
        guard label.key == "fd", case .number(let number, _) = label.value, let fd = Int32(exactly: number), fd >= 0
        else { continue }
        found[at].descriptors.append(fd)
      }
    }
    return found.sorted { ($0.count, $1.frames.first ?? "") > ($1.count, $0.frames.first ?? "") }
  }

  /// How the frames of a place are told: `function file:line`, or its address.
  package static func words(_ location: Location, _ symbolize: (Location) -> [Frame]) -> [String] {
    let named = location.frames.contains { !$0.function.isEmpty } ? location.frames : symbolize(location)
    if named.isEmpty { return ["0x" + String(location.address, radix: 16)] }
    return named.map { frame in
      let name = frame.function.isEmpty ? "0x" + String(location.address, radix: 16) : frame.function
      if frame.file.isEmpty { return name }
      return frame.line > 0 ? "\(name) \(frame.file):\(frame.line)" : "\(name) \(frame.file)"
    }
  }
}
