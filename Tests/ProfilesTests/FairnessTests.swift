// SPDX-License-Identifier: Apache-2.0
// Many owners' servers at once, slow and greedy ones among them.

import Foundation
import Linux
import Pprof
import TestSupport
import Testing

@testable import Profiles

@Suite struct `Requests that wait` {
  @Test func `are begun by owner, so that none takes all places`() {
    var queue = FetchQueue<String>()
    for index in 0..<10 { queue.add("a\(index)", of: "a") }
    queue.add("b0", of: "b")
    #expect(queue.next() == "a0")
    // Who has none under way comes first, however long others have waited.
    #expect(queue.next() == "b0")
    #expect([queue.next(), queue.next(), queue.next()] == ["a1", "a2", "a3"])
    #expect(queue.next() == nil, "four are enough for one owner")
    queue.finished("a")
    #expect(queue.next() == "a4" && queue.next() == nil)
  }

  @Test func `are no more than so many at once in all, and none is forgotten`() {
    var queue = FetchQueue<Int>()
    for index in 0..<500 { queue.add(index, of: "owner \(index % 50)") }
    var running: [Int] = []
    var done: Set<Int> = []
    while done.count < 500 {
      while let next = queue.next() { running.append(next) }
      #expect(running.count <= FetchQueue<Int>.most && !running.isEmpty)
      for owner in 0..<50 { #expect(running.count { $0 % 50 == owner } <= FetchQueue<Int>.mostPerOwner) }
      guard !running.isEmpty else { return }
      let ended = running.removeFirst()
      queue.finished("owner \(ended % 50)")
      done.insert(ended)
    }
    #expect(queue.next() == nil)
    // What never began cannot end.
    queue.finished("nobody")
  }
}

@Suite struct `Servers of many owners` {
  private func asking(_ url: String, owner: String) throws -> Asking {
    let asking = try Asking(url, options: ProfileOptions())
    asking.process = try ProfiledProcess(living: getpid(), user: getuid(), owner: owner)
    return asking
  }

  @Test func `do not wait for one owner's that never answer`() throws {
    let slow = try HTTPServer { _, connection in
      connection.waitForEnd()
      return false
    }
    let quick = try HTTPServer { _, connection in
      connection.answer(profile(3).encoded())
      return true
    }
    let hanging = try (0..<12).map { try asking(slow.url + "?\($0)", owner: "slow") }
    for asking in hanging { asking.step() }
    let deadline = Instant.now + .seconds(60)
    while slow.requests.count < 4, Instant.now < deadline { usleep(1000) }
    let other = try asking(quick.url, owner: "quick")
    try other.run { !$0.snapshots.isEmpty }
    #expect(slow.requests.count == 4, "those of one owner that are under way at once")
    for asking in hanging { asking.step() }
    #expect(hanging.allSatisfy { $0.notes.isEmpty }, "none of them has come to an end yet")
  }

  /// In a process of its own, whose memory nobody else uses.
  @Test func `take no more memory together than one body may`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let size = 15 << 20
      let server = try HTTPServer { _, connection in
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(16 << 20)\r\n\r\n")
        let chunk = [UInt8](repeating: 0x0a, count: 1 << 16)
        for _ in 0..<(size / chunk.count) where !connection.send(chunk) { return false }
        connection.waitForEnd()
        return false
      }
      // What is loaded once is not theirs.
      let first = try Asking(server.url)
      try first.run { !$0.notes.isEmpty }
      let before = try residentMemory()
      var options = ProfileOptions()
      // The server's queue has one place, and on a busy machine it moves slowly.
      options.connect = .seconds(120)
      options.answer = .seconds(120)
      options.whole = .seconds(200)
      let askings = try (0..<30).map { index in
        let asking = try Asking(server.url + "?\(index)", options: options)
        asking.process = try ProfiledProcess(living: getpid(), user: getuid(), owner: "owner \(index)")
        return asking
      }
      var most = 0
      let deadline = Instant.now + .seconds(240)
      // One may wait for the rest of its body for as long as it likes.
      while askings.count(where: { $0.notes.isEmpty }) > 1, Instant.now < deadline {
        for asking in askings where asking.notes.isEmpty { asking.step() }
        most = max(most, try residentMemory() - before)
        usleep(1000)
      }
      // An issue of this process shows no more than its output.
      print("+\(most >> 10) KiB for \(server.requests.count - 1) bodies", Set(askings.flatMap(\.notes)))
      #expect(server.requests.count >= 31)
      #expect(askings.contains { $0.notes.contains { $0.contains("was given up: it is the largest") } })
      #expect(most < 28 << 20)
    }
    let output = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self)
    #expect(output.contains("KiB for 30 bodies"), "\(output)")
  }

  @Test func `may not send headers for ever`() throws {
    let server = try HTTPServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\n")
      while connection.send("X-Header: \(String(repeating: "a", count: 1000))\r\n") {}
      return false
    }
    let asking = try asking(server.url, owner: "o")
    try asking.run { !$0.notes.isEmpty }
    #expect(asking.notes.first?.contains("the headers of its answer have more than 64 KiB") == true, "\(asking.notes)")
  }
}

/// Bytes of our own memory that are in no file. See proc_pid_status(5).
private func residentMemory() throws -> Int {
  let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  let line = text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
  return (line?.split(separator: " ").dropFirst().first).flatMap { Int($0) }.map { $0 << 10 } ?? 0
}
