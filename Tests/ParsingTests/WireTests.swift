// SPDX-License-Identifier: Apache-2.0
// The bytes between the daemon and its helper, of which one end may be taken over.

import LeakTable
import Linux
import Parsing
import Pprof
import Testing

/// Seeded: the same on every machine.
struct Random {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

private let sample: ParseAnswer = {
  var profile = ParsedProfile(name: "file")
  profile.stacks = [
    .init(frames: ["main.leak main.go:7", "main.main main.go:20"], count: 41, descriptors: [3, 4, 900]),
    .init(frames: ["main.serve main.go:9", "main.main main.go:20"], count: 2),
  ]
  (profile.others, profile.stride) = (17, 3)
  var answer = ParseAnswer()
  answer.profiles = [profile, ParsedProfile(name: "empty")]
  (answer.timeNanos, answer.countedType, answer.notes) = (-5, "inuse_objects/count", [.budgetSpent, .stacksLost])
  return answer
}()

@Suite struct `An answer of the helper` {
  @Test func `is what was sent`() throws {
    #expect(try AnswerWire.decoded(AnswerWire.encoded(.success(sample))) == .success(sample))
  }

  @Test(
    arguments: [
      .profile(.truncated), .profile(.damaged(reason: "a number", offset: 7)), .profile(.foreign(reason: "text")),
      .profile(.malformedText(reason: "no count", line: 2)), .profile(.tooLarge(limit: "samples", most: 3)),
      .profile(.concatenated), .table(.gone), .table(.denied), .table(.hasNoMagic), .table(.version(9)),
      .table(.belongs(toPid: 4711)), .table(.damaged("it ends")), .table(.tooLarge("entries")),
      .table(.isNoTable(reason: "a file")), .table(.failed(SystemCallError("pread", errno: 5))), .file(errno: 21),
      .stacks,
    ] as [ParseFailure]) func `is the error that was met`(failure: ParseFailure) throws
  {
    #expect(try AnswerWire.decoded(AnswerWire.encoded(.failure(failure))) == .failure(failure))
  }

  @Test func `may be cut off anywhere`() throws {
    let bytes = AnswerWire.encoded(.success(sample))
    for end in bytes.indices {
      #expect(throws: WireError.self) { try AnswerWire.decoded(Array(bytes[..<end])) }
    }
    #expect(throws: WireError.self) { try AnswerWire.decoded(bytes + [0]) }
  }

  /// Whatever it is, it is an error, or an answer within the limits.
  @Test(arguments: 0..<16 as Range<UInt64>) func `may be anything`(seed: UInt64) throws {
    var random = Random(state: seed)
    let good = AnswerWire.encoded(.success(sample))
    var understood = 0
    for _ in 0..<4000 {
      var bytes = random.below(2) == 0 ? good : (0..<random.below(200)).map { _ in UInt8(random.below(256)) }
      for _ in 0..<random.below(4) where !bytes.isEmpty { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
      guard case .success(let answer) = try? AnswerWire.decoded(bytes) else { continue }
      understood += 1
      #expect(answer.profiles.count <= AnswerLimits.profiles)
      #expect(answer.profiles.allSatisfy { $0.stacks.count <= AnswerLimits.stacks && $0.stride >= 1 })
      #expect(answer.profiles.flatMap(\.stacks).allSatisfy { $0.frames.count <= AnswerLimits.frames && $0.count >= 0 })
    }
    #expect(understood > 0, "some damage does not matter")
  }

  /// Of a profile too large for an answer the largest stacks are there, and the sum is right.
  @Test func `is bounded, and adds up`() throws {
    var profile = ParsedProfile(name: "file")
    for index in 0..<300 {
      let frames = (0..<140).map { "function \(index) \($0) " + String(repeating: "x", count: 600) }
      profile.stacks.append(.init(frames: frames, count: 1000 - index))
    }
    var answer = ParseAnswer()
    answer.profiles = [profile]
    let bytes = AnswerWire.encoded(.success(answer))
    #expect(bytes.count <= AnswerLimits.bytes)
    let read = try #require(try AnswerWire.decoded(bytes).get().profiles.first)
    #expect(!read.stacks.isEmpty && read.stacks.count < 300)
    #expect(read.stacks.reduce(read.others) { $0 + $1.count } == profile.stacks.reduce(0) { $0 + $1.count })
    #expect(read.stacks[0].frames.count == AnswerLimits.frames)
    #expect(read.stacks[0].frames.allSatisfy { $0.utf8.count <= AnswerLimits.frame })
  }
}

@Suite struct `Copied stacks on their way to the helper` {
  private let groups = [
    CopiedStacks.Group(
      copies: [
        CopiedStack(registers: Array(1...17), bytes: [1, 2, 3], interpreted: ["load app.py:7"]),
        CopiedStack(registers: Array(18...34), bytes: []),
      ], descriptors: [3, 7, .max]),
    CopiedStacks.Group(copies: [], descriptors: []),
  ]

  @Test func `are what was copied`() throws {
    #expect(try CopiedStacks.decoded(CopiedStacks.encoded(groups).bytes) == groups)
  }

  @Test func `may be cut off anywhere, or be anything`() throws {
    let bytes = CopiedStacks.encoded([groups[0]]).bytes
    for end in bytes.indices.dropFirst() {
      #expect(throws: WireError.self) { try CopiedStacks.decoded(Array(bytes[..<end])) }
    }
    var random = Random(state: 3)
    for _ in 0..<20_000 { _ = try? CopiedStacks.decoded((0..<random.below(300)).map { _ in UInt8(random.below(256)) }) }
  }

  @Test func `are those for which there is room, and the others are counted`() throws {
    let stack = CopiedStack(registers: [], bytes: [UInt8](repeating: 7, count: 16 << 10))
    let many = [CopiedStacks.Group](repeating: .init(copies: [stack], descriptors: [1, 2]), count: 1000)
    let (bytes, others) = CopiedStacks.encoded(many)
    #expect(bytes.count <= CopiedStacks.mostBytes)
    let sent = try CopiedStacks.decoded(bytes).count
    #expect(sent > 700 && others == 2 * (1000 - sent))
  }
}

@Suite struct `A question to the helper` {
  private func messages() -> [ParseMessage] {
    var job = ParseJob(.table(4711))
    (job.limits.samples, job.hasPerfMap, job.mappingCount) = (17, true, 3)
    return [
      .file(path: "/usr/bin/app"), .job(job), .job(ParseJob(.bytes(99))), .job(ParseJob(.file)),
      .job(ParseJob(.stacks(77))),
      .bytes([1, 2, 3]),
    ]
  }

  @Test func `is what was asked`() throws {
    for message in messages() { #expect(try ParseMessage(message.encoded()) == message) }
  }

  @Test func `may be cut off anywhere, or be anything`() throws {
    for message in messages() {
      let bytes = message.encoded()
      if case .bytes = message { continue }
      for end in bytes.indices { #expect(throws: WireError.self) { try ParseMessage(Array(bytes[..<end])) } }
    }
    var random = Random(state: 1)
    for _ in 0..<20_000 { _ = try? ParseMessage((0..<random.below(60)).map { _ in UInt8(random.below(256)) }) }
  }
}
