// SPDX-License-Identifier: Apache-2.0
// Where things are in a table: docs/leakprofile-format.md. Every number is checked before it is used.

/// The header of a table, found to be one that can be read. Places and sizes in bytes.
struct Layout: Equatable {
  var pid: UInt32
  var size: Int
  var profiles, profileCount: Int
  var stacks, stacksUsed: Int
  var entries, entriesUsed: Int
  var lostStacks: UInt64

  static let headerWords = 48
  static let profileWords = 16
  static let entryWords = 4
  static let mostProfiles = 64
  /// Larger ones are not read.
  static let sizes = 1 << 16...1 << 30
  /// No process has more descriptors, as fs.nr_open is at first; and 32 MiB to copy, in a process of its own.
  static let mostEntries = 1 << 20
  static let mostStackBytes = 32 << 20
  /// `LEAKPROF`.
  private static let magic: UInt64 = 0x464f_5250_4b41_454c

  /// - Parameters:
  ///   - words: the first ``headerWords`` of the table.
  ///   - size: of the whole, as the kernel tells it.
  init(_ words: ArraySlice<UInt64>, size: Int) throws(LeakTableError) {
    guard words.count >= Self.headerWords else { throw .damaged("it ends in its header") }
    func word(_ place: Int) -> UInt64 { words[words.startIndex + place / 8] }
    func low(_ place: Int) -> UInt32 { UInt32(truncatingIfNeeded: word(place)) }
    func high(_ place: Int) -> UInt32 { UInt32(truncatingIfNeeded: word(place) >> 32) }
    guard word(0) == Self.magic else { throw .hasNoMagic }
    guard low(8) == 1 else { throw .version(low(8)) }
    guard word(16) == UInt64(size) else { throw .damaged("it has \(size) bytes and says \(word(16))") }
    guard low(64) == Self.profileWords * 8, low(72) == Self.entryWords * 8 else {
      throw .damaged("its records have other sizes")
    }
    (self.size, pid) = (size, high(8))

    profiles = try Self.place(word(32), size, "profiles")
    profileCount = Int(low(128))
    guard profileCount <= min(Int(high(64)), Self.mostProfiles), profileCount * 128 <= size - profiles else {
      throw .damaged("it has \(profileCount) profiles")
    }
    stacks = try Self.place(word(40), size, "stacks")
    guard word(48) <= UInt64(size - stacks), word(192) <= word(48), word(192) % 8 == 0 else {
      throw .damaged("its stacks end beyond its end")
    }
    stacksUsed = Int(word(192))
    guard stacksUsed <= Self.mostStackBytes else {
      throw .tooLarge("its stacks have \(stacksUsed) bytes, and \(Self.mostStackBytes) are read")
    }
    entries = try Self.place(word(56), size, "entries")
    entriesUsed = Int(low(256))
    guard UInt64(high(72)) <= UInt64(size - entries) / 32, entriesUsed <= Int(high(72)) else {
      throw .damaged("it has \(entriesUsed) entries")
    }
    guard entriesUsed <= Self.mostEntries else {
      throw .tooLarge("it has \(entriesUsed) entries, and \(Self.mostEntries) are read")
    }
    lostStacks = word(320)
  }

  private static func place(_ number: UInt64, _ size: Int, _ name: String) throws(LeakTableError) -> Int {
    guard number >= UInt64(headerWords * 8), number <= UInt64(size), number % 8 == 0 else {
      throw .damaged("its \(name) are said to be at \(number)")
    }
    return Int(number)
  }
}
