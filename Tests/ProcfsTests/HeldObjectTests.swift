// SPDX-License-Identifier: Apache-2.0
// Links as objects that others may have, and who descends from whom.

import TestSupport
import Testing

@testable import Procfs

@Suite struct `A link` {
  @Test(
    arguments: [
      ("pipe:[77]", .pipe(77)), ("socket:[0]", .socket(0)), ("/dev/pts/3", .terminal(3)),
      ("/dev/ptmx", .terminalMaster),
      ("anon_inode:[eventpoll]", .epoll), ("pipe:[]", nil), ("pipe:[7", nil), ("pipe:[7x]", nil), ("", nil),
      ("pipe:[18446744073709551616]", nil), ("/tmp/pipe:[7]", nil), ("/dev/pts/", nil), ("/dev/pts/3 (deleted)", nil),
      ("socket:[-1]", nil), ("\u{1b}[7]", nil),
    ] as [(String, HeldObject?)]) func `is an object or none`(link: String, object: HeldObject?)
  {
    #expect(HeldObject(link: Array(link.utf8).span) == object)
  }

  @Test func `of a pipe tells which end it is`() throws {
    let process = try FDFactory()
    let ends = try process.open("pipe", 2)
    let directory = try ProcessDirectory(pid: process.pid, in: try Procfs())
    var room = 100
    let found = try #require(try directory.heldObjects(most: 100, room: &room) { _ in true })
    #expect(found.stoppedAt == nil && room == 95)
    let (read, write) = (found.held.first { $0.number == ends[0] }, found.held.first { $0.number == ends[1] })
    #expect(read?.canRead == true && read?.canWrite == false && write?.canRead == false && write?.canWrite == true)
    #expect(read?.object == write?.object)
    #expect(try directory.heldObjects(most: 4, room: &room) { _ in true } == nil, "too many to list")
  }

  /// A large table is read in parts, and none of it twice.
  @Test func `after link is read where the last reading stopped`() throws {
    let process = try FDFactory()
    let pipes = try process.open("pipe", 20)
    let directory = try ProcessDirectory(pid: process.pid, in: try Procfs())
    var numbers: [Int32] = []
    var after: Int32? = -1
    while let last = after {
      var room = 7
      let found = try #require(try directory.heldObjects(most: 100, room: &room, after: last) { _ in true })
      numbers += found.held.map(\.number)
      after = found.stoppedAt
    }
    #expect(numbers.filter { $0 > 2 } == pipes.sorted())
  }
}

@Suite struct `A tree of processes` {
  @Test func `ends, whoever says to be whose parent`() {
    var tree = ProcessTree()
    func add(_ pid: Int32, parent: Int32, state: Character = "S") {
      tree.add(pid, ProcessStat(state: state, startTime: UInt64(pid), threads: 1, parent: parent))
    }
    add(1, parent: 2)
    add(2, parent: 1)
    add(3, parent: 2, state: "Z")
    add(4, parent: 3)
    #expect(tree.descendants(of: 1) == [2, 4] && tree.children(of: 2) == 1 && tree.children(of: 1) == 1)
    #expect(tree.isOlder(1, than: 2) && !tree.isOlder(2, than: 1) && !tree.isOlder(1, than: 9))
  }
}
