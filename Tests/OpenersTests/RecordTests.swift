// SPDX-License-Identifier: Apache-2.0
// Records of stacks without a kernel that makes them, and what is decided by them: no privileges.

import Foundation
import Openers
import Parsing
import TestSupport
import Testing

/// The bytes of a record.
private func record(
  _ fingerprint: UInt64, call: UInt32 = 257, stack: [UInt8] = [UInt8](repeating: 7, count: 64), claiming: Int? = nil
) -> [UInt8] {
  func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    (0..<number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }
  var record = bytes(UInt64(1)) + bytes(fingerprint) + bytes(UInt32(17)) + bytes(call)
  for register in 0..<21 as Range<UInt64> { record += bytes(register) }
  return record + bytes(UInt32(claiming ?? stack.count)) + bytes(UInt32(0)) + stack
}

@Suite struct `A record of a stack` {
  @Test func `is read as it was written`() throws {
    let read = try #require(StackRecord(record(42, stack: [1, 2, 3])))
    #expect(read.fingerprint == 42 && read.call == 257 && read.stack.bytes == [1, 2, 3])
    // rax rdx rcx rbx rsi rdi rbp rsp r8 to r15 rip, by their places in struct pt_regs.
    #expect(read.stack.registers == [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16])
  }

  @Test func `is none where it is cut off, claims more than there is, or has no fingerprint`() {
    let whole = record(42)
    for end in whole.indices { #expect(StackRecord(Array(whole[..<end])) == nil) }
    #expect(StackRecord(record(42, claiming: 65)) == nil)
    #expect(StackRecord(record(42, stack: [UInt8](repeating: 0, count: 1 << 16))) == nil)
    #expect(StackRecord(record(0)) == nil)
  }

  @Test func `is walked by the files of its process, and named`() throws {
    let program = try LeakProgram()
    let directory = try TemporaryDirectory()
    let path = directory.path + "/record"
    try program.run("record \(path)")
    let read = try #require(StackRecord(Array(Data(contentsOf: URL(fileURLWithPath: path)))))
    let group = OpenedGroup(call: "openat", group: .init(copies: [read.stack], descriptors: [7, 9]))
    let stacks = try OpenerStacks([group], of: ProcessKey(living: program.pid), by: .built())
    let frames = try #require(stacks.stacks.first?.frames)
    #expect(Array(frames.prefix(3)) == ["record", "recorded_caller", "main"])
    #expect(stacks.stacks.first?.descriptors == [7, 9])
  }

  @Test func `costs the process an answer, and nobody else anything, whatever its stack holds`() throws {
    let program = try LeakProgram()
    let key = try ProcessKey(living: program.pid)
    // Registers and words that lead anywhere: into code, out of the stack, in a circle.
    let directory = try TemporaryDirectory()
    try program.run("record \(directory.path)/record")
    let good = try #require(StackRecord(Array(Data(contentsOf: URL(fileURLWithPath: directory.path + "/record")))))
    var groups: [OpenedGroup] = []
    for seed in 0..<60 as Range<Int> {
      var copy = good.stack
      for place in stride(from: seed, to: copy.bytes.count, by: 61) {
        copy.bytes[place] = UInt8(truncatingIfNeeded: place &* seed)
      }
      copy.registers[seed % 17] = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
      if seed % 5 == 0 { copy.bytes = [] }
      groups.append(OpenedGroup(call: "openat", group: .init(copies: [copy], descriptors: [Int32(seed)])))
    }
    let parser = Parser.built()
    let stacks = try OpenerStacks(groups, of: key, by: parser)
    #expect(stacks.total == 60)
    #expect(stacks.stacks.allSatisfy { !$0.frames.isEmpty && $0.frames.count <= 128 })
    let again = try OpenerStacks(
      [OpenedGroup(call: "openat", group: .init(copies: [good.stack], descriptors: [1]))], of: key, by: parser)
    #expect(again.stacks.first?.frames.first == "record")
  }
}

@Suite struct `Copies of one fingerprint` {
  private func code() -> CodeBlocks {
    var code = CodeBlocks()
    code.add(0x40_0000..<0x50_0000)
    return code
  }

