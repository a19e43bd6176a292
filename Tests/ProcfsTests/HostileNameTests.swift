// SPDX-License-Identifier: Apache-2.0
// Names that strangers choose: newlines, escape sequences, bytes that are no text.

import Descriptors
import Foundation
import Procfs
import TestSupport
import Testing

@Suite struct `A hostile name` {
  static let names: [(bytes: [UInt8], text: String)] = [
    (Array("a\nb".utf8), "a\nb"),
    (Array("\u{1b}[2J".utf8), "\u{1b}[2J"),
    (Array(") R 1 1 (".utf8), ") R 1 1 ("),
    ([0x66, 0xff, 0xfe, 0x66], "f\u{fffd}\u{fffd}f"),
    (Array("-> /etc".utf8).filter { $0 != 0x2f }, "-> etc"),
    ([0x20], " "),
  ]

  @Test(arguments: names) func `of a process is read whole`(name: (bytes: [UInt8], text: String)) throws {
    let child = try FDFactory()
    let before = try Watched(child).directory.startTime
    try child.name(name.bytes)
    var watched = try Watched(child)
    let identity = try watched.directory.identity()
    #expect(identity.command == name.text)
    // stat holds the name too: what stands behind it must not be taken for something else.
    #expect(identity.startTime == before)
    #expect(identity.user == 0 || !Machine.isRoot)
    #expect(try watched.directory.commandLine(upTo: 4096) == Products.executable("fdfactory"))
    #expect(identity.executable == Products.executable("fdfactory"))
    #expect(try watched.census().count == 3)
  }

  @Test func `may be empty`() throws {
    let child = try FDFactory()
    try child.name([0])
    #expect(try Watched(child).directory.identity().command == "")
  }

  @Test(arguments: names) func `of a file is its target`(name: (bytes: [UInt8], text: String)) throws {
    let child = try FDFactory()
    let number = try child.path(name.bytes)
    var watched = try Watched(child)
    let found = try #require(try watched.census()[number])
    #expect(found.target.hasSuffix("/" + name.text))
    #expect(found.kind == .file)
    // The same fingerprint at the next look.
    #expect(try watched.census(.deep).opened.isEmpty)
  }

  @Test(arguments: ["socket:[1]", "anon_inode:[eventfd]", "pipe:[1]"])
  func `that looks like another kind stays a file`(name: String) throws {
    let child = try FDFactory()
    let number = try child.path(Array(name.utf8))
    var watched = try Watched(child)
    #expect(try watched.census()[number]?.kind == .file)
  }

  @Test func `that is longer than the kernel tells is a path all the same`() throws {
    // A process reaches a path of more than 4,095 bytes from within, one folder after the other.
    let script = "cd \"$0\" && for i in $(seq 25); do mkdir $1 && cd -P $1 || exit 1; done; exec 9>x; echo $$; read end"
    let top = TemporaryFile().path
    try FileManager.default.createDirectory(atPath: top, withIntermediateDirectories: true)
    defer { _ = try? ChildProcess(["rm", "-rf", top]).finish() }
    let child = try ChildProcess(["sh", "-c", script, top, String(repeating: "d", count: 200)])
    let line = try #require(try child.readLine())
    var watched = try Watched(try #require(Int32(line)))
    let found = try #require(try watched.census()[9])
    #expect(found.kind == .file && found.target == "/...")
    #expect(try watched.census(.deep).opened.isEmpty)
    child.closeInput()
  }
}
