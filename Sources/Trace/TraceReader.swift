// SPDX-License-Identifier: Apache-2.0
// Reading a trace, poll by poll, in memory that does not grow with its length.

import Descriptors

/// Reads a trace: the header, then one poll after another.
package final class TraceReader {
  package let header: TraceHeader
  private let path: String
  private var lines: Lines
  /// The limits as of the last poll that told them.
  private var limits: Limits?
  private var lastTime = Duration.zero
  private var isFirst = true

  package init(path: String) throws(TraceError) {
    self.path = path
    lines = Lines(file: try GzipFile(reading: path), path: path)
    guard let first = try lines.next() else { throw .foreign(file: path, reason: "the file is empty") }
    header = try TraceHeader(first, file: path)
  }

  /// The next poll, or `nil` at the end.
  package func next() throws(TraceError) -> Poll? {
    while let line = try lines.next() {
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }) { continue }
      do throws(JSONError) {
        var poll = try PollLine.poll(line, limits: limits ?? header.limits)
        if poll.time < lastTime { throw JSONError(what: "\"t\" runs backwards", column: 1) }
        lastTime = poll.time
        if isFirst, poll.limits == nil { poll.limits = header.limits }
        isFirst = false
        // Some recorders repeat the limit at every poll: only a change is news.
        if let found = poll.limits, found == limits { poll.limits = nil } else { limits = poll.limits ?? limits }
        return poll
      } catch {
        throw .malformed(file: path, line: lines.number, column: error.column, reason: error.what)
      }
    }
    return nil
  }
}

/// The lines of a file, each at most ``longest`` bytes.
private struct Lines: ~Copyable {
  private let file: GzipFile
  private let path: String
  private var buffer: [UInt8] = []
  private var position = 0
  /// Of the line that was given out last, counted from 1.
  private(set) var number = 0

  /// A census of 20,000 descriptors takes some 2 MB.
  private static let longest = 64 << 20

  init(file: consuming GzipFile, path: String) {
    self.file = file
    self.path = path
  }

  mutating func next() throws(TraceError) -> ArraySlice<UInt8>? {
    var searched = position
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { position = end + 1 }
        number += 1
        return buffer[position..<end]
      }
      searched = buffer.count
      if buffer.count - position > Self.longest { throw .tooLong(file: path, line: number + 1, limit: Self.longest) }
      if position > 0 {
        buffer.removeFirst(position)
        searched -= position
        position = 0
      }
      if try file.read(into: &buffer, line: number) == 0 {
        if buffer.isEmpty { return nil }
        // Every line of a trace ends with a line end: one that does not was not written to its end.
        throw .truncated(file: path, line: number + 1)
      }
    }
  }
}

/// One poll as a line of a trace, both ways.
enum PollLine {
  private static let longestTime = Duration.longest / .seconds(1)
  /// A process has no more: `sysctl_nr_open_max` of the kernel's fs/file.c.
  private static let mostDescriptors = Int(Int32.max)

  static func poll(_ line: ArraySlice<UInt8>, limits: Limits?) throws(JSONError) -> Poll {
    var poll = Poll(time: .zero, count: -1)
    var time: Double?
    var soft: UInt64?
    var hard: UInt64?
    var kinds: [Int32: Kind] = [:]
    var main = ProfileSnapshot(name: "profile", stacks: [])
    var scanner = JSONScanner(line)
    try scanner.object { (scanner, key) throws(JSONError) in
      switch key {
      case "t": time = try scanner.number()
      case "count": poll.count = try scanner.integer()
      case "closed": try scanner.array { (scanner) throws(JSONError) in poll.closed.append(try scanner.integer()) }
      case "opened": try scanner.array { (scanner) throws(JSONError) in poll.opened.append(try opened(&scanner)) }
      case "moved": try scanner.array { (scanner) throws(JSONError) in poll.moved.append(try moved(&scanner)) }
      case "tcp":
        try scanner.array { (scanner) throws(JSONError) in if let it = try tcp(&scanner) { poll.tcp.append(it) } }
      case "sock": try scanner.array { (scanner) throws(JSONError) in poll.families.append(try family(&scanner)) }
      case "unread": try scanner.array { (scanner) throws(JSONError) in poll.unread.append(try unread(&scanner)) }
      case "kinds": try scanner.array { (scanner) throws(JSONError) in try kind(&scanner, into: &kinds) }
      case "stacks": main.stacks = try stacks(&scanner)
      case "profile": main.name = try scanner.string()
      case "age": main.age = try age(&scanner)
      case "others": main.others = try others(&scanner)
      case "stride": main.stride = max(1, try number(&scanner))
      case "witness": main.isWitness = try scanner.boolean()
      case "profiles":
        try scanner.array { (scanner) throws(JSONError) in poll.profiles.append(try profile(&scanner)) }
      case "usage":
        try scanner.array { (scanner) throws(JSONError) in
          if let it = try UsageLine.evidence(&scanner) { poll.usage.append(it) }
        }
      case "look": poll.isCensus = try scanner.string() != "count"
      case "soft_limit": if !scanner.null() { soft = try scanner.integer() }
      case "collector": poll.collector = Collector(rawValue: try scanner.string())
      case "hard_limit": if !scanner.null() { hard = try scanner.integer() }
      default: try scanner.skip()
      }
    }
    try scanner.end()
    guard let time, time >= 0, time < longestTime else { throw scanner.error("\"t\" is missing or out of range") }
    guard (0...mostDescriptors).contains(poll.count) else {
      throw scanner.error("\"count\" is missing or out of range")
    }
    poll.time = Duration(clampingSeconds: time)
    if soft != nil || hard != nil {
      let known = limits ?? Limits(soft: .max, hard: .max)
      poll.limits = Limits(soft: soft ?? known.soft, hard: hard ?? known.hard)
    }
    if !kinds.isEmpty {
      for index in poll.opened.indices {
        poll.opened[index].kind = kinds[poll.opened[index].number] ?? poll.opened[index].kind
      }
    }
    if !main.stacks.isEmpty { poll.profiles.insert(main, at: 0) }
    // A recorder may list them in any order; the detector counts on theirs.
    if !poll.closed.isSorted(by: \.self) { poll.closed.sort() }
    if !poll.opened.isSorted(by: \.number) { poll.opened.sort { $0.number < $1.number } }
    return poll
  }

