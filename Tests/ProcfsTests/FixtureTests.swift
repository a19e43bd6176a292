// SPDX-License-Identifier: Apache-2.0
// Trees of kernels that are not this one's. See Fixtures/README.md.

import Descriptors
import Procfs
import Testing

@Suite struct `A captured tree` {
  @Test func `of Linux 5.10 is counted by listing and has no inodes in fdinfo`() throws {
    var watched = try Watched(4711, in: fixture("linux-5.10"))
    #expect(try watched.directory.count() == 6)
    let poll = try watched.census()
    #expect(poll.count == 6)
    #expect(poll.opened.map(\.kind) == [.device, .file, .socket, .eventfd, .inotify, .pidfd])
    #expect(poll.opened.map(\.inode) == [0, 0, 88123, 0, 0, 0])
    #expect(poll[1]?.position == 8192)
    #expect(try watched.directory.details(of: 1)?.inode == nil)
    #expect(try watched.directory.limits() == Limits(soft: 1024, hard: 4096))
    // Nothing to tell two eventfds apart by before 5.2, but the same look is no change.
    let second = try watched.census(.deep)
    #expect(second.closed.isEmpty && second.opened.isEmpty && second.moved.isEmpty)
  }

  @Test func `has who the process is, and nobody else`() throws {
    let procfs = try Procfs(path: fixture("linux-5.10"))
    #expect(try procfs.processes() == [4711])
    let identity = try ProcessDirectory(pid: 4711, in: procfs).identity()
    #expect(identity.command == "orders ) S 1" && identity.user == 33 && identity.startTime == 99120)
    #expect(try ProcessDirectory(pid: 4711, in: procfs).commandLine(upTo: 4096) == "/usr/bin/orders --port 8080")
    #expect(throws: ProcfsError.gone) { _ = try ProcessDirectory(pid: 4712, in: procfs) }
  }

  @Test func `of a kernel with pidfs has pidfds of their own inode`() throws {
    var watched = try Watched(4711, in: fixture("linux-6.9"))
    let poll = try watched.census()
    #expect(poll.opened.map(\.kind) == [.pidfd, .pidfd, .inotify, .anon, .bpf])
    #expect(poll[3]?.inode == 4026 && poll[4]?.inode == 4027)
    #expect(try watched.directory.details(of: 3)?.pidfdProcess == 812)
    #expect(try watched.directory.details(of: 5)?.inotifyWatches.count == 2)
  }

  @Test func `without fdinfo tells what the links tell`() throws {
    var watched = try Watched(4712, in: fixture("linux-6.9"))
    let poll = try watched.census()
    #expect(poll.count > 0 && poll.opened.count == poll.count)
    #expect(poll.opened.allSatisfy { $0.flags == 0 && $0.position == 0 })
  }

  @Test func `that is none is refused`() {
    #expect(throws: (any Error).self) { _ = try Procfs(path: fixture("no-such-tree")) }
  }
}
