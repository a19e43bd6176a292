// SPDX-License-Identifier: Apache-2.0
// Reading profile.proto: the wire format of protocol buffers (protobuf.dev/programming-guides/encoding), by hand, so that
// what comes from a stranger costs no more memory than it has bytes.

extension Profile {
  /// Reads a profile: `profile.proto`, gzip or plain, or one of the texts that ``init(text:limits:)`` knows.
  package init(decoding bytes: [UInt8], limits: ProfileLimits = ProfileLimits()) throws(PprofError) {
    if bytes.count > limits.compressedBytes { throw .tooLarge(limit: "compressed", most: limits.compressedBytes) }
    let expanded = Gzip.isGzip(bytes) ? try Gzip.expand(bytes, limit: limits.expandedBytes) : bytes
    if expanded.count > limits.expandedBytes { throw .tooLarge(limit: "expanded", most: limits.expandedBytes) }
    guard let first = expanded.first else { throw .foreign(reason: "it is empty") }
    if TextForm(header: expanded) != nil {
      self = try Profile(text: expanded, limits: limits)
      return
    }
    let start = expanded.prefix(24)
    let isText = start.allSatisfy { ($0 >= 0x20 && $0 < 0x7f) || $0 == 0x0a || $0 == 0x0d || $0 == 0x09 }
    if first == UInt8(ascii: "<") { throw .foreign(reason: "it is HTML or XML") }
    do throws(PprofError) {
      var decoder = Decoder(expanded, limits)
      self = try decoder.decode()
    } catch {
      // What it is instead may be nobody's business: a link or another program's rights may have led to it.
      throw isText ? .foreign(reason: "it is some other text") : error
    }
  }
}

/// A part of the message that is yet to be read.
private struct Cursor {
  var position: Int
  let end: Int
}

private struct Decoder {
  let bytes: [UInt8]
  private let limits: ProfileLimits
  private var profile = Profile()

  init(_ bytes: [UInt8], _ limits: ProfileLimits) {
    (self.bytes, self.limits) = (bytes, limits)
  }

  // MARK: The wire

  private func varint(_ cursor: inout Cursor) throws(PprofError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while cursor.position < cursor.end {
      let byte = bytes[cursor.position]
      cursor.position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
      if shift > 63 { throw .damaged(reason: "a number has more than ten bytes", offset: cursor.position) }
    }
    if cursor.end == bytes.count { throw .truncated }
    throw .damaged(reason: "a number runs over the end of its field", offset: cursor.position)
  }

  /// Field number and wire type.
  private func tag(_ cursor: inout Cursor) throws(PprofError) -> (field: UInt64, type: UInt64) {
    let start = cursor.position
    let tag = try varint(&cursor)
    if tag >> 3 == 0 { throw .damaged(reason: "there is no field 0", offset: start) }
    return (tag >> 3, tag & 7)
  }

  private func block(_ cursor: inout Cursor, type: UInt64 = 2) throws(PprofError) -> Cursor {
    guard type == 2 else {
      throw .damaged(reason: "a field has wire type \(type) instead of 2", offset: cursor.position)
    }
    let size = try varint(&cursor)
    guard size <= UInt64(cursor.end - cursor.position) else {
      if cursor.end == bytes.count { throw .truncated }
      throw .damaged(reason: "a field is longer than what it lies in", offset: cursor.position)
    }
    defer { cursor.position += Int(size) }
    return Cursor(position: cursor.position, end: cursor.position + Int(size))
  }

  private func number(_ cursor: inout Cursor, type: UInt64) throws(PprofError) -> UInt64 {
    guard type == 0 else { throw .damaged(reason: "a number has wire type \(type)", offset: cursor.position) }
    return try varint(&cursor)
  }

  private func skip(_ cursor: inout Cursor, type: UInt64) throws(PprofError) {
    switch type {
    case 0: _ = try varint(&cursor)
    case 1, 5:
      let size = type == 1 ? 8 : 4
      guard cursor.end - cursor.position >= size else { throw .truncated }
      cursor.position += size
    case 2: _ = try block(&cursor)
    default: throw .damaged(reason: "there is no wire type \(type)", offset: cursor.position)
    }
  }

  // MARK: The message

