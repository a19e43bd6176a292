// SPDX-License-Identifier: Apache-2.0
// What one census says against the one before.

import Descriptors
import Procfs
import TestSupport
import Testing

@Suite struct `A census` {
  @Test func `names what was opened and closed since the last`() throws {
    let child = try FDFactory()
    let files = try child.open("file", 4)
    var watched = try Watched(child)
    #expect(try watched.census().openedNumbers == [0, 1, 2] + files)
    try child.close([files[1]])
    let events = try child.open("eventfd", 2)
    let second = try watched.census()
    // The lowest free number is given out again: that one was reused.
    #expect(events.contains(files[1]))
    #expect(second.closed == [files[1]])
    #expect(second.openedNumbers == events.sorted())
    let third = try watched.census()
    #expect(third.closed.isEmpty && third.opened.isEmpty && third.moved.isEmpty)
  }

  @Test func `sees a number that was reused if it verifies links`() throws {
    let child = try FDFactory()
    let number = try child.openOne("file")
    var watched = try Watched(child)
    _ = try watched.census()
    try child.reuse(number, for: "eventfd")
    let blind = try watched.census(.none)
    #expect(blind.closed.isEmpty && blind.opened.isEmpty)
    let seeing = try watched.census(.links)
    #expect(seeing.closed == [number])
    #expect(seeing[number]?.kind == .eventfd)
  }

  @Test func `sees one eventfd in place of another only if it verifies deeply`() throws {
    let child = try FDFactory()
    let number = try child.openOne("eventfd")
    var watched = try Watched(child)
    _ = try watched.census()
    try child.reuse(number, for: "eventfd")
    #expect(try watched.census(.links).closed.isEmpty)
    let deep = try watched.census(.deep)
    #expect(deep.closed == [number] && deep.openedNumbers == [number])
    #expect(try watched.census(.deep).closed.isEmpty)
  }

  @Test func `sees another file of the same path only if it verifies deeply`() throws {
    let child = try FDFactory()
    let number = try child.path(Array("log".utf8))
    var watched = try Watched(child)
    _ = try watched.census()
    // A copy keeps the old inode alive: its number cannot be given to the new file.
    let copy = try child.duplicate(number)
    try child.unlink(number)
    try child.close([number])
    #expect(try child.path(Array("log".utf8)) == number)
    let links = try watched.census(.links)
    #expect(links.closed.isEmpty && links.openedNumbers == copy)
    let deep = try watched.census(.deep)
    #expect(deep.closed == [number] && deep.openedNumbers == [number])
  }

  @Test func `sees offsets move if it verifies deeply`() throws {
    let child = try FDFactory()
    let number = try child.openOne("file")
    var watched = try Watched(child)
    _ = try watched.census()
    try child.write(number, bytes: 70_000)
    #expect(try watched.census(.links).moved.isEmpty)
    #expect(try watched.census(.deep).moved == [Poll.Moved(number: number, position: 70_000)])
    #expect(try watched.census(.deep).moved.isEmpty)
  }

  @Test func `tells a renamed file from the one that it knew`() throws {
    let child = try FDFactory()
    let number = try child.path(Array("before".utf8))
    var watched = try Watched(child)
    _ = try watched.census()
    try child.rename(number, to: Array("after".utf8))
    #expect(try watched.census()[number]?.target.hasSuffix("/after") == true)
  }

  @Test func `passes over what is closed between two of its calls`() throws {
    let child = try FDFactory()
    let files = try child.open("file", 50)
    var watched = try Watched(child)
    let first = try watched.census()
    #expect(first.count == child.count)
    // A thread opens and closes one descriptor without pause, so that many a census meets it half way.
    try child.startChurn(milliseconds: 60_000)
    var met = 0
    var round = 0
    while met < 10 || round < 60 {
      let poll = try watched.census(round % 2 == 0 ? .links : .deep)
      #expect((child.count...child.count + 1).contains(poll.count))
      #expect(!poll.closed.contains { files.contains($0) }, "what stays open was said to be closed")
      met += poll.opened.isEmpty ? 0 : 1
      round += 1
    }
  }

  @Test func `keeps all it knew when it fails`() throws {
    let child = try FDFactory()
    try child.open("file", 3)
    var watched = try Watched(child)
    _ = try watched.census()
    try child.exit()
    #expect(watched.failure() == .gone)
    #expect(watched.table.count == 6)
  }
}
