// SPDX-License-Identifier: Apache-2.0
// The texts: Go's count profiles (`?debug=1`; printCountProfile in runtime/pprof/pprof.go) and gperftools' heap profiles.
// google/pprof reads them in legacy_profile.go. And the page of the file leak detector that Jenkins' people made for Java.

/// Which text it is, by its first line.
enum TextForm: Equatable {
  /// `NAME profile: total N`.
  case count(name: String)
  /// `heap profile: N: BYTES [N: BYTES] @ heapprofile`, of gperftools, tcmalloc and Go.
  case heap
  /// `N descriptors are open`, then each with `#1 NAME by thread:… on …` and the trace of who opened it.
  case descriptors

  /// `nil` if the bytes are none of them.
  init?(header bytes: [UInt8]) {
    guard let end = bytes.prefix(1024).firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let line = String(decoding: bytes[..<end], as: UTF8.self)
    if line.hasPrefix("heap profile: "), line.contains("[") {
      self = .heap
    } else if line.hasSuffix(" descriptors are open"), Int(line.prefix { $0 != " " }) != nil {
      self = .descriptors
    } else if let range = line.ranges(of: " profile: total ").last, range.lowerBound > line.startIndex,
      UInt64(line[range.upperBound...]) != nil
    {
      self = .count(name: String(line[..<range.lowerBound]))
    } else {
      return nil
    }
  }
}

extension Profile {
  /// Reads a text.
  package init(text bytes: [UInt8], limits: ProfileLimits = ProfileLimits()) throws(PprofError) {
    guard let form = TextForm(header: bytes) else {
      throw .foreign(reason: "its first line is not \"NAME profile: total N\"")
    }
    var reader = TextReader(form, limits)
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      try reader.take(bytes[start..<end])
      start = end + 1
    }
    // What was cut off anywhere but between two lines shows by its last one.
    if bytes.last != UInt8(ascii: "\n") { throw .truncated }
    self = try reader.finish()
  }
}

private struct TextReader {
  private let form: TextForm
  private let limits: ProfileLimits
  private var builder: ProfileBuilder
  private var number = 0
  private var samples = 0
  private var mappings: [Profile.Mapping] = []
  /// As many as a process may have: vm.max_map_count.
  private static let mostMappings = 65_530
  private var isInMappings = false
  /// The sample whose frames are being read.
  private var values: [Int64] = []
  private var addresses: [UInt64] = []
  private var frames: [Profile.Location] = []

  init(_ form: TextForm, _ limits: ProfileLimits) {
    (self.form, self.limits) = (form, limits)
    switch form {
    case .count(let name): builder = ProfileBuilder(sampleTypes: [.init(type: name, unit: "count")])
    case .heap:
      builder = ProfileBuilder(sampleTypes: [
        .init(type: "inuse_objects", unit: "count"), .init(type: "inuse_space", unit: "bytes"),
      ])
    case .descriptors: builder = ProfileBuilder(sampleTypes: [.init(type: "descriptors", unit: "count")])
    }
  }

  private func error(_ reason: String) -> PprofError { .malformedText(reason: reason, line: number) }

  mutating func take(_ bytes: ArraySlice<UInt8>) throws(PprofError) {
    number += 1
    // Of 250,000 samples' depth a line of addresses may be long; a name may not.
    if bytes.count > 24 * limits.depth + limits.stringBytes {
      throw .tooLarge(limit: "string", most: limits.stringBytes)
    }
    let line = String(decoding: bytes, as: UTF8.self)
    if number == 1 { return }
    if form == .descriptors { return try takeTrace(line) }
    if line.isEmpty { return try finishSample() }
    if line == "MAPPED_LIBRARIES:" {
      isInMappings = true
      return try finishSample()
    }
    if isInMappings {
      if mappings.count < Self.mostMappings, let mapping = Profile.Mapping(maps: line) { mappings.append(mapping) }
      return
    }
    if line.hasPrefix("#") { return try takeFrame(line) }
    if line.contains(" profile: total ") { throw .concatenated }
    try takeSample(line)
  }

  private mutating func takeSample(_ line: String) throws(PprofError) {
    try finishSample()
    samples += 1
    if samples > limits.samples { throw .tooLarge(limit: "samples", most: limits.samples) }
    guard let at = line.ranges(of: "@").first else { throw error("a sample is \"COUNT @ ADDRESS…\"") }
    let head = line[..<at.lowerBound].split(separator: " ").map { $0.hasSuffix(":") ? $0.dropLast() : $0 }
    let counts = head.compactMap { Int64($0) }
    switch form {
    case .count:
      guard head.count == 1, let count = counts.first else { throw error("a sample begins with a count") }
      values = [count]
    case .heap:
      guard head.count >= 2, counts.count >= 2 else { throw error("a sample begins with objects and bytes") }
      values = [counts[0], counts[1]]
    case .descriptors: return
    }
    for word in line[at.upperBound...].split(separator: " ") {
      guard word.hasPrefix("0x"), let address = UInt64(word.dropFirst(2), radix: 16) else {
        throw error("an address is no hexadecimal number")
      }
      addresses.append(address)
      if addresses.count > limits.depth { throw .tooLarge(limit: "depth", most: limits.depth) }
    }
  }

