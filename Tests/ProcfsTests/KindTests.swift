// SPDX-License-Identifier: Apache-2.0
// Each kind, made for real by a child and recognised by a census.

import Descriptors
import Foundation
import Procfs
import TestSupport
import Testing

/// One kind as the factory names it, and what we have to make of it.
struct Made: Sendable, CustomTestStringConvertible {
  var name: String
  var kind: Kind
  /// What the link has to begin with.
  var target: String
  var testDescription: String { name }

  static let all: [Made] = [
    Made(name: "file", kind: .file, target: "/"),
    Made(name: "file-deleted", kind: .file, target: "/"),
    Made(name: "tmpfile", kind: .file, target: "/"),
    Made(name: "directory", kind: .directory, target: "/"),
    Made(name: "directory-plain", kind: .directory, target: "/"),
    Made(name: "fifo", kind: .pipe, target: "/"),
    Made(name: "device", kind: .device, target: "/dev/null"),
    Made(name: "memfd", kind: .memfd, target: "/memfd:fdfactory (deleted)"),
    Made(name: "pipe", kind: .pipe, target: "pipe:["),
    Made(name: "pty", kind: .pty, target: "/dev/p"),
    Made(name: "eventfd", kind: .eventfd, target: "anon_inode:[eventfd]"),
    Made(name: "eventpoll", kind: .eventpoll, target: "anon_inode:[eventpoll]"),
    Made(name: "timerfd", kind: .timerfd, target: "anon_inode:[timerfd]"),
    Made(name: "signalfd", kind: .signalfd, target: "anon_inode:[signalfd]"),
    Made(name: "inotify", kind: .inotify, target: "anon_inode:inotify"),
    Made(name: "fanotify", kind: .fanotify, target: "anon_inode:[fanotify]"),
    Made(name: "pidfd", kind: .pidfd, target: ""),
    Made(name: "io_uring", kind: .ioUring, target: "anon_inode:[io_uring]"),
    Made(name: "userfaultfd", kind: .userfaultfd, target: "anon_inode:[userfaultfd]"),
    Made(name: "bpf", kind: .bpf, target: "anon_inode:bpf-map"),
    Made(name: "perf_event", kind: .perfEvent, target: "anon_inode:[perf_event]"),
  ]

  static let sockets: [Made] = [
    Made(name: "tcp-listen", kind: .tcp, target: "socket:["),
    Made(name: "tcp-established", kind: .tcp, target: "socket:["),
    Made(name: "tcp-close-wait", kind: .tcp, target: "socket:["),
    Made(name: "tcp6", kind: .tcp, target: "socket:["),
    Made(name: "udp", kind: .udp, target: "socket:["),
    Made(name: "udp-connected", kind: .udp, target: "socket:["),
    Made(name: "unix", kind: .unix, target: "socket:["),
    Made(name: "unix-listen", kind: .unix, target: "socket:["),
    Made(name: "unix-connected", kind: .unix, target: "socket:["),
    Made(name: "netlink", kind: .netlink, target: "socket:["),
    Made(name: "socket", kind: .socket, target: "socket:["),
    // In no table before it is bound or connected.
    Made(name: "tcp-unbound", kind: .socket, target: "socket:["),
  ]

  /// Whether this kernel lets us make it.
  var isSupported: Bool {
    do {
      _ = try FDFactory().openOne(name)
      return true
    } catch { return !(error is FDFactory.Unsupported) }
  }

  static let unsupported = Set((all + sockets).filter { !$0.isSupported }.map(\.name))
}

@Suite struct `A kind of descriptor` {
  @Test(arguments: Made.all) func `is recognised`(made: Made) throws {
    guard !Made.unsupported.contains(made.name) else {
      try Test.cancel("this kernel does not let us make a \(made.name)")
    }
    let child = try FDFactory()
    let number = try child.openOne(made.name)
    var watched = try Watched(child)
    let found = try #require(try watched.census()[number])
    #expect(found.kind == made.kind)
    #expect(found.target.hasPrefix(made.target))
    // Of these, reading fdinfo would hold up the process: nothing but the link is looked at.
    if ![.eventpoll, .inotify, .fanotify, .ioUring].contains(made.kind) {
      #expect(found.inode == inode(child.pid, number))
      #expect(found.flags & 0o2_000_000 != 0, "the factory opens everything with O_CLOEXEC")
    }
    #expect(found.position == 0)
  }

  @Test(arguments: Made.sockets) func `of socket is told by the socket tables`(made: Made) throws {
    guard !Made.unsupported.contains(made.name) else {
      try Test.cancel("this kernel does not let us make a \(made.name)")
    }
    let child = try FDFactory()
    let number = try child.openOne(made.name)
    var watched = try Watched(child)
    let poll = try watched.censusWithSockets()
    let found = try #require(poll[number])
    #expect(found.kind == .socket)
    #expect(found.target == "socket:[\(found.inode)]")
    #expect(found.inode == inode(child.pid, number))
    if made.kind == .tcp {
      #expect(poll.tcp.contains { $0.inode == found.inode })
    } else {
      #expect(poll.families.first { $0.inode == found.inode }?.kind == made.kind)
    }
    // Its family is read once.
    let second = try watched.censusWithSockets()
    #expect(second.families.isEmpty && second.tcp.isEmpty)
  }

  private func inode(_ pid: Int32, _ number: Int32) -> UInt64? {
    var found = stat()
    return unsafe stat("/proc/\(pid)/fd/\(number)", &found) == 0 ? UInt64(found.st_ino) : nil
  }
}
