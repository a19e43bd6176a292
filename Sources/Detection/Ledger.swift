// SPDX-License-Identifier: Apache-2.0
// The descriptors that are open, in 24 bytes each.

import Descriptors

/// What is remembered of one open descriptor.
struct LedgerEntry: Sendable {
  var number: Int32
  /// The lower half of the inode: tells sockets apart, and a file that was renamed from one that was reopened.
  var inode: UInt32
  /// When it was opened, or entered its TCP state, in seconds since the watch began.
  var born: Double
  var classIndex: UInt16
  var kind: Kind
  var marks: Marks

  struct Marks: OptionSet, Sendable {
    let rawValue: UInt8
    /// Open before the watch began: its age is at least what we saw.
    static let isInitial = Marks(rawValue: 1)
    /// Its file offset was seen to move.
    static let hasMoved = Marks(rawValue: 2)
    /// Data waits to be read.
    static let hasUnread = Marks(rawValue: 4)
    static let isCloseWait = Marks(rawValue: 8)
    /// Stands for the same open file under another name. Only during the census that saw it.
    static let isRenamed = Marks(rawValue: 16)
    /// A file that has no name any more.
    static let isDeleted = Marks(rawValue: 32)
  }
}

extension LedgerEntry {
  /// Goes along where classes were brought together.
  mutating func follow(_ remap: [UInt16: UInt16]) { classIndex = remap[classIndex] ?? classIndex }
}

/// All open descriptors, ascending by number.
///
/// A census names a few changes among many descriptors: they are merged in one pass.
struct Ledger: Sendable {
  private(set) var entries: [LedgerEntry] = []

  mutating func update(_ index: Int, _ body: (inout LedgerEntry) -> Void) { body(&entries[index]) }

  mutating func updateAll(_ body: (inout LedgerEntry) -> Void) {
    for index in entries.indices { body(&entries[index]) }
  }

  mutating func clearRenamed() {
    for index in entries.indices { entries[index].marks.remove(.isRenamed) }
  }

  func index(of number: Int32) -> Int? {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low].number == number ? low : nil
  }

  /// Removes the numbers and inserts the new entries, both ascending.
  /// - Returns: the entries that were removed.
  mutating func apply(closed: [Int32], opened: [LedgerEntry]) -> [LedgerEntry] {
    if closed.isEmpty, opened.isEmpty { return [] }
    var removed: [LedgerEntry] = []
    removed.reserveCapacity(closed.count)
    var kept: [LedgerEntry] = []
    kept.reserveCapacity(entries.count + opened.count)
    var nextClosed = closed.makeIterator()
    var nextOpened = opened.makeIterator()
    var closing = nextClosed.next()
    var opening = nextOpened.next()
    for entry in entries {
      while let number = closing, number < entry.number { closing = nextClosed.next() }
      while let new = opening, new.number < entry.number {
        kept.append(new)
        opening = nextOpened.next()
      }
      let isReplaced = opening?.number == entry.number
      if closing == entry.number || isReplaced { removed.append(entry) } else { kept.append(entry) }
    }
    while let new = opening {
      kept.append(new)
      opening = nextOpened.next()
    }
    entries = kept
    return removed
  }
}

extension Ledger: Storable {
  static let blank = Ledger()

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&entries)
    guard zip(entries, entries.dropFirst()).allSatisfy({ $0.number < $1.number }) else { throw .damaged }
  }
}
