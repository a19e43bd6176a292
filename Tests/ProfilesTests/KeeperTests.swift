// SPDX-License-Identifier: Apache-2.0
// Asking servers that answer, and servers that do their worst.

import Descriptors
import Foundation
import Linux
import Parsing
import Pprof
import Profiles
import Synchronization
import TestSupport
import Testing

private final class Flag: Sendable {
  let value = Atomic(false)
}

@Suite struct `A profile is fetched` {
  @Test(arguments: ["length", "chunked", "close"]) func `however its end is told`(how: String) throws {
    let body = profile(41).encoded()
    let server = try HTTPServer { _, connection in
      switch how {
      case "length": connection.answer(body)
      case "chunked":
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in body { connection.send(Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8)) }
        connection.send("0\r\n\r\n")
      default:
        connection.send("HTTP/1.1 200 OK\r\n\r\n")
        connection.send(body)
        return false
      }
      return true
    }
    let asking = try Asking(server.url)
    try asking.run { !$0.snapshots.isEmpty }
    #expect(asking.snapshots.first == ProfileSnapshot(name: "file", stacks: [.init(frames: ["main.leak"], count: 41)]))
    #expect(asking.keeper.ownConnections == (how == "close" ? 0 : 1))
  }

  @Test func `once while nothing is suspicious, again and again on one connection while something is`() throws {
    let body = profile(3).encoded()
    let server = try HTTPServer { _, connection in
      connection.answer(body)
      return true
    }
    let asking = try Asking(server.url)
    try asking.run { !$0.snapshots.isEmpty }
    // An hour in which nothing happens.
    for _ in 0..<300 { asking.step() }
    #expect(server.requests.count == 1)
    try asking.run(suspicious: true) { $0.snapshots.count >= 5 }
    #expect(server.connections == 1)
    #expect(asking.notes.isEmpty, "\(asking.notes)")
  }

  @Test func `with headers, and a token that is read each time`() throws {
    let server = try HTTPServer { _, connection in
      connection.answer(profile(1).encoded())
      return true
    }
    let token = TemporaryFile("secret-1\n")
    var options = ProfileOptions()
    options.headers = ["X-Vault: yes"]
    options.tokenFile = token.path
    let source = ProfileSource(try ProfileAddress(parsing: server.url, pid: 1), options: options)
    let asking = try Asking(ProfileKeeper([source], parser: helper))
    try asking.run { !$0.snapshots.isEmpty }
    try Data("secret-2\n".utf8).write(to: URL(fileURLWithPath: token.path))
    try asking.run(suspicious: true) { $0.snapshots.count >= 2 }
    #expect(server.requests.allSatisfy { $0.contains("X-Vault: yes") })
    #expect(server.requests.first?.contains("Authorization: Bearer secret-1") == true)
    #expect(server.requests.contains { $0.contains("Authorization: Bearer secret-2") })
  }

  /// Go's own goroutines are asked only where its files explain nothing.
  @Test func `with a witness, where nothing else explains`() throws {
    let server = try HTTPServer { request, connection in
      connection.answer(profile(9, request.contains("/goroutine ") ? "net.Read" : "main.leak").encoded())
      return true
    }
    let asking = try Asking(server.url)
    try asking.run(suspicious: true) { $0.snapshots.count >= 4 }
    #expect(!asking.snapshots.contains { $0.isWitness })
    try asking.run(suspicious: true, unexplained: true) { $0.snapshots.contains { $0.name == "goroutine" } }
    #expect(asking.snapshots.allSatisfy { $0.isWitness == ($0.name != "file") })
  }

  @Test(arguments: [true, false]) func `with leaked goroutines as a witness, where there is such a profile`(
    hasIt: Bool
  ) throws {
    let server = try HTTPServer { request, connection in
      if request.contains("/goroutineleak "), !hasIt {
        connection.answer([], status: "404 Not Found", headers: "X-Go-Pprof: 1\r\n")
      } else {
        connection.answer(profile(9).encoded())
      }
      return true
    }
    let asking = try Asking(server.url)
    try asking.run(suspicious: true, unexplained: true) { $0.snapshots.count { $0.name == "goroutine" } >= 3 }
    let asked = server.requests.count { $0.contains("/goroutineleak ") }
    #expect(hasIt ? asked >= 2 : asked == 1)
    #expect(asking.snapshots.contains { $0.name == "goroutineleak" } == hasIt)
    #expect(asking.notes.isEmpty, "\(asking.notes)")
  }
}

@Suite struct `A hostile endpoint` {
  /// What a person is told of it: one sentence, however often it is asked.
  private func told(
    _ behaviour: @escaping HTTPServer.Behaviour, limits: ProfileLimits = ProfileLimits()
  ) throws -> String {
    let server = try HTTPServer(behaviour)
    let asking = try Asking(server.url, limits: limits)
    try asking.run(suspicious: true) { !$0.notes.isEmpty }
    let first = asking.notes.count
    try asking.run(suspicious: true) { _ in server.requests.count >= 2 }
    for _ in 0..<20 { asking.step(suspicious: true) }
    #expect(asking.notes.count == first, "told once: \(asking.notes)")
    #expect(asking.snapshots.isEmpty)
    return asking.notes.joined(separator: "\n")
  }

  @Test func `never answers`() throws {
    let text = try told { _, connection in
      connection.waitForEnd()
      return false
    }
    #expect(text.contains("accepts but does not answer"))
  }