  /// `#<tab>0xADDRESS<tab>FUNCTION+0xOFFSET<tabs>FILE:LINE`. Comments and labels of other kinds are passed over.
  private mutating func takeFrame(_ line: String) throws(PprofError) {
    let fields = line.split(separator: "\t")
    guard !values.isEmpty, fields.count >= 2, fields[0] == "#", fields[1].hasPrefix("0x"),
      let address = UInt64(fields[1].dropFirst(2), radix: 16)
    else { return }
    var location = Profile.Location(address: address, frames: [])
    if fields.count >= 3 {
      let function = fields[2].ranges(of: "+0x").last.map { fields[2][..<$0.lowerBound] } ?? fields[2]
      var frame = Profile.Frame(function: String(function), systemName: String(function))
      if fields.count >= 4, let colon = fields[3].lastIndex(of: ":") {
        frame.file = String(fields[3][..<colon])
        frame.line = Int(fields[3][fields[3].index(after: colon)...]) ?? 0
      }
      location.frames = [frame]
    }
    frames.append(location)
    if frames.count > limits.depth { throw .tooLarge(limit: "depth", most: limits.depth) }
  }

  /// `#1 /tmp/x by thread:main on …`, then lines `\tat java.io.FileInputStream.<init>(FileInputStream.java:79)`.
  private mutating func takeTrace(_ line: String) throws(PprofError) {
    if line.hasPrefix("#") {
      try finishSample()
      samples += 1
      if samples > limits.samples { throw .tooLarge(limit: "samples", most: limits.samples) }
      values = [1]
      return
    }
    guard !values.isEmpty, line.hasPrefix("\tat ") else { return }
    let text = line.dropFirst(4)
    var frame = Profile.Frame(function: String(text))
    if let open = text.lastIndex(of: "("), text.hasSuffix(")") {
      frame.function = String(text[..<open])
      let place = text[text.index(after: open)...].dropLast()
      let colon = place.lastIndex(of: ":")
      frame.file = String(place[..<(colon ?? place.endIndex)])
      frame.line = colon.flatMap { Int(place[place.index(after: $0)...]) } ?? 0
    }
    frames.append(Profile.Location(frames: [frame]))
    if frames.count > limits.depth { throw .tooLarge(limit: "depth", most: limits.depth) }
  }

  /// The frames where there are any, else the addresses: inlined frames share one, and Go leaves `goexit` out of the first.
  private mutating func finishSample() throws(PprofError) {
    guard !values.isEmpty else { return }
    defer { (values, addresses, frames) = ([], [], []) }
    // Return addresses: the call is before them.
    let locations = frames.isEmpty ? addresses.map { Profile.Location(address: $0 &- 1, frames: []) } : frames
    let stack = locations.map { builder.location($0) }
    builder.add(stack: stack, values: values)
  }

  mutating func finish() throws(PprofError) -> Profile {
    try finishSample()
    if mappings.isEmpty { return builder.finish() }
    let order = MappingIndex(mappings)
    return builder.finish { profile in
      profile.mappings = mappings
      for index in profile.locations.indices {
        guard let found = order.index(of: profile.locations[index].address) else { continue }
        profile.locations[index].mapping = UInt32(found + 1)
      }
    }
  }
}

/// Mappings by address. Of two that overlap, as those of a process cannot, the one that begins later counts.
package struct MappingIndex: Sendable {
  private let mappings: [Profile.Mapping]
  private let order: [Int]

  package init(_ mappings: [Profile.Mapping]) {
    self.mappings = mappings
    order = mappings.indices.sorted { mappings[$0].start < mappings[$1].start }
  }

  package func index(of address: UInt64) -> Int? {
    var (low, high) = (0, order.count)
    while low < high {
      let middle = (low + high) / 2
      if mappings[order[middle]].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < mappings[order[low - 1]].limit else { return nil }
    return order[low - 1]
  }
}

extension Profile.Mapping {
  /// A line of `/proc/<pid>/maps`, if it is one of code. See proc_pid_maps(5).
  package init?(maps line: String) {
    let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
    guard fields.count == 6, fields[1].contains("x"), let offset = UInt64(fields[2], radix: 16) else { return nil }
    let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
    guard ends.count == 2, ends[0] < ends[1] else { return nil }
    self.init(start: ends[0], limit: ends[1], offset: offset, file: fields[5].drop(while: { $0 == " " }).description)
  }
}
