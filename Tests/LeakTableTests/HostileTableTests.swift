// SPDX-License-Identifier: Apache-2.0
// Tables that are damaged, or that lie. Whatever is in them costs an error, and nothing else.

import Foundation
import LeakTable
import Linux
import Synchronization
import TestSupport
import Testing

/// A table of two stacks and three values, and where things are in it.
private struct Made {
  var words = [UInt64](repeating: 0, count: 1 << 13)
  static let magic: UInt64 = 0x464f_5250_4b41_454c
  static let entries = 4096
  static let stacks = 1536

  init() {
    words[0] = Self.magic
    words[1] = 1 | UInt64(getpid()) << 32
    words[2] = UInt64(words.count * 8)
    words[4] = 4096
    words[5] = UInt64(Self.stacks * 8)
    words[6] = UInt64((Self.entries - Self.stacks) * 8)
    words[7] = UInt64(Self.entries * 8)
    words[8] = 128 | 64 << 32
    words[9] = 32 | UInt64((words.count - Self.entries) / 4) << 32
    words[16] = 1
    words[24] = 12 * 8
    words[32] = 32
    // A profile "file".
    words[512] = 1
    words[516] = 0x656c_6966
    // No stack, and two of two frames and one.
    words[Self.stacks + 4] = 2
    words[Self.stacks + 5] = 0x1111
    words[Self.stacks + 6] = 0x2222
    words[Self.stacks + 8] = 1
    words[Self.stacks + 9] = 0x3333
    for (index, stack) in [3, 3, 7].enumerated() {
      words[Self.entries + index * 4] = 1 << 32 | UInt64(stack)
      words[Self.entries + index * 4 + 1] = UInt64(index)
      words[Self.entries + index * 4 + 2] = 1 << 32 | UInt64(20 + index)
    }
  }
}

@Suite struct `A table` {
  @Test func `that is whole says who holds what`() throws {
    let snapshot = try TableSnapshot(words: Made().words)
    #expect(snapshot.profiles.map(\.name) == ["file"])
    #expect(
      snapshot.profiles[0].groups == [
        .init(stack: [0x1111, 0x2222], count: 2, descriptors: [20, 21]),
        .init(stack: [0x3333], count: 1, descriptors: [22]),
      ])
    let memfd = try Memfd(words: Made().words)
    let table = try SharedTable(pid: getpid(), descriptor: memfd.number)
    #expect(try table.snapshot(ownedBy: UInt32(getpid())) == snapshot)
  }

  @Test(
    arguments: [
      ("no magic", 0, 1), ("a later version", 1, 2), ("larger than it is", 2, 1 << 20),
      ("profiles before the header's end", 4, 8), ("profiles beyond the end", 4, 1 << 16 + 8),
      ("profiles at a negative place", 4, .max), ("stacks at no multiple of 8", 5, 12_289),
      ("stacks at a negative place", 5, UInt64.max - 7), ("stacks that end beyond the end", 6, 1 << 40),
      ("entries at a negative place", 7, UInt64(bitPattern: -4096)), ("profiles of another size", 8, 64 | 64 << 32),
      ("entries of another size", 9, 0 | 1 << 32), ("more entries than there is room for", 9, 32 | 1 << 63),
      ("more profiles than it can have", 16, 65), ("more stacks than it can have", 24, 1 << 41),
      ("half a word of stacks", 24, 97), ("more entries than it can have", 32, 0xffff_ffff),
      ("a stack beyond the end", Made.entries, 1 << 32 | 13),
      ("the last stack there can be", Made.entries, 0xffff_ffff),
      ("a stack of endless depth", Made.stacks + 4, 0xffff_ffff),
      ("a stack that ends beyond the end", Made.stacks + 8, 9),
      ("a profile that is not there", Made.entries + 3, 1), ("an entry that stands for none", Made.entries + 2, 7),
      ("an entry that stands for too many", Made.entries + 2, .max),
    ] as [(String, Int, UInt64)]) func `that says`(what: String, place: Int, value: UInt64) throws
  {
    var words = Made().words
    words[place] = value
    #expect(throws: LeakTableError.self) { try TableSnapshot(words: words) }
    let memfd = try Memfd(words: words)
    #expect(throws: LeakTableError.self) {
      try SharedTable(pid: getpid(), descriptor: memfd.number).snapshot()
    }
  }

  /// The chain is the writer's: nobody who reads follows it.
  @Test func `whose stacks refer to each other in a circle is read all the same`() throws {
    var words = Made().words
    words[Made.stacks + 3] |= 7 << 32
    words[Made.stacks + 7] |= 3 << 32
    #expect(try TableSnapshot(words: words) == TableSnapshot(words: Made().words))
  }

  @Test func `that ends anywhere is refused`() throws {
    let words = Made().words
    for count in stride(from: 0, to: words.count, by: 61) {
      #expect(throws: LeakTableError.self) { try TableSnapshot(words: Array(words[..<count])) }
    }
  }

  @Test func `that can still change its size is not read`() throws {
    for seals in [0, 2, 4] as [CInt] {
      let memfd = try Memfd(words: Made().words, seals: seals)
      #expect(throws: LeakTableError.isNoTable(reason: "its size is not sealed")) {
        _ = try SharedTable(pid: getpid(), descriptor: memfd.number)
      }
    }
    for size in [0, 4096, 65_535] {
      let memfd = try Memfd(words: Made().words, size: size)
      #expect(throws: LeakTableError.isNoTable(reason: "it has \(size) bytes")) {
        _ = try SharedTable(pid: getpid(), descriptor: memfd.number)
      }
    }
  }

  @Test func `is nothing else that has its place`() throws {
    let file = TemporaryFile("LEAKPROF")
    let name = "/dev/shm/fdwatch-\(getpid())"
    let shared = unsafe open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    unsafe unlink(name)
    var ends: [CInt] = [0, 0]
    unsafe pipe(&ends)
    let paths: [String] = [file.path, "/dev/zero", "/", "/proc/self/maps"]
    let others = paths.map { path in unsafe open(path, O_RDONLY | O_CLOEXEC) } + [ends[0], shared]
    defer { for other in others + [ends[1]] { close(other) } }
    for other in others {
      #expect(throws: LeakTableError.self) { _ = try SharedTable(pid: getpid(), descriptor: other) }
    }
    #expect(throws: LeakTableError.gone) { _ = try SharedTable(pid: getpid(), descriptor: 999_999) }
  }
}

