// SPDX-License-Identifier: Apache-2.0
// Files that end, fill or fool their reader: it is a helper that suffers, and the next profile is read as ever.

import Foundation
import Linux
import Parsing
import Pprof
import TestSupport
import Testing

@Suite(.serialized) struct `A helper` {
  private let parser = Parser.built()

  /// What another owner's profile gives, whatever went before.
  private func checkOthers() throws {
    let good = try Loaded(Assembly.plain)
    let answer = try parser.read(good.profile(), of: good.key, owner: ProcessOwner(user: 1, unit: nil)).get()
    #expect(answer.profiles.first?.stacks.first?.frames == ["f"])
  }

  @Test func `names a function of a mapped file`() throws { try checkOthers() }

  @Test func `is ended by a million blocks within each other, and nobody else`() throws {
    let hostile = try Loaded(Assembly.nested(1_000_000))
    let problem = #expect(throws: ParserError.self) { try parser.read(hostile.profile(), of: hostile.key) }
    guard case .died = problem else { throw TestFailure("\(String(describing: problem))") }
    // Without names it is read all the same, as places in files.
    let plain = try parser.read(hostile.profile(), of: hostile.key, withNames: false).get()
    #expect(plain.profiles.first?.stacks.first?.count == 1)
    try checkOthers()
  }

  @Test func `outlives a file that is cut off while it is read, or is ended by it alone`() throws {
    let hostile = try Loaded(Assembly.nested(1000))
    let path = hostile.library
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    for _ in 0..<30 {
      // The very file that is mapped: cut off at some moment of its being read, and made whole again.
      let cutter = Thread { _ = unsafe truncate(path, 4096) }
      cutter.start()
      _ = try? parser.read(hostile.profile(addresses: 500), of: hostile.key)
      while !cutter.isFinished { sched_yield() }
      try whole.write(to: URL(fileURLWithPath: path))
    }
    try checkOthers()
  }

  @Test func `cuts a name of a megabyte`() throws {
    let hostile = try Loaded(Assembly.function(String(repeating: "n", count: 1 << 20)))
    let answer = try parser.read(hostile.profile(addresses: 32), of: hostile.key).get()
    let frames = try #require(answer.profiles.first?.stacks.first?.frames)
    #expect(frames.allSatisfy { $0.utf8.count <= AnswerLimits.frame })
    try checkOthers()
  }