  private var types: [(type: UInt32, unit: UInt32)] = []
  private var periodType: (type: UInt32, unit: UInt32)?
  private var comments: [UInt32] = []
  private var defaultType: UInt32 = 0
  private var docURL: UInt32 = 0
  private var drop: UInt32 = 0
  private var keep: UInt32 = 0
  private var rawMappings: [RawMapping] = []
  private var mappingIDs = Identifiers()
  private var functionIDs = Identifiers()
  private var locationIDs = Identifiers()
  private var hasTime = false
  private var sampleCount = 0
  private var sampleBytes = 0

  private struct RawMapping {
    var mapping = Profile.Mapping(start: 0, limit: 0, offset: 0, file: "")
    var file: UInt32 = 0
    var buildID: UInt32 = 0
  }

  /// Three passes, as ids may be used before they are defined, and the strings come last. What a pass does not want is
  /// stepped over by its length.
  mutating func decode() throws(PprofError) -> Profile {
    do {
      try readTables()
    } catch {
      // Of two profiles the ids come twice.
      throw isConcatenated ? .concatenated : error
    }
    try forEach(field: 4) { (decoder, message) throws(PprofError) in try decoder.readLocation(message) }
    // A location takes a byte at least. What is not written to later costs no memory; to grow by doubling would.
    profile.stacks.reserveCapacity(sampleBytes)
    profile.stackEnds.reserveCapacity(sampleCount)
    profile.values.reserveCapacity(sampleCount * types.count)
    try forEach(field: 2) { (decoder, message) throws(PprofError) in try decoder.readSample(message) }
    return try finish()
  }

  /// A profile was taken at one time.
  private var isConcatenated: Bool {
    var cursor = Cursor(position: 0, end: bytes.count)
    var times = 0
    while times < 2, cursor.position < cursor.end, let (field, type) = try? tag(&cursor),
      (try? skip(&cursor, type: type)) != nil
    {
      if field == 9 { times += 1 }
    }
    return times > 1
  }

