// SPDX-License-Identifier: Apache-2.0
// Live programs that hold descriptors on purpose, and their counterparts that have dropped them.

import Descriptors
import Procfs
import TestSupport
import Testing

@testable import Usage

/// Looks at members of one kind, as often as is asked for, at times that nobody waits for.
private final class Looking {
  private let process: ProcessDirectory
  private let procfs: Procfs
  private var reader = UsageReader()
  private var time = Duration.zero

  init(_ pid: Int32) throws {
    procfs = try Procfs()
    process = try ProcessDirectory(pid: pid, in: procfs)
  }

  func look(_ kind: Kind, _ numbers: [Int32], siblings: [Int32] = [], age: Double = 100) throws -> UsageEvidence {
    time += .seconds(10)
    let suspect = UsageSuspect(
      kind: kind, isCloseWait: false,
      survivors: numbers.map { UsageSuspect.Member(number: $0, age: age) }, siblings: siblings)
    return try #require(reader.look(at: [suspect], of: process, in: procfs, at: time).first)
  }

  /// What final signs take.
  func lookTwice(_ kind: Kind, _ numbers: [Int32], siblings: [Int32] = []) throws -> UsageEvidence {
    _ = try look(kind, numbers, siblings: siblings)
    return try look(kind, numbers, siblings: siblings)
  }
}

private func all(_ count: Int) -> UsageShare { UsageShare(shown: count, seen: count) }
private func none(_ count: Int) -> UsageShare { UsageShare(seen: count) }

extension FDFactory {
  /// Pipes, as pairs of the end to read and the end to write.
  fileprivate func pipes(_ count: Int) throws -> (read: [Int32], write: [Int32]) {
    let numbers = try open("pipe", 2 * count)
    return (
      numbers.enumerated().filter { $0.offset % 2 == 0 }.map(\.element),
      numbers.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    )
  }
}

@Suite struct `The use of pipes` {
  @Test func `is seen in those whose other end a living child has`() throws {
    let parent = try FDFactory()
    let pipes = try parent.pipes(4)
    _ = try parent.fork()
    try parent.close(pipes.write)
    let looking = try Looking(parent.pid)
    let found = try looking.lookTwice(.pipe, pipes.read)
    #expect(found.signs[.abandoned] == none(4) && found.signs[.heldByChild] == all(4))
    #expect(found.children == 1 && found.threads == 1)
  }

  @Test(.enabled(if: Machine.isRoot, "who has the other end is known to root"))
  func `is missed in those that an ended child has left behind, at the second look`() throws {
    let parent = try FDFactory()
    let pipes = try parent.pipes(4)
    let child = try parent.fork()
    try parent.close(pipes.write)
    try parent.exitChild(child)
    let looking = try Looking(parent.pid)
    #expect(try looking.look(.pipe, pipes.read).signs[.abandoned] == nil, "it may be legal for a moment")
    // A pass over all processes takes more than one look where there are many descriptors.
    var found = try looking.look(.pipe, pipes.read)
    for _ in 0..<100 where found.signs[.abandoned] == nil { found = try looking.look(.pipe, pipes.read) }
    #expect(found.signs[.abandoned] == all(4) && found.children == 0, "a zombie holds nothing")
    try parent.reapChild(child)
  }

  @Test func `is missed in both ends of those that nobody waits on, whatever a fork has inherited`() throws {
    let parent = try FDFactory()
    let pipes = try parent.pipes(4)
    _ = try parent.fork()
    let looking = try Looking(parent.pid)
    // What threads wait on is known after two looks at which none was busy, and what is final after one more.
    var found = try looking.look(.pipe, pipes.read)
    for _ in 0..<100 where found.signs[.abandoned] == nil { found = try looking.look(.pipe, pipes.read) }
    #expect(found.signs[.abandoned] == all(4) && found.signs[.heldByChild] == none(4))
  }
}

@Suite struct `The use of sockets` {
  @Test func `is missed where the peer has closed`() throws {
    let process = try FDFactory()
    let numbers = try (0..<4).flatMap { _ in try process.open("unix-connected", 2) }
    let mine = numbers.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    let looking = try Looking(process.pid)
    #expect(try looking.lookTwice(.unix, mine).signs[.peerClosed] == none(4))
    try process.close(numbers.filter { !mine.contains($0) })
    #expect(try looking.lookTwice(.unix, mine).signs[.peerClosed] == all(4))
  }

