// SPDX-License-Identifier: Apache-2.0
// What a table says: from copies of its parts to profiles. Pure, and with an answer for whatever is in them.

/// The values that a process holds, by profile and stack.
package struct TableSnapshot: Sendable, Equatable {
  /// A stack, and what it accounts for.
  package struct Group: Sendable, Equatable {
    /// Addresses within the calls, innermost frame first. Empty where it is not known.
    package var stack: [UInt64]
    /// Scaled, where only some values are recorded.
    package var count = 0
    package var descriptors: [Int32] = []

    package init(stack: [UInt64], count: Int = 0, descriptors: [Int32] = []) {
      (self.stack, self.count, self.descriptors) = (stack, count, descriptors)
    }
  }

  package struct Profile: Sendable, Equatable {
    package var name: String
    package var groups: [Group] = []
    /// Values that did not fit in the table since it was made.
    package var lostValues: UInt64
    /// How many entries it has, unscaled.
    package var entries = 0
    /// Held by stacks that are not among the groups.
    package var others = 0
  }

  package var profiles: [Profile]
  /// It is what the table held at one moment. Else entries came or went while it was read; each is whole all the same,
  /// and none is there twice.
  package var isExact: Bool
  /// Stacks that did not fit.
  package var lostStacks: UInt64

  private static let mostFrames = 256
  private static let mostEvery = 1 << 20

  /// - Parameters:
  ///   - mostGroups: of each profile.
  ///   - words: gives words of the table: of stacks only those that are asked for are read.
  init(
    _ layout: Layout, profiles records: ArraySlice<UInt64>, entries: [UInt64], isExact: Bool, mostGroups: Int,
    words: (_ place: Int, _ count: Int) throws(LeakTableError) -> ArraySlice<UInt64>
  ) throws(LeakTableError) {
    self.isExact = isExact
    lostStacks = layout.lostStacks
    profiles = (0..<layout.profileCount).map { index in
      let start = records.startIndex + index * Layout.profileWords
      let record = records[start..<start + Layout.profileWords]
      return Profile(name: Self.name(record.dropFirst(4)), lostValues: record[start + 1])
    }
    let largest = try countProfiles(entries, mostGroups)
    var index: [UInt64: Int] = [:]
    for place in stride(from: 0, to: entries.count, by: Layout.entryWords) {
      let stack = UInt32(truncatingIfNeeded: entries[place])
      if stack == 0 { continue }
      let profile = Int(UInt32(truncatingIfNeeded: entries[place + 3]))
      let key = UInt64(profile) << 32 | UInt64(stack)
      let every = Int(entries[place + 2] >> 32)
      if let largest, !largest.contains(key) {
        profiles[profile].others += every
        continue
      }
      let group: Int
      if let known = index[key] {
        group = known
      } else {
        group = profiles[profile].groups.count
        profiles[profile].groups.append(Group(stack: try Self.stack(stack, layout, words)))
        index[key] = group
      }
      profiles[profile].groups[group].count += every
      let descriptor = Int32(truncatingIfNeeded: entries[place + 2])
      if descriptor >= 0 { profiles[profile].groups[group].descriptors.append(descriptor) }
    }
  }

  /// Checks each entry and counts those of each profile.
  /// - Returns: the groups that hold most, by profile and stack; `nil` where all will do. Sorted in place: of a million
  ///   entries each may have a stack of its own.
  private mutating func countProfiles(_ entries: [UInt64], _ mostGroups: Int) throws(LeakTableError) -> Set<UInt64>? {
    var keys: [UInt64] = []
    for place in stride(from: 0, to: entries.count, by: Layout.entryWords) {
      let stack = UInt32(truncatingIfNeeded: entries[place])
      if stack == 0 { continue }
      let profile = Int(UInt32(truncatingIfNeeded: entries[place + 3]))
      guard profile < profiles.count else { throw .damaged("an entry is of profile \(profile)") }
      let every = Int(entries[place + 2] >> 32)
      guard 1...Self.mostEvery ~= every else { throw .damaged("an entry stands for \(every) values") }
      profiles[profile].entries += 1
      if mostGroups != .max { keys.append(UInt64(profile) << 32 | UInt64(stack)) }
    }
    if mostGroups == .max { return nil }
    keys.sort()
    // Runs of equal keys. Scaled values count as one here: which groups are large is not a matter of that.
    var runs: [(key: UInt64, count: Int)] = []
    var start = 0
    while start < keys.count {
      var end = start
      while end < keys.count, keys[end] == keys[start] { end += 1 }
      runs.append((keys[start], end - start))
      start = end
    }
    if runs.count <= mostGroups { return nil }
    var chosen: Set<UInt64> = []
    var first = 0
    while first < runs.count {
      let profile = runs[first].key >> 32
      let last = runs[first...].firstIndex { $0.key >> 32 != profile } ?? runs.count
      for run in runs[first..<last].sorted(by: { $0.count > $1.count }).prefix(mostGroups) { chosen.insert(run.key) }
      first = last
    }
    return chosen
  }

  /// A stack's number is its place in words.
  private static func stack(
    _ number: UInt32, _ layout: Layout, _ words: (Int, Int) throws(LeakTableError) -> ArraySlice<UInt64>
  ) throws(LeakTableError) -> [UInt64] {
    let (place, count) = (Int(number), layout.stacksUsed / 8)
    guard place + 2 <= count else { throw .damaged("an entry has stack \(number)") }
    let head = try words(layout.stacks + place * 8, 2)
    let depth = Int(UInt32(truncatingIfNeeded: head[head.startIndex + 1]))
    guard depth <= mostFrames, place + 2 + depth <= count else {
      throw .damaged("stack \(number) has \(depth) frames")
    }
    return Array(try words(layout.stacks + (place + 2) * 8, depth))
  }

  /// Up to the first zero.
  private static func name(_ words: ArraySlice<UInt64>) -> String {
    let bytes = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}

extension TableSnapshot {
  /// From a table that does not change, such as a saved one.
  package init(words: [UInt64]) throws(LeakTableError) {
    let layout = try Layout(words.prefix(Layout.headerWords), size: words.count * 8)
    func part(_ place: Int, _ count: Int) -> ArraySlice<UInt64> { words[place / 8..<place / 8 + count] }
    try self.init(
      layout, profiles: part(layout.profiles, layout.profileCount * Layout.profileWords),
      entries: Array(part(layout.entries, layout.entriesUsed * Layout.entryWords)), isExact: true, mostGroups: .max
    ) { (place, count) in part(place, count) }
  }
}