  private func words(_ words: UInt64...) -> [UInt8] {
    words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }

  @Test func `are one where no return address differs, and several where one does`() throws {
    var store = StackStore()
    for stack in [words(0x40_1000, 5), words(0x40_1000, 6), words(0x40_1000, 0x40_2000)] {
      #expect(store.add(try #require(StackRecord(record(42, stack: stack))), code()))
    }
    #expect(store.entries[42]?.copies.count == 2)
  }

  @Test func `are four at most`() throws {
    var store = StackStore()
    for index in 0..<100 as Range<UInt64> {
      #expect(store.add(try #require(StackRecord(record(42, stack: words(0x40_1000 + index)))), code()))
    }
    #expect(store.entries[42]?.copies.count == 4)
  }

  @Test func `are blamed for what they have in common only`() throws {
    let program = try LeakProgram()
    let directory = try TemporaryDirectory()
    try program.run("record \(directory.path)/record")
    let good = try #require(StackRecord(Array(Data(contentsOf: URL(fileURLWithPath: directory.path + "/record")))))
    // As if another had called the innermost two: the rest of its stack says nothing.
    var other = good.stack
    other.bytes = Array(other.bytes.prefix(64))
    let group = OpenedGroup(call: "openat", group: .init(copies: [good.stack, other], descriptors: [1]))
    let frames = try #require(
      OpenerStacks([group], of: ProcessKey(living: program.pid), by: .built()).stacks.first?.frames)
    #expect(frames.first == "record" && frames.last == "(several callers)", "\(frames)")
  }
}

@Suite struct `The stacks that are kept` {
  private func stack(_ key: UInt64) throws -> StackRecord {
    try #require(StackRecord(record(key, stack: [UInt8](repeating: 0, count: 16 << 10))))
  }

  @Test func `take 8 MiB at most, and make room for those that something open was opened by`() throws {
    var store = StackStore()
    var key: UInt64 = 1
    while store.add(try stack(key), CodeBlocks()) { key += 1 }
    #expect((400..<600).contains(key) && store.bytes <= 8 << 20)
    #expect(Set(store.keep([1, 2])) == Set(3..<key))
    #expect(store.add(try stack(key), CodeBlocks()))
    #expect(Set(store.entries.keys) == [1, 2, key])
  }
}

@Suite struct `A descriptor that is open at the end` {
  private func survivors(_ number: Int32, _ event: LastEvent, isKept: Bool = true) -> Survivors {
    Survivors([number], before: [3], latest: 900, listed: 1000, has: { _ in isKept }, event: { _ in event })
  }

  @Test func `was opened by the stack that was seen last`() {
    #expect(survivors(3, .init(time: 800, fingerprint: 9)).opened == [9: [3]])
    #expect(survivors(4, .init(time: 900, fingerprint: 9)).opened == [9: [4]])
  }

  @Test func `is not attributed where it may be another, or in use`() {
    #expect(survivors(3, .init(time: 0, fingerprint: 0)).before == [3])
    #expect(survivors(4, .init(time: 0, fingerprint: 0)).unseen == [4])
    #expect(survivors(3, .init(time: 800, fingerprint: 0)).unseen == [3], "closed, and open again")
    #expect(survivors(3, .init(time: 950, fingerprint: 9)).young == [3])
    #expect(survivors(3, .init(time: 800, fingerprint: 9), isKept: false).unkept == [3])
    #expect(
      survivors(3, .init(time: 1001, fingerprint: 0))
        == Survivors(
          [], before: [], latest: 0, listed: 0, has: { _ in true }, event: { _ in .init(time: 0, fingerprint: 0) }),
      "closed since it was listed")
  }
}
