// SPDX-License-Identifier: Apache-2.0
// What is dropped without being closed, in the ways in which that happens.

import Foundation
import LeakProfile
import Synchronization
import TestSupport
import Testing

/// As a package would write it.
private final class Handle: Sendable {
  private let leakGuard: LeakGuard

  @inline(never)
  init(_ profile: LeakProfile.Profile, _ name: String) { leakGuard = LeakGuard(profile, name, descriptor: 42) }

  func close() { leakGuard.close() }
}

private struct Wrapper {
  var handle: Handle
}

private struct Number: ~Copyable {
  let number: Int32
}

private struct Failure: Error {}

/// Ways to lose a handle.
private enum Loss: String, CaseIterable, Codable {
  case `class`, structInArray, cancelledTask, thrownError, tracked, optional

  func lose(_ profile: LeakProfile.Profile) async {
    switch self {
    case .class: _ = Handle(profile, "/x")
    case .optional:
      var handle: Handle? = Handle(profile, "/x")
      if handle != nil { handle = nil }
    case .structInArray:
      var handles = [Wrapper(handle: Handle(profile, "/x"))]
      handles.removeAll()
    case .cancelledTask:
      let started = AsyncStream.makeStream(of: Void.self)
      let task = Task {
        let handle = Handle(profile, "/x")
        started.continuation.yield()
        // Until it is cancelled: and who would have closed it is not reached.
        for await _ in AsyncStream<Void>.makeStream().stream {}
        try Task.checkCancellation()
        handle.close()
      }
      var first = started.stream.makeAsyncIterator()
      _ = await first.next()
      task.cancel()
      _ = await task.result
    case .thrownError:
      func work() throws {
        let handle = Handle(profile, "/x")
        if profile.count > 0 { throw Failure() }
        handle.close()
      }
      try? work()
    case .tracked:
      _ = Tracked(Number(number: 42), in: profile, "/x", descriptor: 42)
    }
  }
}

@Suite struct `A handle that is dropped` {
  @Test(arguments: Loss.allCases) fileprivate func `is reported, with who opened it`(loss: Loss) async {
    await #expect(processExitsWith: .success) { [loss] in
      let profile = LeakProfile.Profile("file")
      var reports = Leaks.reports.makeAsyncIterator()
      await loss.lose(profile)
      let report = await reports.next()
      #expect(report?.message == "file /x: missing close" && report?.resource == "file")
      #expect(report?.descriptor == 42 && report?.lost == 0)
      #expect((report?.stack.count ?? 0) > 3)
      #expect(profile.count == 0, "what is gone is not held")
    }
  }

  @Test func `is not reported if it was closed`() async {
    await #expect(processExitsWith: .success) {
      let profile = LeakProfile.Profile("file")
      var reports = Leaks.reports.makeAsyncIterator()
      let handle = Handle(profile, "/closed")
      handle.close()
      handle.close()
      let tracked = Tracked(Number(number: 7), in: profile, "/closed")
      #expect(profile.count == 1)
      #expect(tracked.close { $0.number } == 7)
      #expect(profile.count == 0)
      Leaks.report("the last one")
      #expect(await reports.next()?.message == "the last one")
    }
  }
}

@Suite struct `Reports` {
  @Test func `by default are ignored`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      _ = Handle(LeakProfile.Profile("file"), "/x")
      #expect(Leaks.flush())
    }
    #expect(result.map { String(decoding: $0.standardErrorContent, as: UTF8.self).contains("missing close") } == false)
  }

  @Test func `go to standard error, with the stack`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      Leaks.handler = .standardError
      _ = Handle(LeakProfile.Profile("file"), "/x")
      #expect(Leaks.flush())
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("file /x: missing close\n    "), "\(text)")
  }

  @Test func `go to a logger, in order, on another thread`() async {
    await #expect(processExitsWith: .success) {
      let seen = Mutex<[String]>([])
      let own = pthread_self()
      Leaks.handler = .logger { report in
        precondition(pthread_self() != own)
        seen.withLock { $0.append(report.message) }
      }
      let profile = LeakProfile.Profile("file")
      for number in 0..<50 { _ = Handle(profile, "/\(number)") }
      #expect(Leaks.flush())
      #expect(seen.withLock { $0 } == (0..<50).map { "file /\($0): missing close" })
    }
  }

  /// Whoever drops a handle may hold the very lock that the logger takes.
  @Test func `wait for no lock that the logger takes`() async {
    await #expect(processExitsWith: .success) {
      let lock = Mutex(0)
      Leaks.handler = .logger { _ in lock.withLock { $0 += 1 } }
      let profile = LeakProfile.Profile("file")
      lock.withLock { _ in
        for _ in 0..<1000 { _ = Handle(profile, "/x") }
      }
      #expect(Leaks.flush())
      #expect(lock.withLock { $0 } >= 256)
    }
  }

  @Test func `end the program where it is told so`() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      Leaks.handler = .trap
      _ = Handle(LeakProfile.Profile("file"), "/x")
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("file /x: missing close"), "\(text)")
  }

  @Test func `reach fdwatch as a datagram, or nobody`() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let path = directory.path + "/report.sock"
      unsafe setenv("FDWATCH_REPORT_SOCKET", path, 1)
      Leaks.handler = .daemon
      let profile = LeakProfile.Profile("file")
      // Nobody listens: nothing happens.
      _ = Handle(profile, "/lost")
      #expect(Leaks.flush())
      let socket = try DatagramSocket(path: path)
      _ = Handle(profile, "/\"x\"\n")
      #expect(Leaks.flush())
      let text = try socket.receive()
      let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      #expect(object["message"] as? String == "file /\"x\"\n: missing close")
      #expect(object["resource"] as? String == "file" && object["fd"] as? Int == 42)
      #expect((object["stack"] as? [String])?.first?.contains("+0x") == true)
    }
  }

  @Test func `that nobody takes in time lose the oldest, and tell how many`() async {
    await #expect(processExitsWith: .success) {
      var reports = Leaks.reports.makeAsyncIterator()
      for number in 0..<100 {
        Leaks.report("\(number)")
        // Each gets as far as the buffer, and no further.
        #expect(Leaks.flush())
      }
      var taken = [await reports.next()]
      #expect(taken[0]?.message == "36" && taken[0]?.lost == 36)
      while taken.count < 64 { taken.append(await reports.next()) }
      #expect(taken.last??.message == "99" && taken.dropFirst().allSatisfy { $0?.lost == 0 })
    }
  }

  @Test func `from many threads are all there, or counted`() async {
    await #expect(processExitsWith: .success) {
      let counted = Mutex(0)
      Leaks.handler = .logger { report in counted.withLock { $0 += 1 + report.lost } }
      await withTaskGroup { group in
        for _ in 0..<8 { group.addTask { for number in 0..<5000 { Leaks.report("\(number)") } } }
      }
      #expect(Leaks.flush())
      Leaks.report("the last one")
      #expect(Leaks.flush())
      #expect(counted.withLock { $0 } == 40_001)
    }
  }

  @Test func `stop when nobody listens any more`() async {
    await #expect(processExitsWith: .success) {
      let task = Task {
        for await report in Leaks.reports where report.message == "end" { return true }
        return false
      }
      var other = Leaks.reports.makeAsyncIterator()
      task.cancel()
      #expect(await task.value == false)
      Leaks.report("one")
      #expect(await other.next()?.message == "one")
    }
  }
}