  @Test func `is over where the end was read and none is left but to close`() throws {
    let process = try FDFactory()
    let pairs = try (0..<4).map { _ in try process.open("tcp-established", 2) }
    let looking = try Looking(process.pid)
    let mine = pairs.map { $0[0] }
    #expect(try looking.lookTwice(.tcp, mine).signs[.endRead] == nil, "they are open at both ends")
    try process.close(pairs.map { $0[1] })
    let found = try looking.lookTwice(.tcp, mine)
    // The end of file has not been read: the kernel counts it as one byte. Nothing says that it never will be.
    #expect(found.signs[.endRead] == none(4))
  }
}

@Suite struct `The use of event loops` {
  @Test func `is missed where there are more than threads and none waits`() throws {
    let process = try FDFactory()
    let loops = try process.open("eventpoll", 5)
    let looking = try Looking(process.pid)
    #expect(try looking.look(.eventpoll, loops).signs[.unattended] == nil, "a thread may be busy just now")
    // It may be busy at the second look, too.
    var found = try looking.look(.eventpoll, loops)
    for _ in 0..<100 where found.signs[.unattended] == nil { found = try looking.look(.eventpoll, loops) }
    #expect(found.signs[.unattended] == all(5))
  }

  @Test(.enabled(if: Machine.canRun("python3", "-c", "")))
  func `is seen where each has its thread`() throws {
    let program = """
      import select, threading, os, sys
      loops = [select.epoll() for _ in range(6)]
      wakers = [os.eventfd(0) for _ in loops]
      for loop, waker in zip(loops, wakers):
          loop.register(waker, select.EPOLLIN)
          threading.Thread(target=loop.poll, daemon=True).start()
      print(*[loop.fileno() for loop in loops], *wakers, flush=True)
      sys.stdin.read()
      """
    let child = try ChildProcess(["python3", "-c", program])
    let numbers = try #require(try child.readLine()).split(separator: " ").compactMap { Int32($0) }
    let (loops, wakers) = (Array(numbers.prefix(6)), Array(numbers.dropFirst(6)))
    let looking = try Looking(child.pid)
    var found = try looking.look(.eventpoll, loops)
    #expect(found.signs[.unattended] == none(6), "no more loops than threads")
    // They may still be on their way into the call: it is asked again until all have arrived.
    repeat { found = try looking.look(.eventfd, wakers) } while found.signs[.waitedOn] != all(6)
    #expect(found.signs[.registered] == all(6) && found.threads == 7)
    child.closeInput()
  }
}

@Suite struct `The use of other objects` {
  @Test func `of an inotify instance is to watch, of a timer to be set`() throws {
    let process = try FDFactory()
    let (inotify, timers) = try (process.open("inotify", 3), process.open("timerfd", 3))
    let looking = try Looking(process.pid)
    let watches = try looking.lookTwice(.inotify, inotify).signs[.watchesNothing]
    #expect(watches?.seen == 3)
    #expect(try looking.lookTwice(.timerfd, timers).signs[.timerIdle]?.seen == 3)
  }

  @Test func `is unlike that of siblings that are in an event loop`() throws {
    let process = try FDFactory()
    let numbers = try process.open("eventfd", 4)
    let looking = try Looking(process.pid)
    let found = try looking.lookTwice(.eventfd, numbers, siblings: numbers)
    #expect(found.signs[.registered] == none(4) && found.siblings[.registered] == none(4))
  }
}

@Suite struct `What threads wait for` {
  @Test(arguments: [
    ("running\n", ThreadWait.running), ("", .running), ("-1 0x7ffd 0x7f00\n", .nothing), ("7\n", .nothing),
    ("99999999999999999999 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n", .nothing), ("232 5 6 7 8 9 10 11 12\n", .nothing),
  ]) func `is read from any text`(text: String, expected: ThreadWait) {
    #expect(ThreadWait(syscall: Array(text.utf8)) == expected)
  }
}