/// Seeded: the same on every machine.
private struct Random {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

  /// Changes some words, as damage and malice would: mostly where it matters.
  mutating func damage(_ words: inout [UInt64]) {
    for _ in 0...below(4) {
      let place =
        switch below(4) {
        case 0: below(40)
        case 1: Made.stacks + below(12)
        case 2: Made.entries + below(12)
        default: below(words.count)
        }
      switch below(5) {
      case 0: words[place] = next()
      case 1: words[place] ^= 1 << next() % 64
      case 2: words[place] = 0 &- next() % 4096
      case 3: words[place] = UInt64(below(1 << 17))
      default: words[place] &+= 1 << 32
      }
    }
  }
}

@Suite struct `Damage of any kind` {
  @Test(arguments: 0..<8 as Range<UInt64>) func `costs an error at most`(seed: UInt64) throws {
    var random = Random(state: seed)
    var read = 0
    for _ in 0..<4000 {
      var words = Made().words
      random.damage(&words)
      if random.below(8) == 0 { words.removeLast(random.below(words.count)) }
      do throws(LeakTableError) {
        let snapshot = try TableSnapshot(words: words)
        read += 1
        #expect(snapshot.profiles.count <= 64)
      } catch {}
    }
    #expect(read > 0, "some damage does not matter")
  }

  @Test func `costs no more while it is done as we read`() throws {
    let memfd = try Memfd(words: Made().words)
    let isOver = Flag()
    let number = memfd.number
    nonisolated(unsafe) let target = memfd
    let vandal = Thread {
      var random = Random(state: 1)
      while !isOver.value.load(ordering: .relaxed) {
        var words = Made().words
        random.damage(&words)
        unsafe target.write(words, at: 0)
      }
    }
    vandal.start()
    defer {
      isOver.value.store(true, ordering: .relaxed)
      while !vandal.isFinished { sched_yield() }
    }
    var (read, refused) = (0, 0)
    while read + refused < 20_000 || read == 0 || refused == 0 {
      do throws(LeakTableError) {
        _ = try SharedTable(pid: getpid(), descriptor: number).snapshot()
        read += 1
      } catch { refused += 1 }
    }
  }
}

private final class Flag: Sendable {
  let value = Atomic(false)
}