  @Test func `does not expand what is compressed to gigabytes`() throws {
    let compress = ["-Wl,--compress-debug-sections=zlib"]
    let hostile = try Loaded(Assembly.nested(60_000), options: compress) { path in
      // A section says how large it is once it is expanded: two gigabytes.
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      func number(_ place: Int, _ count: Int) -> Int {
        (0..<count).reversed().reduce(0) { $0 << 8 | Int(bytes[place + $1]) }
      }
      let (headers, size, count) = (number(40, 8), number(58, 2), number(60, 2))
      var changed = 0
      for index in 0..<count {
        let header = headers + index * size
        // SHF_COMPRESSED
        guard number(header + 8, 8) & 0x800 != 0 else { continue }
        let place = number(header + 24, 8)
        for (offset, byte) in [0, 0, 0, 0x7f, 0, 0, 0, 0].enumerated() { bytes[place + 8 + offset] = UInt8(byte) }
        changed += 1
      }
      try #require(changed > 0, "the linker has compressed something")
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
    let answer = try parser.read(hostile.profile(), of: hostile.key).get()
    #expect(answer.profiles.first?.stacks.first?.frames == ["f"], "by its symbols")
    try checkOthers()
  }

  @Test func `adds up what a profile multiplies`() throws {
    // Each sample has eight of sixteen locations, each of which stands for 1000 frames.
    var builder = ProfileBuilder(sampleTypes: [.init(type: "file", unit: "count")])
    let places = (0..<16).map { place in
      let frames = (0..<1000).map { Profile.Frame(function: "fn", line: $0 + place * 7) }
      return builder.location(.init(address: UInt64(place), frames: frames))
    }
    for sample in 0..<3000 {
      builder.add(stack: (0..<8).map { places[(sample >> ($0 * 2)) % 16] }, values: [1])
    }
    let bomb = builder.finish().encoded()
    let key = try ProcessKey(living: getpid())
    let answer = try parser.read(bomb, of: key).get()
    let profile = try #require(answer.profiles.first)
    #expect(profile.stacks.reduce(profile.others) { $0 + $1.count } == 3000)
    #expect(profile.stacks.allSatisfy { $0.frames.count <= AnswerLimits.frames })
    try checkOthers()
  }

  @Test func `reads of a map of a just-in-time compiler only what it needs`() throws {
    let child = try ChildProcess(["cat"])
    let path = "/tmp/perf-\(child.pid).map"
    defer { unsafe unlink(path) }
    let lines = (0..<200_000).map { "\(String(0x7f00_0000_0000 + $0 * 16, radix: 16)) 10 compiled \($0)\n" }
    try lines.joined().write(toFile: path, atomically: false, encoding: .utf8)
    let profile = Array("file profile: total 1\n1 @ 0x7f0000000012 0x7f0000030d3f\n\n".utf8)
    let answer = try parser.read(profile, of: try ProcessKey(living: child.pid)).get()
    #expect(answer.profiles.first?.stacks.first?.frames == ["compiled 1", "compiled 12499"])
  }

  @Test func `is taken at its word only within its bounds`() throws {
    // Something else that answers: the process that reads its question ends without a word.
    let deaf = Parser { .program("/bin/true") }
    let problem = #expect(throws: ParserError.self) {
      try deaf.read(Array("x".utf8), of: ProcessKey(living: getpid()))
    }
    guard case .died = problem else { throw TestFailure("\(String(describing: problem))") }
    let none = Parser { .none("start it") }
    #expect(throws: ParserError.unavailable("start it")) {
      try none.read(Array("x".utf8), of: ProcessKey(living: getpid()))
    }
    #expect(none.problem == "start it")
  }

  @Test(.enabled(if: Machine.isRoot, "only root has rights to give up"))
  func `has no rights`() throws {
    let pair = try PacketSocket.Pair()
    let null = try Descriptor(reading: "/dev/null")
    let helper = try HelperProcess(
      [Products.executable("fdwatch"), "parse"], environment: [], input: pair.theirs, output: null)
    defer { helper.endAndWait() }
    let socket = PacketSocket(owning: pair.intoOurs())
    // It answers once it is confined.
    try socket.send(ParseMessage.job(ParseJob(.bytes(0))).encoded()[...], until: .now + .seconds(60))
    _ = try socket.receive(until: .now + .seconds(60))
    let status = try String(contentsOfFile: "/proc/\(helper.pid)/status", encoding: .utf8)
    for line in [
      "Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000",
      "CapPrm:\t0000000000000000", "NoNewPrivs:\t1",
    ] { #expect(status.contains(line), "\(line)") }
    #expect(status.contains("Groups:\t \n") || status.contains("Groups:\t\n"))
    let limits = try String(contentsOfFile: "/proc/\(helper.pid)/limits", encoding: .utf8)
    func limit(_ name: String) -> [Substring] {
      limits.split(separator: "\n").first { $0.hasPrefix(name) }?.dropFirst(name.count).split(separator: " ") ?? []
    }
    #expect(limit("Max file size").prefix(2) == ["0", "0"])
    #expect(limit("Max core file size").prefix(2) == ["0", "0"])
    #expect(limit("Max processes").prefix(2) == ["0", "0"])
    #expect(limit("Max data size").prefix(2) == ["268435456", "268435456"])
    #expect(try String(contentsOfFile: "/proc/\(helper.pid)/oom_score_adj", encoding: .utf8) == "1000\n")
  }
}
