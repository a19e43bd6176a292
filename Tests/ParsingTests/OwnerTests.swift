// SPDX-License-Identifier: Apache-2.0
// What owners name is theirs, or it is not read: neither another's file, nor one beyond the process's root.

import Descriptors
import Foundation
import LeakTable
import Linux
import Parsing
import Procfs
import Profiles
import TestSupport
import Testing
import Watch

private let text = "file profile: total 7\n7 @ 0x1\n#\t0x1\tmain.leak+0x1\t/srv/main.go:3\n\n"

private struct Reading: Equatable {
  var total: Int?
  var note: String?
}

/// What a keeper says and reads of one file that its process's environment names.
private func reading(_ path: String, of child: ChildProcess, user: UInt32) throws -> Reading {
  let key = try ProcessKey(living: child.pid)
  let source = ProfileSource(try ProfileAddress(parsing: path, pid: child.pid), origin: .environment)
  let keeper = ProfileKeeper([source], parser: .built())
  let process = ProfiledProcess(key, owner: ProcessOwner(user: user, unit: nil), user: user, open: 9)
  let deadline = Instant.now + .seconds(120)
  while Instant.now < deadline {
    let (snapshots, notes) = keeper.tick(at: .zero, process, isSuspicious: false, needsWitness: false)
    if !snapshots.isEmpty || !notes.isEmpty {
      return Reading(total: snapshots.first?.snapshot.total, note: notes.first)
    }
    usleep(2000)
  }
  throw TestFailure("nothing came of it")
}

@Suite(.enabled(if: Machine.isRoot, "needs root, to be other users")) struct `What an owner names` {
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
    try #require(unsafe chmod(directory.path, 0o755) == 0)
  }

  private func write(_ name: String, owner: UInt32, mode: mode_t = 0o600) throws -> String {
    let path = directory.path + "/" + name
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    try #require(unsafe chown(path, owner, owner) == 0 && chmod(path, mode) == 0)
    return path
  }

  private func running(as user: UInt32, _ command: String...) throws -> ChildProcess {
    let child = try ChildProcess(
      ["setpriv", "--reuid", "\(user)", "--regid", "\(user)", "--clear-groups", "--"] + command)
    try child.write("x\n")
    try #require(child.readLine() == "x")
    return child
  }

  @Test func `is read where it is its own`() throws {
    let child = try running(as: 65534, "cat")
    let own = try write("own", owner: 65534)
    #expect(try reading(own, of: child, user: 65534) == Reading(total: 7))
    let others = try reading(try write("roots", owner: 0, mode: 0o644), of: child, user: 65534)
    #expect(others.total == nil && others.note?.contains("Permission denied") == true, "\(others)")
    // A link of its own to what is not.
    let link = directory.path + "/link"
    try #require(unsafe symlink(try write("secret", owner: 0), link) == 0)
    let linked = try reading(link, of: child, user: 65534)
    #expect(linked.total == nil && linked.note?.contains("Permission denied") == true, "\(linked)")
  }

  @Test func `that is no profile is not quoted`() throws {
    let child = try running(as: 65534, "cat")
    let path = try write("other", owner: 65534)
    for content in ["root:$y$SECRET:0:0\n", "file profile: total 1\n1 @ SECRET\n", "heap profile: SECRET [\nSECRET\n"] {
      try content.write(toFile: path, atomically: false, encoding: .utf8)
      let found = try reading(path, of: child, user: 65534)
      #expect(found.total == nil && found.note?.contains("SECRET") == false, "\(found)")
    }
  }

  @Test func `is found below its root, and nowhere else`() throws {
    let outside = try write("outside", owner: 0)
    let jail = directory.path + "/jail"
    try FileManager.default.createDirectory(atPath: jail, withIntermediateDirectories: true)
    try text.write(toFile: jail + "/inside", atomically: false, encoding: .utf8)
    for (link, target) in [("out", outside), ("in", "/inside"), ("up", "../../../../../../" + outside)] {
      try #require(unsafe symlink(target, jail + "/" + link) == 0)
    }
    let source = """
      #include <stdio.h>
      #include <unistd.h>
      int main(int count, char **arguments) {
        if (chroot(arguments[1]) != 0 || chdir("/") != 0) return 1;
        puts("ready");
        fflush(stdout);
        char byte;
        while (read(0, &byte, 1) > 0) {}
      }
      """
    try source.write(toFile: directory.path + "/jailed.c", atomically: false, encoding: .utf8)
    try make(["clang", "-o", "jailed", "jailed.c"], in: directory.path)
    let child = try ChildProcess([directory.path + "/jailed", jail])
    try #require(child.readLine() == "ready")
    #expect(try reading("/in", of: child, user: 0) == Reading(total: 7), "as the process would find it")
    for path in ["/out", "/up"] {
      let found = try reading(path, of: child, user: 0)
      #expect(found.total == nil && found.note?.contains("No such file") == true, "\(path): \(found)")
    }
  }

  @Test func `is no pattern`() throws {
    let child = try ChildProcess(["cat"], environment: ["PATH": "/usr/bin:/bin", "FDWATCH_PROFILE": "/*/../*/../*"])
    try child.write("x\n")
    try #require(child.readLine() == "x")
    let process = try WatchedProcess(
      pid: child.pid, in: Procfs(), interval: .seconds(1), start: 0, profiling: Profiling())
    #expect(process.takeNotes().joined().contains("a pattern is for those who run fdwatch"))
    #expect(!process.hasProfiles)
  }

  /// It has the environment of whoever started it, and another's rights.
  @Test func `is not heeded where it is a set-user-ID program that runs`() throws {
    let program = directory.path + "/cat"
    try FileManager.default.copyItem(atPath: "/bin/cat", toPath: program)
    try #require(unsafe chown(program, 0, 0) == 0 && chmod(program, 0o755) == 0)
    for isSetUser in [false, true] {
      if isSetUser { try #require(unsafe chmod(program, 0o4755) == 0) }
      let child = try ChildProcess(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", program],
        environment: ["PATH": "/usr/bin:/bin", "FDWATCH_PROFILE": "/etc/shadow"])
      try child.write("x\n")
      try #require(child.readLine() == "x")
      let directory = try ProcessDirectory(pid: child.pid, in: Procfs())
      let user = try directory.user()
      let speaksForItself = directory.speaksForItself
      let isNamed = Profiling().isNamed(by: directory, unit: nil)
      #expect(user == (isSetUser ? 0 : 65534), "the file system heeds the bit")
      #expect(speaksForItself == !isSetUser)
      #expect(isNamed == !isSetUser)
    }
  }
}