  private static func number(_ scanner: inout JSONScanner) throws(JSONError) -> Int32 {
    let number = try scanner.integer(Int32.self)
    if number < 0 { throw scanner.error("a descriptor's number is negative") }
    return number
  }

  private static func opened(_ scanner: inout JSONScanner) throws(JSONError) -> Poll.Opened {
    try scanner.open()
    let number = try number(&scanner)
    try scanner.comma()
    let target = try scanner.string()
    try scanner.comma()
    let inode = scanner.null() ? 0 : try scanner.integer(UInt64.self)
    try scanner.comma()
    let text = scanner.null() ? "0" : try scanner.string()
    guard let flags = UInt32(text, radix: 8) else { throw scanner.error("flags are an octal number in a string") }
    try scanner.comma()
    let position = scanner.null() ? 0 : try scanner.integer(Int64.self)
    try scanner.close()
    return Poll.Opened(number: number, target: target, inode: inode, flags: flags, position: position)
  }

  private static func moved(_ scanner: inout JSONScanner) throws(JSONError) -> Poll.Moved {
    try scanner.open()
    let number = try number(&scanner)
    try scanner.comma()
    let position = try scanner.integer(Int64.self)
    try scanner.close()
    return Poll.Moved(number: number, position: position)
  }

  /// `nil` for a state of a kernel that knows more of them.
  private static func tcp(_ scanner: inout JSONScanner) throws(JSONError) -> Poll.TCPChange? {
    try scanner.open()
    let inode = try scanner.integer(UInt64.self)
    try scanner.comma()
    let state = try scanner.string()
    try scanner.comma()
    let peer = scanner.null() ? "" : try scanner.string()
    try scanner.close()
    return TCPState(rawValue: state).map { Poll.TCPChange(inode: inode, state: $0, peer: peer) }
  }

  private static func family(_ scanner: inout JSONScanner) throws(JSONError) -> Poll.FamilyChange {
    try scanner.open()
    let inode = try scanner.integer(UInt64.self)
    try scanner.comma()
    let kind = Kind(rawValue: try scanner.string()) ?? .socket
    try scanner.close()
    return Poll.FamilyChange(inode: inode, kind: kind.isSocket ? kind : .socket)
  }

  private static func unread(_ scanner: inout JSONScanner) throws(JSONError) -> Poll.UnreadChange {
    try scanner.open()
    let inode = try scanner.integer(UInt64.self)
    try scanner.comma()
    let bytes = try scanner.integer(UInt64.self)
    try scanner.close()
    return Poll.UnreadChange(inode: inode, bytes: bytes)
  }

  private static func age(_ scanner: inout JSONScanner) throws(JSONError) -> Duration {
    let seconds = try scanner.number()
    guard seconds >= 0, seconds < longestTime else { throw scanner.error("\"age\" is out of range") }
    return Duration(clampingSeconds: seconds)
  }

  /// As few as a stack may hold.
  private static func others(_ scanner: inout JSONScanner) throws(JSONError) -> Int {
    min(max(0, try scanner.integer(Int.self)), 1 << 32)
  }

  private static func profile(_ scanner: inout JSONScanner) throws(JSONError) -> ProfileSnapshot {
    var found = ProfileSnapshot(name: "profile", stacks: [])
    try scanner.object { (scanner, key) throws(JSONError) in
      switch key {
      case "name": found.name = try scanner.string()
      case "age": found.age = try age(&scanner)
      case "others": found.others = try others(&scanner)
      case "stride": found.stride = max(1, try number(&scanner))
      case "witness": found.isWitness = try scanner.boolean()
      case "stacks": found.stacks = try stacks(&scanner)
      default: try scanner.skip()
      }
    }
    return found
  }

  /// `[[["frame", …leaf first], count, [descriptor, …]], …]`, where the descriptors may be left out.
  private static func stacks(_ scanner: inout JSONScanner) throws(JSONError) -> [StackCount] {
    var found: [StackCount] = []
    try scanner.array { (scanner) throws(JSONError) in
      var frames: [String] = []
      var descriptors: [Int32] = []
      try scanner.open()
      try scanner.array { (scanner) throws(JSONError) in frames.append(try scanner.string()) }
      try scanner.comma()
      let count = try scanner.integer(Int.self)
      if scanner.more() {
        try scanner.array { (scanner) throws(JSONError) in descriptors.append(try number(&scanner)) }
      }
      try scanner.close()
      found.append(StackCount(frames: frames, count: count, descriptors: descriptors))
    }
    return found
  }

  private static func kind(_ scanner: inout JSONScanner, into kinds: inout [Int32: Kind]) throws(JSONError) {
    try scanner.open()
    let number = try number(&scanner)
    try scanner.comma()
    kinds[number] = Kind(rawValue: try scanner.string())
    try scanner.close()
  }
}

extension Array {
  fileprivate func isSorted<Key: Comparable>(by key: (Element) -> Key) -> Bool {
    zip(self, dropFirst()).allSatisfy { key($0) <= key($1) }
  }
}
