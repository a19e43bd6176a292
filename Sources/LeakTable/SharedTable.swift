// SPDX-License-Identifier: Apache-2.0
// A table in another process, which goes on writing it: stopped, hanging or busy, it is not asked.

import Linux

/// The table of a process, mapped for reading.
package struct SharedTable: ~Copyable {
  private let memory: SharedMemory

  /// What the link of its descriptor reads.
  package static let target = "/memfd:leakprofile (deleted)"

  /// - Parameters:
  ///   - descriptor: its number in the process.
  ///   - processes: where procfs is mounted.
  package init(
    pid: Int32, descriptor: Int32, processes: String = "/proc"
  ) throws(LeakTableError) {
    do throws(SharedMemory.Refusal) {
      memory = try SharedMemory(path: "\(processes)/\(pid)/fd/\(descriptor)", sizes: Layout.sizes)
    } catch { throw LeakTableError(error) }
  }

  /// So many looks are taken for one at which nothing changed.
  private static let mostLooks = 4

  /// What it holds.
  /// - Parameter pid: of the process, as it knows itself: a table of its parent's is refused. 0 for whatever it says.
  package func snapshot(ownedBy pid: UInt32 = 0) throws(LeakTableError) -> TableSnapshot {
    let first = try Layout(memory.words(at: 0, count: Layout.headerWords)[...], size: memory.size)
    if pid != 0, first.pid != pid { throw .belongs(toPid: first.pid) }
    // Nothing was ever copied of what was not there then: it is 0, and 0 is free.
    var entries = [UInt64](repeating: 0, count: first.entriesUsed * Layout.entryWords)
    var looks = 0
    var changes = 0
    repeat {
      looks += 1
      changes = memory.update(&entries, at: first.entries, words: Layout.entryWords)
      // Two looks that agree: so it was at the moment between them.
    } while changes > 0 && looks < Self.mostLooks
    if changes > 0 { dropRepeated(&entries, at: first.entries) }
    // What an entry refers to was there before it.
    let layout = try Layout(memory.words(at: 0, count: Layout.headerWords)[...], size: memory.size)
    guard (layout.stacks, layout.profiles, layout.entries) == (first.stacks, first.profiles, first.entries) else {
      throw .damaged("its header changes")
    }
    return try TableSnapshot(
      layout, profiles: memory.words(at: layout.profiles, count: layout.profileCount * Layout.profileWords)[...],
      stacks: memory.words(at: layout.stacks, count: layout.stacksUsed / 8)[...], entries: entries,
      isExact: changes == 0)
  }

  /// A value that was removed and added again while we looked may have been seen in both places: the later counts.
  private func dropRepeated(_ entries: inout [UInt64], at place: Int) {
    struct Value: Hashable { var profile, key: UInt64 }
    var seen: [Value: Int] = [:]
    for entry in stride(from: 0, to: entries.count, by: Layout.entryWords)
    where UInt32(truncatingIfNeeded: entries[entry]) != 0 {
      let value = Value(profile: entries[entry + 3], key: entries[entry + 1])
      guard let other = seen.updateValue(entry, forKey: value) else { continue }
      let isOtherCurrent = memory.words(at: place + other * 8, count: 1)[0] == entries[other]
      if isOtherCurrent { seen[value] = other }
      entries[isOtherCurrent ? entry : other] = 0
    }
  }
}