@Suite struct `A table that is read` {
  private static let magic: UInt64 = 0x464f_5250_4b41_454c

  /// A header that says so much of what follows, and nothing that does.
  private func header(entries: Int, size: Int) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: 64)
    (words[0], words[1], words[2]) = (Self.magic, 1 | UInt64(getpid()) << 32, UInt64(size))
    (words[4], words[5], words[6], words[7]) = (384, 512, 32 << 20, 512 + (32 << 20))
    (words[8], words[9]) = (128 | 1 << 32, 32 | UInt64(entries) << 32)
    (words[16], words[24], words[32]) = (1, 32 << 20, UInt64(entries))
    return words
  }

  @Test func `costs its owner no memory that it has not written`() throws {
    let entries = 1 << 20
    let size = (512 + (32 << 20) + entries * 32 + 4095) / 4096 * 4096
    let memfd = try Memfd(words: header(entries: entries, size: size), size: size)
    var before = stat()
    var after = stat()
    unsafe fstat(memfd.number, &before)
    let snapshot = try SharedTable(pid: getpid(), descriptor: memfd.number).snapshot()
    #expect(snapshot.profiles.first?.entries == 0)
    unsafe fstat(memfd.number, &after)
    #expect(after.st_blocks == before.st_blocks)
  }

  @Test func `is told of once while it cannot be, however it is wrong`() throws {
    let memfd = try Memfd(words: header(entries: 0, size: 1 << 16), size: 1 << 16)
    let keeper = TableKeeper(
      try ProcessKey(living: getpid()), owner: ProcessOwner(user: getuid(), unit: nil), parser: .built())
    var poll = Poll(time: .zero, count: 1)
    poll.opened = [.init(number: memfd.number, target: SharedTable.target, inode: 0, flags: 0, position: 0)]
    keeper.note(poll) { getpid() }
    var notes: [String] = []
    var time = Duration.zero
    /// Long after the last look, as what is costly is not looked at often.
    func look() {
      notes += keeper.tick(at: time, isSuspicious: true).notes
      time += .seconds(3600)
      usleep(5000)
    }
    memfd.write([2 | UInt64(getpid()) << 32], at: 1)
    let deadline = Instant.now + .seconds(120)
    while notes.isEmpty, Instant.now < deadline { look() }
    for version in 3..<12 {
      memfd.write([UInt64(version) | UInt64(getpid()) << 32], at: 1)
      for _ in 0..<20 { look() }
    }
    #expect(notes.count == 1 && notes[0].contains("is not read: "), "\(notes)")
  }

  @Test func `holds a million stacks, of which the largest are named`() throws {
    let entries = 1 << 20
    let size = (512 + (32 << 20) + entries * 32 + 4095) / 4096 * 4096
    let memfd = try Memfd(words: header(entries: entries, size: size), size: size)
    // Each has a stack of its own, of no frame.
    var words = [UInt64](repeating: 0, count: entries * 4)
    for index in 0..<entries {
      words[index * 4] = 1 << 32 | UInt64((index % (1 << 20)) * 4)
      (words[index * 4 + 1], words[index * 4 + 2]) = (UInt64(index), 1 << 32 | UInt64(index))
    }
    memfd.write(words, at: (512 + (32 << 20)) / 8)
    let snapshot = try SharedTable(pid: getpid(), descriptor: memfd.number).snapshot(mostGroups: 1000)
    let profile = try #require(snapshot.profiles.first)
    #expect(profile.groups.count == 1000)
    #expect(profile.groups.reduce(profile.others) { $0 + $1.count } == entries - 1, "number 0 is none")
  }
}