  @Test func `drips a byte a second`() throws {
    let text = try told { _, connection in
      connection.send("HTTP/1.1 200 OK\r\n\r\n")
      while connection.send([0x1f]) { usleep(300_000) }
      return false
    }
    #expect(text.contains("did not come to an end in time"))
  }

  @Test func `sends without end`() throws {
    // Less than all bodies may have together: other tests fetch some, too.
    var limits = ProfileLimits()
    limits.compressedBytes = 1 << 20
    let text = try told(
      { _, connection in
        connection.send("HTTP/1.1 200 OK\r\n\r\n")
        let chunk = [UInt8](repeating: 0x0a, count: 1 << 16)
        while connection.send(chunk) {}
        return false
      }, limits: limits)
    #expect(text.contains("more than 1048576 bytes"))
  }

  @Test func `sends a bomb`() throws {
    var limits = ProfileLimits()
    limits.expandedBytes = 1 << 20
    var builder = ProfileBuilder(sampleTypes: [.init(type: "file", unit: "count")])
    let place = builder.location(.init(frames: [.init(function: String(repeating: "a", count: 2 << 20))]))
    builder.add(stack: [place], values: [1])
    let body = builder.finish().encoded()
    #expect(body.count < 10_000)
    let text = try told(
      { _, connection in
        connection.answer(body)
        return true
      }, limits: limits)
    #expect(text.contains("more than 1048576 bytes (expanded); --profile-limit expanded=N"))
  }

  @Test(arguments: [
    ("<html><body>Hello</body></html>", "it is HTML"), ("", "it is empty"),
    ("file profile: total 3\n3 @ 0xzz\n", "line 2 of the profile's text"),
    ("\u{12}\u{04}\u{0a}\u{02}\u{08}\u{63}", "the profile is damaged: location 8 is referred to"),
  ]) func `sends no profile`(body: String, expected: String) throws {
    let text = try told { _, connection in
      connection.answer(Array(body.utf8))
      return true
    }
    #expect(text.contains(expected), "\(text)")
  }

  @Test func `redirects to elsewhere, where nobody goes`() throws {
    let other = try HTTPServer { _, connection in
      connection.answer([])
      return true
    }
    let location = other.url
    let text = try told { _, connection in
      connection.answer([], status: "302 Found", headers: "Location: \(location)\r\n")
      return true
    }
    #expect(text.contains("redirects to \(location), which is not followed"))
    #expect(other.connections == 0)
  }

  @Test func `cuts its answer off`() throws {
    let body = profile(5).encoded()
    let text = try told { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
      connection.send(body)
      return false
    }
    #expect(text.contains("ended the connection within its answer"))
    let whole = try told { _, connection in
      connection.answer(Array(body.dropLast(12)))
      return true
    }
    #expect(whole.contains("ends before it is whole"))
  }

  @Test(arguments: [
    (401, "asks for authorization"), (404, "there is no such profile"), (500, "answers with status 500"),
  ])
  func `refuses`(status: Int, expected: String) throws {
    let text = try told { _, connection in
      connection.answer([], status: "\(status) No")
      return true
    }
    #expect(text.contains(expected))
  }

  @Test func `comes back, which is told too`() throws {
    let isWell = Flag()
    let body = profile(5).encoded()
    let server = try HTTPServer { _, connection in
      if !isWell.value.load(ordering: .relaxed) {
        connection.answer([], status: "503 Later")
      } else {
        connection.answer(body)
      }
      return true
    }
    let asking = try Asking(server.url)
    try asking.run { !$0.notes.isEmpty }
    isWell.value.store(true, ordering: .relaxed)
    try asking.run { !$0.snapshots.isEmpty }
    #expect(asking.notes.last?.hasSuffix("answers again") == true)
  }

  @Test func `is not there at all`() throws {
    let port = try HTTPServer { _, _ in false }.port
    let asking = try Asking("http://127.0.0.1:\(port)/debug/pprof/file")
    try asking.run { !$0.notes.isEmpty }
    #expect(asking.notes.first?.contains("takes no connection") == true)
  }
}

@Suite struct `A profile in a file` {
  @Test func `is read when it changed, and passed over while it is half written`() throws {
    let directory = try TemporaryDirectory()
    let (old, new) = (directory.path + "/p-1.pb.gz", directory.path + "/p-2.pb.gz")
    func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }
    try write(profile(5).encoded(), old)
    let asking = try Asking(directory.path + "/p-*.pb.gz")
    try asking.run { $0.snapshots.count == 1 }
    usleep(20_000)
    try write(profile(9).encoded().dropLast(20).map { $0 }, new)
    for _ in 0..<50 {
      asking.step(suspicious: true)
      usleep(2000)
    }
    #expect(asking.snapshots.count == 1 && asking.notes.isEmpty, "\(asking.notes)")
    try write(profile(9).encoded(), new)
    try asking.run(suspicious: true) { $0.snapshots.count == 2 }
    #expect(asking.snapshots.last?.total == 9)
  }

  @Test func `may be no file, which blocks nobody`() throws {
    let directory = try TemporaryDirectory()
    let fifo = directory.path + "/fifo"
    #expect(unsafe mkfifo(fifo, 0o600) == 0)
    let asking = try Asking(fifo)
    try asking.run { !$0.notes.isEmpty }
    #expect(asking.notes.first?.contains("fifo") == true)
  }
}