  private mutating func forEach(
    field wanted: UInt64, _ body: (inout Decoder, Cursor) throws(PprofError) -> Void
  ) throws(PprofError) {
    var cursor = Cursor(position: 0, end: bytes.count)
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      if field == wanted { try body(&self, block(&cursor, type: type)) } else { try skip(&cursor, type: type) }
    }
  }

  private mutating func readTables() throws(PprofError) {
    var cursor = Cursor(position: 0, end: bytes.count)
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1: types.append(try valueType(block(&cursor, type: type)))
      case 2:
        let sample = try block(&cursor, type: type)
        sampleBytes += sample.end - sample.position
        sampleCount += 1
        if sampleCount > limits.samples { throw .tooLarge(limit: "samples", most: limits.samples) }
      case 3: try readMapping(block(&cursor, type: type))
      case 5: try readFunction(block(&cursor, type: type))
      case 6: try readString(block(&cursor, type: type))
      case 7: drop = try reference(&cursor, type: type)
      case 8: keep = try reference(&cursor, type: type)
      case 9:
        profile.timeNanos = Int64(bitPattern: try number(&cursor, type: type))
        if hasTime { throw .concatenated }
        hasTime = true
      case 10: profile.durationNanos = Int64(bitPattern: try number(&cursor, type: type))
      case 11: periodType = try valueType(block(&cursor, type: type))
      case 12: profile.period = Int64(bitPattern: try number(&cursor, type: type))
      case 13 where type == 2:
        var packed = try block(&cursor)
        while packed.position < packed.end { comments.append(index(try varint(&packed))) }
      case 13: comments.append(try reference(&cursor, type: type))
      case 14: defaultType = try reference(&cursor, type: type)
      case 15: docURL = try reference(&cursor, type: type)
      default: try skip(&cursor, type: type)
      }
    }
  }

  /// An index of a string. One that does not fit is none of any table, which is found out when it is resolved.
  private func index(_ value: UInt64) -> UInt32 { UInt32(clamping: value) }

  private func reference(_ cursor: inout Cursor, type: UInt64) throws(PprofError) -> UInt32 {
    index(try number(&cursor, type: type))
  }

  private func valueType(_ message: Cursor) throws(PprofError) -> (type: UInt32, unit: UInt32) {
    var cursor = message
    var result: (type: UInt32, unit: UInt32) = (0, 0)
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1: result.type = try reference(&cursor, type: type)
      case 2: result.unit = try reference(&cursor, type: type)
      default: try skip(&cursor, type: type)
      }
    }
    return result
  }

  private mutating func readMapping(_ message: Cursor) throws(PprofError) {
    var cursor = message
    var raw = RawMapping()
    var id: UInt64 = 0
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1: id = try number(&cursor, type: type)
      case 2: raw.mapping.start = try number(&cursor, type: type)
      case 3: raw.mapping.limit = try number(&cursor, type: type)
      case 4: raw.mapping.offset = try number(&cursor, type: type)
      case 5: raw.file = try reference(&cursor, type: type)
      case 6: raw.buildID = try reference(&cursor, type: type)
      case 7: raw.mapping.hasFunctions = try number(&cursor, type: type) != 0
      case 8: raw.mapping.hasFilenames = try number(&cursor, type: type) != 0
      case 9: raw.mapping.hasLineNumbers = try number(&cursor, type: type) != 0
      case 10: raw.mapping.hasInlineFrames = try number(&cursor, type: type) != 0
      default: try skip(&cursor, type: type)
      }
    }
    try mappingIDs.define(id, "mapping", offset: message.position)
    rawMappings.append(raw)
  }

  private mutating func readFunction(_ message: Cursor) throws(PprofError) {
    var cursor = message
    var record = FunctionRecord()
    var id: UInt64 = 0
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1: id = try number(&cursor, type: type)
      case 2: record.name = try reference(&cursor, type: type)
      case 3: record.systemName = try reference(&cursor, type: type)
      case 4: record.file = try reference(&cursor, type: type)
      case 5: record.startLine = Int32(clamping: Int64(bitPattern: try number(&cursor, type: type)))
      default: try skip(&cursor, type: type)
      }
    }
    try functionIDs.define(id, "function", offset: message.position)
    profile.functions.append(record)
  }

  private mutating func readLocation(_ message: Cursor) throws(PprofError) {
    var cursor = message
    var record = LocationRecord(lines: UInt32(profile.lines.count))
    var id: UInt64 = 0
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1: id = try number(&cursor, type: type)
      case 2: record.mapping = try mappingIDs.index(of: number(&cursor, type: type), "mapping", offset: cursor.position)
      case 3: record.address = try number(&cursor, type: type)
      case 4:
        profile.lines.append(try line(block(&cursor, type: type)))
        record.lineCount += 1
        if record.lineCount > limits.depth { throw .tooLarge(limit: "depth", most: limits.depth) }
      case 5: record.isFolded = try number(&cursor, type: type) != 0
      default: try skip(&cursor, type: type)
      }
    }
    try locationIDs.define(id, "location", offset: message.position)
    profile.locations.append(record)
  }

  private mutating func line(_ message: Cursor) throws(PprofError) -> LineRecord {
    var cursor = message
    var record = LineRecord()
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1:
        record.function = try functionIDs.index(of: number(&cursor, type: type), "function", offset: cursor.position)
      case 2: record.line = Int32(clamping: Int64(bitPattern: try number(&cursor, type: type)))
      case 3: record.column = Int32(clamping: Int64(bitPattern: try number(&cursor, type: type)))
      default: try skip(&cursor, type: type)
      }
    }
    return record
  }

  private mutating func readSample(_ message: Cursor) throws(PprofError) {
    var cursor = message
    let firstLocation = profile.stacks.count
    let firstValue = profile.values.count
    let firstLabel = profile.labels.count
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1 where type == 2:
        var packed = try block(&cursor)
        while packed.position < packed.end { try addLocation(&packed, after: firstLocation) }
      case 1 where type == 0: try addLocation(&cursor, after: firstLocation)
      case 2 where type == 2:
        var packed = try block(&cursor)
        while packed.position < packed.end { profile.values.append(Int64(bitPattern: try varint(&packed))) }
      case 2: profile.values.append(Int64(bitPattern: try number(&cursor, type: type)))
      case 3: profile.labels.append(try label(block(&cursor, type: type)))
      default: try skip(&cursor, type: type)
      }
    }
    let count = profile.values.count - firstValue
    guard count == types.count, count > 0 else {
      throw .damaged(reason: "a sample has \(count) values for \(types.count) sample types", offset: message.position)
    }
    profile.stackEnds.append(UInt32(profile.stacks.count))
    if profile.labels.count > 0 {
      if profile.labelEnds.isEmpty {
        profile.labelEnds = [UInt32](repeating: UInt32(firstLabel), count: profile.stackEnds.count - 1)
      }
      profile.labelEnds.append(UInt32(profile.labels.count))
    }
  }

  private mutating func addLocation(_ cursor: inout Cursor, after first: Int) throws(PprofError) {
    let index = try locationIDs.index(of: varint(&cursor), "location", offset: cursor.position)
    guard index > 0 else { throw .damaged(reason: "a sample refers to location 0", offset: cursor.position) }
    profile.stacks.append(index - 1)
    if profile.stacks.count - first > limits.depth { throw .tooLarge(limit: "depth", most: limits.depth) }
  }

  private func label(_ message: Cursor) throws(PprofError) -> LabelRecord {
    var cursor = message
    var record = LabelRecord()
    while cursor.position < cursor.end {
      let (field, type) = try tag(&cursor)
      switch field {
      case 1: record.key = try reference(&cursor, type: type)
      case 2: record.text = try reference(&cursor, type: type)
      case 3: record.number = Int64(bitPattern: try number(&cursor, type: type))
      case 4: record.unit = try reference(&cursor, type: type)
      default: try skip(&cursor, type: type)
      }
    }
    return record
  }

  private mutating func readString(_ text: Cursor) throws(PprofError) {
    if text.end - text.position > limits.stringBytes { throw .tooLarge(limit: "string", most: limits.stringBytes) }
    if profile.strings.ranges.isEmpty, text.position != text.end {
      throw .foreign(reason: "the first string of its table is not empty")
    }
    profile.strings.ranges.append(UInt32(text.position)..<UInt32(text.end))
  }

  // MARK: The end

  /// Checks each reference to a string, and fills in what is not kept by reference.
  private mutating func finish() throws(PprofError) -> Profile {
    if types.isEmpty { throw .foreign(reason: "it has no sample type") }
    if profile.strings.ranges.isEmpty { profile.strings.ranges = [0..<0] }
    profile.strings.bytes = bytes
    for function in profile.functions {
      try check(max(function.name, function.systemName, function.file))
    }
    for label in profile.labels { try check(max(label.key, label.text, label.unit)) }
    for type in types { profile.sampleTypes.append(try resolved(type)) }
    profile.periodType = try periodType.map { (type) throws(PprofError) in try resolved(type) }
    for comment in comments { profile.comments.append(try string(comment)) }
    profile.defaultSampleType = try string(defaultType)
    profile.docURL = try string(docURL)
    profile.dropFrames = try string(drop)
    profile.keepFrames = try string(keep)
    for raw in rawMappings {
      var mapping = raw.mapping
      mapping.file = try string(raw.file)
      mapping.buildID = try string(raw.buildID)
      profile.mappings.append(mapping)
    }
    return profile
  }

  private func check(_ index: UInt32) throws(PprofError) {
    if index >= profile.strings.ranges.count {
      throw .damaged(reason: "string \(index) of \(profile.strings.ranges.count) is referred to", offset: bytes.count)
    }
  }

  private func string(_ index: UInt32) throws(PprofError) -> String {
    try check(index)
    return profile.strings[index]
  }

  private func resolved(_ type: (type: UInt32, unit: UInt32)) throws(PprofError) -> Profile.ValueType {
    Profile.ValueType(type: try string(type.type), unit: try string(type.unit))
  }
}

/// From a producer's ids to our indices. Nearly all count from 1 upwards: then there is nothing to look up.
private struct Identifiers {
  private var count: UInt32 = 0
  private var others: [UInt64: UInt32]?

  mutating func define(_ id: UInt64, _ what: String, offset: Int) throws(PprofError) {
    if id == 0 { throw .damaged(reason: "a \(what) has the id 0", offset: offset) }
    count += 1
    if others == nil {
      if id == UInt64(count) { return }
      var all: [UInt64: UInt32] = [:]
      for known in 1..<count { all[UInt64(known)] = known }
      others = all
    }
    if others?.updateValue(count, forKey: id) != nil {
      throw .damaged(reason: "two \(what)s have the id \(id)", offset: offset)
    }
  }

  /// 1 more than the index, and 0 for the id 0, which stands for none.
  func index(of id: UInt64, _ what: String, offset: Int) throws(PprofError) -> UInt32 {
    if id == 0 { return 0 }
    if let others {
      if let index = others[id] { return index }
    } else if id <= UInt64(count) {
      return UInt32(id)
    }
    throw .damaged(reason: "\(what) \(id) is referred to, but not there", offset: offset)
  }
}
