// SPDX-License-Identifier: Apache-2.0
// Traces: what is written is read back, and what is damaged is refused with its place.

import Descriptors
import Detection
import Foundation
import TestSupport
import Testing
import Trace

private let header = TraceHeader(
  command: "ngi\nnx\u{1b}[31m", pid: 4711, interval: .milliseconds(500), start: "2026-11-23T10:00:00.000Z",
  limits: Limits(soft: 1024, hard: .max))

private let headerLine =
  #"{"format":"fdwatch-trace","version":1,"comm":"app","pid":1,"interval":1,"start":"x","soft_limit":9,"hard_limit":10}"#

private func polls(_ path: String) throws -> [Poll] {
  let reader = try TraceReader(path: path)
  var polls: [Poll] = []
  while let poll = try reader.next() { polls.append(poll) }
  return polls
}

private func error(_ text: String) -> TraceError? {
  let file = TemporaryFile(text)
  do {
    _ = try polls(file.path)
    return nil
  } catch {
    return error as? TraceError
  }
}

/// Files that are no trace, and a part of what is said of them.
private let damaged: [(text: String, words: String)] = [
  ("", "the file is empty"), ("hello\n", "expected"), ("{}\n", "no \"format\""),
  (#"{"format":"fdwatch-trace","version":2}"# + "\n", "version 2"),
  (headerLine, "cut off"),
  (headerLine + "\n{\"t\":0,\"count\":1}\n{\"t\":1,\"coun", "line 3"),
  (headerLine + "\n{\"t\":0}\n", ":2:"), (headerLine + "\n{\"count\":1}\n", "\"t\""),
  (headerLine + "\n{\"t\":0,\"count\":-1}\n", "count"), (headerLine + "\n{\"t\":1e99,\"count\":1}\n", "\"t\""),
  (headerLine + "\n{\"t\":2,\"count\":1}\n{\"t\":1,\"count\":1}\n", "backwards"),
  (headerLine + "\n{\"t\":0,\"count\":1,\"opened\":[[1]]}\n", ":2:"),
  (headerLine + "\n{\"t\":0,\"count\":1,\"opened\":[[-1,\"/\",1,\"0\",0]]}\n", "negative"),
  (headerLine + "\n{\"t\":0,\"count\":1,\"opened\":[[1,\"/\",1,\"9\",0]]}\n", "octal"),
  (headerLine + "\n{\"t\":0,\"count\":1,\"closed\":[99999999999]}\n", "range"),
  (headerLine + "\n{\"t\":0,\"count\":1,\"x\":" + String(repeating: "[", count: 100_000) + "\n", "deeply"),
  (headerLine + "\n[1,2]\n", ":2:"), (headerLine + "\n{\"t\":0,\"count\":1} x\n", "follows"),
]

@Suite struct `A trace` {
  @Test func `is read back as it was written`() throws {
    var first = Poll(time: .zero, count: 3)
    first.limits = Limits(soft: 1024, hard: .max)
    first.opened = [
      .init(number: 0, target: "/dev/null", inode: 5, flags: 0o100002, position: 0),
      .init(number: 7, target: "/tmp/\u{1b}]0;x\u{7}\n\"\\é\u{2028}", inode: .max, flags: 0, position: .max),
      .init(number: 9, target: "/run/ctl", inode: 9, flags: 0, position: -1, kind: .pipe),
    ]
    first.tcp = [.init(inode: 1, state: .closeWait, peer: "[::1]:80")]
    first.families = [.init(inode: 2, kind: .unix)]
    first.unread = [.init(inode: 1, bytes: 17)]
    var second = Poll(time: .milliseconds(1234), count: 4, isCensus: false)
    second.limits = Limits(soft: 2048, hard: .max)
    second.collector = .onDemand
    second.profiles = [
      .init(
        name: "file",
        stacks: [.init(frames: ["a b.go:1", "\"c\""], count: 7, descriptors: [3, 4]), .init(frames: [], count: 1)]),
      .init(name: "goroutine", isWitness: true, stacks: [.init(frames: ["d"], count: 2)]),
    ]
    second.profiles[0].age = .milliseconds(250)
    (second.profiles[0].others, second.profiles[0].stride, second.profiles[1].others) = (40, 3, 5)
    var third = Poll(time: .milliseconds(123_456_789), count: 2)
    third.closed = [0, 7]
    third.moved = [.init(number: 9, position: 4096)]
    let file = TemporaryFile()
    do {
      let writer = try TraceWriter(path: file.path, header: header)
      for poll in [first, second, third] { try writer.write(poll) }
    }
    #expect(try TraceReader(path: file.path).header == header)
    #expect(try polls(file.path) == [first, second, third])
  }

  @Test func `is read whether compressed or not`() throws {
    let file = TemporaryFile(headerLine + "\n{\"t\":0,\"count\":1}\n{\"t\":1.5,\"count\":2,\"news\":[{\"a\":null}]}\n")
    #expect(try polls(file.path).map(\.count) == [1, 2], "keys that are not known are passed over")
  }

  @Test func `tells a limit only when it changes`() throws {
    let file = TemporaryFile(
      headerLine + "\n{\"t\":0,\"count\":1,\"soft_limit\":9}\n{\"t\":1,\"count\":1,\"soft_limit\":9}\n"
        + "{\"t\":2,\"count\":1,\"soft_limit\":20}\n")
    #expect(try polls(file.path).map(\.limits) == [Limits(soft: 9, hard: 10), nil, Limits(soft: 20, hard: 10)])
  }

  @Test func `that was cut off gives what it has, and then says where`() throws {
    let file = TemporaryFile()
    do {
      let writer = try TraceWriter(path: file.path, header: header)
      for second in 0..<200 { try writer.write(Poll(time: .seconds(second), count: second)) }
    }
    let whole = file.bytes
    let cut = TemporaryFile(whole.prefix(whole.count / 2))
    let reader = try TraceReader(path: cut.path)
    var read = 0
    var failure: TraceError?
    do {
      while let poll = try reader.next() {
        #expect(poll.count == read)
        read += 1
      }
    } catch {
      failure = error
    }
    #expect(read > 20, "what was flushed can be read")
    #expect(failure == .truncated(file: cut.path, line: read + 2))
  }

  @Test func `that is damaged is refused`() throws {
    let file = TemporaryFile()
    do {
      let writer = try TraceWriter(path: file.path, header: header)
      for second in 0..<2000 { try writer.write(Poll(time: .seconds(second), count: second &* 7919 % 1000)) }
    }
    var bytes = file.bytes
    for index in stride(from: bytes.count / 2, to: bytes.count / 2 + 40, by: 1) { bytes[index] ^= 0xff }
    let damaged = TemporaryFile(bytes)
    #expect(throws: TraceError.self) { try polls(damaged.path) }
  }

  @Test(arguments: damaged) func `that is none is refused, with its place`(file: (text: String, words: String)) throws {
    let found = try #require(error(file.text)?.description)
    #expect(found.contains(file.words), "\(found)")
  }

  @Test func `of random bytes never does worse than an error`() {
    var generator = SystemRandomNumberGenerator()
    let line = Array(headerLine.utf8)
    for _ in 0..<300 {
      var bytes =
        line
        + Array(
          "\n{\"t\":0,\"count\":1,\"opened\":[[1,\"/x\\u00e9\",1,\"02\",0]],\"tcp\":[[1,\"LISTEN\",\"\"]]}\n".utf8)
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      let file = TemporaryFile(Data(bytes))
      // Either it can be read, or it says why not: what counts is that we come back.
      if case .failure(let error) = Result(catching: { try polls(file.path) }) { #expect(error is TraceError) }
    }
  }

  @Test func `that cannot be written says so`() throws {
    #expect(throws: TraceError.self) { try TraceWriter(path: "/nonexistent/x.gz", header: header) }
    let full = "/dev/full"
    #expect(throws: TraceError.self) {
      let writer = try TraceWriter(path: full, header: header)
      for second in 0..<100 { try writer.write(Poll(time: .seconds(second), count: 1)) }
    }
  }
}

@Suite struct `An event as JSON` {
  @Test func `is one line that any reader understands`() throws {
    let finding = Finding(
      id: 3, kind: .tcp, target: "10.0.0.5:5432\n\u{1b}", leaked: 58, since: .seconds(10), ratePerHour: 720,
      rateInterval: 600...800, timeToLimit: nil, timeToLimitInterval: nil, confidence: 0.998,
      evidence: ["a \"b\"", "c"])
    let line = EventLine.json(.alert(finding), at: .milliseconds(300_250), process: (7, "x\u{7}"))
    #expect(!line.utf8.contains { $0 < 0x20 })
    let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    #expect(object["t"] as? Double == 300.25)
    #expect(object["event"] as? String == "alert")
    #expect(object["type"] as? String == "leak")
    #expect(object["kind"] as? String == "tcp")
    #expect(object["target"] as? String == "10.0.0.5:5432\n\u{1b}")
    #expect(object["seconds_to_limit"] is NSNull)
    #expect(object["evidence"] as? [String] == ["a \"b\"", "c"])
    #expect(object["comm"] as? String == "x\u{7}")
  }
}
