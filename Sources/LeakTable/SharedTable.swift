// SPDX-License-Identifier: Apache-2.0
// A table in another process, which goes on writing it: stopped, hanging or busy, it is not asked.

import Linux

/// The table of a process, open for reading.
package struct SharedTable: ~Copyable {
  private let memory: SharedMemory

  /// What the link of its descriptor reads.
  package static let target = "/memfd:leakprofile (deleted)"

  /// Opens one, once it is known to be a memfd that keeps its size.
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

  /// One that was opened and checked by somebody else.
  package init(checked file: consuming Descriptor) throws(LeakTableError) {
    do throws(SharedMemory.Refusal) {
      memory = try SharedMemory(checked: file, sizes: Layout.sizes)
    } catch { throw LeakTableError(error) }
  }

  /// Its open file, to be given to whoever reads it.
  package var number: CInt { memory.file.number }

  /// So many looks are taken for one at which nothing changed.
  private static let mostLooks = 4

  /// What it holds.
  /// - Parameters:
  ///   - pid: of the process, as it knows itself: a table of its parent's is refused. 0 for whatever it says.
  ///   - mostGroups: of each profile, so many stacks that hold most; what the others hold is added up.
  package func snapshot(ownedBy pid: UInt32 = 0, mostGroups: Int = .max) throws(LeakTableError) -> TableSnapshot {
    let first = try Layout(words(at: 0, count: Layout.headerWords)[...], size: memory.size)
    if pid != 0, first.pid != pid { throw .belongs(toPid: first.pid) }
    // Nothing was ever copied of what was not there then: it is 0, and 0 is free.
    var entries = [UInt64](repeating: 0, count: first.entriesUsed * Layout.entryWords)
    var looks = 0
    var changes = 0
    repeat {
      looks += 1
      changes = try look(at: first.entries, &entries)
      // Two looks that agree: so it was at the moment between them.
    } while changes > 0 && looks < Self.mostLooks
    if changes > 0 { try dropRepeated(&entries, at: first.entries) }
    // What an entry refers to was there before it.
    let layout = try Layout(words(at: 0, count: Layout.headerWords)[...], size: memory.size)
    guard (layout.stacks, layout.profiles, layout.entries) == (first.stacks, first.profiles, first.entries) else {
      throw .damaged("its header changes")
    }
    let records = try words(at: layout.profiles, count: layout.profileCount * Layout.profileWords)
    return try TableSnapshot(
      layout, profiles: records[...], entries: entries, isExact: changes == 0, mostGroups: mostGroups
    ) { (place, count) throws(LeakTableError) in try words(at: place, count: count)[...] }
  }

  private func words(at place: Int, count: Int) throws(LeakTableError) -> [UInt64] {
    do throws(SystemCallError) { return try memory.words(at: place, count: count) } catch { throw .failed(error) }
  }

  /// Words that are read at a time: 64 KiB.
  private static let chunk = 8192
  /// So often an entry is read anew that changes while it is read; then it is left out of this look.
  private static let mostTries = 64

  /// Copies the entries whose first word is another than in the copy.
  /// - Returns: how many those were.
  private func look(at place: Int, _ entries: inout [UInt64]) throws(LeakTableError) -> Int {
    var changes = 0
    for start in stride(from: 0, to: entries.count, by: Self.chunk) {
      let count = min(Self.chunk, entries.count - start)
      var before = try words(at: place + start * 8, count: count)
      var wanted = stride(from: 0, to: count, by: Layout.entryWords).filter { before[$0] != entries[start + $0] }
      if wanted.isEmpty { continue }
      changes += wanted.count
      // The first word of an entry changes whenever the others do, and never comes back to what it was. So an entry is
      // whole if it reads the same before and after the others were read: by calls of their own, as within one call
      // the order is the kernel's, which copies words whole.
      var middle = try words(at: place + start * 8, count: count)
      for turn in 1...Self.mostTries where !wanted.isEmpty {
        let after = try words(at: place + start * 8, count: count)
        wanted.removeAll { at in
          guard before[at] == after[at], middle[at] == after[at] else {
            if turn == Self.mostTries { entries[start + at] = 0 }
            return false
          }
          for word in 0..<Layout.entryWords { entries[start + at + word] = middle[at + word] }
          return true
        }
        (before, middle) = (middle, after)
      }
    }
    return changes
  }

  /// A value that was removed and added again while we looked may have been seen in both places: the later counts.
  private func dropRepeated(_ entries: inout [UInt64], at place: Int) throws(LeakTableError) {
    func isUsed(_ entry: Int) -> Bool { UInt32(truncatingIfNeeded: entries[entry]) != 0 }
    // By their places alone, as there may be a million.
    var order = stride(from: 0, to: entries.count, by: Layout.entryWords).filter(isUsed).map(UInt32.init)
    order.sort { (entries[Int($0) + 1], entries[Int($0) + 3]) < (entries[Int($1) + 1], entries[Int($1) + 3]) }
    guard var kept = order.first.map(Int.init) else { return }
    for entry in order.dropFirst().map(Int.init) {
      guard entries[entry + 1] == entries[kept + 1], entries[entry + 3] == entries[kept + 3] else {
        kept = entry
        continue
      }
      let isKeptCurrent = try words(at: place + kept * 8, count: 1)[0] == entries[kept]
      entries[isKeptCurrent ? entry : kept] = 0
      if !isKeptCurrent { kept = entry }
    }
  }
}
