// SPDX-License-Identifier: Apache-2.0
// Our own descriptors, and the directories and files that are read with them.

import Foundation
import Linux
import TestSupport
import Testing

@Suite struct `A descriptor of our own` {
  @Test func `is closed with its owner, and not inherited`() throws {
    var number: CInt = -1
    do {
      let directory = try Descriptor(path: "/proc")
      number = directory.number
      #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
      let isOnProcfs = directory.isOnProcfs
      #expect(isOnProcfs)
    }
    // In a process of many threads the number may be another's by now; it is no /proc any more.
    var text = [CChar](repeating: 0, count: 100)
    let count = unsafe readlink("/proc/self/fd/\(number)", &text, 100)
    #expect(count < 0 || text.prefix(count) != ArraySlice("/proc".utf8.map(CChar.init(bitPattern:))))
  }

  @Test func `fails with the call and the reason`() throws {
    #expect(throws: SystemCallError("openat", errno: ENOENT)) { _ = try Descriptor(path: "/no-such-file") }
    #expect(SystemCallError("openat", errno: EACCES).description == "openat: Permission denied")
    #expect(SystemCallError("openat", errno: EPERM).meaning == .notPermitted)
    #expect(SystemCallError("read", errno: ESRCH).meaning == .noSuchEntry)
    #expect(SystemCallError("read", errno: EIO).meaning == .other)
  }

  @Test func `reads a file whole or not at all`() throws {
    let place = try TemporaryDirectory()
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
    try Data(bytes).write(to: URL(fileURLWithPath: place.path + "/file"))
    let directory = try Descriptor(path: place.path)
    #expect(try directory.contents(of: "file", limit: 100_000) == bytes)
    #expect(throws: SystemCallError("read", errno: EFBIG)) { try directory.contents(of: "file", limit: 99_999) }
    #expect(try directory.size(of: "file") == 100_000)
    let isOnProcfs = directory.isOnProcfs
    #expect(!isOnProcfs)
  }

  @Test func `reads links, and tells when there is none`() throws {
    let place = try TemporaryDirectory()
    try FileManager.default.createSymbolicLink(atPath: place.path + "/link", withDestinationPath: "socket:[1]")
    let directory = try Descriptor(path: place.path)
    #expect(try directory.link("link") == "socket:[1]")
    #expect(try directory.link("other") == nil)
    #expect(try directory.node(".").type == .directory)
  }
}

@Suite struct `A directory of numbers` {
  @Test func `lists numbers and nothing else, again and again`() throws {
    let place = try TemporaryDirectory()
    let numbers = ["0", "7", "123", "2147483647"]
    let others = ["a", "1a", "-1", "2147483648", "99999999999999999999", " 1", "self"]
    for name in numbers + others {
      try FileManager.default.createSymbolicLink(
        atPath: "\(place.path)/\(name)", withDestinationPath: "target of \(name)")
    }
    let directory = try NumberedDirectory(".", in: try Descriptor(path: place.path))
    for _ in 0..<2 {
      var found: [Int32] = []
      try directory.list(into: &found)
      #expect(found.sorted() == [0, 7, 123, 2_147_483_647])
    }
    let text = try directory.withLink(2_147_483_647) { String(repairing: $0) }
    #expect(text == "target of 2147483647")
    #expect(try directory.withLink(8) { _ in true } == nil)
    #expect(try directory.contents(8, limit: 10) == nil)
  }

  @Test func `of more entries than its buffer holds is complete`() throws {
    let place = try TemporaryDirectory()
    for number in 0..<3_000 {
      try FileManager.default.createSymbolicLink(atPath: "\(place.path)/\(number)", withDestinationPath: "x")
    }
    let directory = try NumberedDirectory(".", in: try Descriptor(path: place.path))
    var found: [Int32] = []
    try directory.list(into: &found)
    #expect(found.sorted() == Array(0..<3_000))
  }

  @Test func `hands out files that fit its buffer, and refuses longer ones`() throws {
    let place = try TemporaryDirectory()
    try Data("pos:\t0\n".utf8).write(to: URL(fileURLWithPath: place.path + "/1"))
    try Data(count: 40_000).write(to: URL(fileURLWithPath: place.path + "/2"))
    let directory = try NumberedDirectory(".", in: try Descriptor(path: place.path))
    #expect(try directory.withFile(1) { $0.count } == 7)
    #expect(try directory.withFile(3) { $0.count } == nil)
    #expect(throws: SystemCallError("read", errno: EFBIG)) { try directory.withFile(2) { $0.count } }
    #expect(try directory.contents(2, limit: 40_000)?.count == 40_000)
  }
}
