// SPDX-License-Identifier: Apache-2.0
// What the helper is asked: one way, in full. It never asks back, so nothing that a stranger wrote has the daemon open
// anything.

import Pprof

/// A message to the helper.
package enum ParseMessage: Sendable, Equatable {
  /// A file that the process has mapped, open: it comes with this message.
  case file(path: String)
  /// What to do. What is to be read, if it is a file, and then the map of a just-in-time compiler, if there is one, come
  /// with this message.
  case job(ParseJob)
  /// A part of the bytes of a job.
  case bytes(ArraySlice<UInt8>)

  package static let mostFiles = 128
  static let longestPath = 4096

  package func encoded() -> [UInt8] {
    var writer = WireWriter()
    switch self {
    case .file(let path):
      writer.write(1)
      writer.write(path)
    case .job(let job):
      writer.write(2)
      job.write(to: &writer)
    case .bytes(let bytes): return [3] + bytes
    }
    return writer.bytes
  }

  package init(_ bytes: [UInt8]) throws(WireError) {
    if bytes.first == 3 {
      self = .bytes(bytes.dropFirst())
      return
    }
    var reader = WireReader(bytes)
    switch try reader.number() {
    case 1: self = .file(path: try reader.text(Self.longestPath))
    case 2: self = .job(try ParseJob(&reader))
    default: throw WireError()
    }
    guard reader.isAtEnd else { throw WireError() }
  }
}

/// One profile to be read, or stacks to be walked.
package struct ParseJob: Sendable, Equatable {
  package enum Subject: Sendable, Equatable {
    /// A profile, whose bytes follow: so many.
    case bytes(Int)
    /// A profile in a file.
    case file
    /// The table of LeakProfile, which must belong to this number: that of the process as it knows itself.
    case table(UInt32)
    /// Stacks that were copied from the process, whose bytes follow: so many. See ``CopiedStacks``.
    case stacks(Int)

    /// Of what follows in messages of its own.
    var byteCount: Int? {
      switch self {
      case .bytes(let count), .stacks(let count): count
      case .file, .table: nil
      }
    }
  }

  package var subject: Subject
  package var limits = ProfileLimits()
  /// A map of a just-in-time compiler comes with it.
  package var hasPerfMap = false
  /// Where files are mapped: sent behind it, in messages of their own.
  package var mappingCount = 0

  package init(_ subject: Subject) { self.subject = subject }

  static let mostBytes = 1 << 30

  func write(to writer: inout WireWriter) {
    switch subject {
    case .bytes(let count):
      writer.write(1)
      writer.write(count)
    case .file: writer.write(2)
    case .table(let pid):
      writer.write(3)
      writer.write(UInt64(pid))
    case .stacks(let count):
      writer.write(4)
      writer.write(count)
    }
    for name in ProfileLimits.names { writer.write(limits[name] ?? 0) }
    writer.write(hasPerfMap)
    writer.write(mappingCount)
  }

  init(_ reader: inout WireReader) throws(WireError) {
    switch try reader.number() {
    case 1: subject = .bytes(try reader.number(0...Self.mostBytes))
    case 2: subject = .file
    case 3: subject = .table(UInt32(try reader.number(0...Int(UInt32.max))))
    case 4: subject = .stacks(try reader.number(0...CopiedStacks.mostBytes))
    default: throw WireError()
    }
    for name in ProfileLimits.names { limits[name] = try reader.number(0...Self.mostBytes) }
    hasPerfMap = try reader.flag()
    mappingCount = try reader.number(0...MappingList.most)
  }
}

/// Where a process has files mapped for execution, as it goes over the wire.
package enum MappingList {
  /// A program has some dozens; one that maps 400,000 times does it for our sake.
  package static let most = 4096
  /// Of one message, so that 100 with paths of 300 bytes fit.
  static let perMessage = 64

  static func encoded(_ mappings: ArraySlice<Profile.Mapping>) -> [UInt8] {
    var writer = WireWriter()
    for mapping in mappings {
      writer.write(mapping.start)
      writer.write(mapping.limit)
      writer.write(mapping.offset)
      writer.write(mapping.file.cut(to: 400))
    }
    return writer.bytes
  }

  static func decoded(_ bytes: [UInt8]) throws(WireError) -> [Profile.Mapping] {
    var reader = WireReader(bytes)
    var found: [Profile.Mapping] = []
    while !reader.isAtEnd {
      let (start, limit, offset) = (try reader.number(), try reader.number(), try reader.number())
      guard start < limit else { throw WireError() }
      found.append(Profile.Mapping(start: start, limit: limit, offset: offset, file: try reader.text(400)))
    }
    return found
  }
}
