// SPDX-License-Identifier: Apache-2.0
// The census: what a process has open, as the difference to what it had open before.

import Descriptors
import Linux

/// What we know of one process's descriptors, in 24 bytes each, so that a census can say what changed.
///
/// No target is kept: a fingerprint tells whether a number still refers to what it did. Numbers that are new are looked
/// at in full; the others are only listed, unless the census is told to verify them.
package struct DescriptorTable: Sendable {
  var entries: [Entry] = []
  private var mounts = Mounts()
  /// Makes fingerprints unpredictable to whoever chooses the paths.
  private let seed = UInt64.random(in: .min ... .max)

  private let limit: CensusLimit

  package init(limit: CensusLimit = .none) { self.limit = limit }

  /// How many descriptors were open at the last census.
  package var count: Int { entries.count }

  /// How much of what was known before is looked at again.
  package enum Verification: Sendable, Comparable {
    /// Nothing: a number that is still there is taken to be the same. One list of the directory.
    case none
    /// Its link text: a number that was closed and reused for something else shows.
    case links
    /// Also its `fdinfo`: one that was reused for another eventfd or another file of the same path shows, and offsets.
    case deep
  }

  struct Entry {
    var number: Int32
    /// Of the link text.
    var fingerprint: UInt32
    /// The inode of a socket or pipe, an eventfd's id, or the lower half of another's inode. 0 if it was not read.
    var node: UInt32
    /// The lower half of the offset: enough to see that it moves.
    var position: UInt32
    var unread: UInt32 = 0
    var kind: Kind
    var lookup: SocketLookup = .due
    var state: TCPState = .close

    /// What the socket tables have told so far.
    enum SocketLookup: UInt8 { case due, inNoTable, otherFamily, tcp }
  }
}

// MARK: Taking a census

extension DescriptorTable {
  /// Enumerates the descriptors and fills the lists of `poll` with what changed.
  ///
  /// A descriptor that is closed between two calls of the walk counts as closed. If an error is thrown nothing has
  /// changed here: the next census starts from the same.
  package mutating func census(
    of process: inout ProcessDirectory, verifying verification: Verification, into poll: inout Poll
  ) throws(ProcfsError) {
    let numbers = try list(&process)
    if numbers.count > limit.descriptors { throw .tooManyDescriptors(limit.descriptors) }
    var walk = try Walk(process, verification, seed: seed, mounts: mounts, targetBytes: limit.targetBytes)
    var merged: [Entry] = []
    merged.reserveCapacity(numbers.count)
    var next = 0
    for number in numbers {
      while next < entries.count, entries[next].number < number {
        walk.closed.append(entries[next].number)
        next += 1
      }
      var known: Entry?
      if next < entries.count, entries[next].number == number {
        known = entries[next]
        next += 1
      }
      if let entry = try walk.look(at: number, known: known, process) { merged.append(entry) }
    }
    walk.closed.append(contentsOf: entries[next...].lazy.map(\.number))
    // An exit that overlaps the walk looks like a mass of closes, which would clear the worst of leaks.
    if !walk.closed.isEmpty || merged.count < numbers.count {
      let thread = process.table
      _ = try process.countOrExplain()
      // The thread whose table this was has gone, and another is followed now.
      if process.table != thread { return try census(of: &process, verifying: verification, into: &poll) }
    }

    entries = merged
    mounts = walk.mounts
    poll.isCensus = true
    poll.count = entries.count
    poll.closed = walk.closed
    poll.opened = walk.opened
    poll.moved = walk.moved
  }

  private func list(_ process: inout ProcessDirectory) throws(ProcfsError) -> [Int32] {
    var numbers: [Int32] = []
    numbers.reserveCapacity(entries.count)
    try process.list(into: &numbers, most: limit.descriptors)
    if numbers.isEmpty {
      try process.explainEmptyTable()
      // Had it only moved to another thread, then that one is followed now.
      try process.list(into: &numbers, most: limit.descriptors)
    }
    // The kernel lists them in order; a copy of a tree on a disk does not.
    if !zip(numbers, numbers.dropFirst()).allSatisfy(<) { numbers.sort() }
    return numbers
  }

  /// One walk over the descriptors that were listed.
  fileprivate struct Walk: ~Copyable {
    let fd: NumberedDirectory
    /// Opened when it is first needed: a census that finds nothing new does not need it.
    var fdinfo: NumberedDirectory?
    let verification: Verification
    let seed: UInt64
    var mounts: Mounts
    /// Left for the targets of what is new.
    var targetBytes: Int
    var closed: [Int32] = []
    var opened: [Poll.Opened] = []
    var moved: [Poll.Moved] = []

    init(
      _ process: borrowing ProcessDirectory, _ verification: Verification, seed: UInt64, mounts: Mounts,
      targetBytes: Int
    ) throws(ProcfsError) {
      fd = try process.openDirectory("fd")
      self.verification = verification
      self.seed = seed
      self.mounts = mounts
      self.targetBytes = targetBytes
    }

    /// What a number refers to now. `nil` if it was closed since it was listed.
    mutating func look(
      at number: Int32, known: Entry?, _ process: borrowing ProcessDirectory
    ) throws(ProcfsError) -> Entry? {
      if let known, verification == .none { return known }
      let seed = seed
      let link = try fd.reading("fd/\(number)") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in
        try fd.withLink(number) { Link($0, seed: seed, unless: known?.fingerprint) }
      }
      guard let link else {
        if known != nil { closed.append(number) }
        return nil
      }
      if let known, link.fingerprint == known.fingerprint {
        return verification == .deep ? try verifyDeep(known, link, process) : known
      }
      if known != nil { closed.append(number) }
      return try open(number, link, process)
    }
  }
}

extension DescriptorTable.Walk {
  /// What the text of a link tells.
  fileprivate struct Link {
    var fingerprint: UInt32
    /// Left out where the fingerprint is the one that is known: then nothing is new.
    var target: String?
    /// What stands between the brackets of `socket:[88123]`.
    var inode: UInt64?

    init(_ text: Span<UInt8>, seed: UInt64, unless known: UInt32?) {
      fingerprint = Link.fingerprint(text, seed: seed)
      if fingerprint == known { return }
      let target = String(repairing: text)
      self.target = target
      if let open = target.utf8.firstIndex(of: UInt8(ascii: "[")), target.utf8.last == UInt8(ascii: "]") {
        inode = UInt64(target[target.utf8.index(after: open)...].dropLast())
      }
    }

    /// FNV-1a (Fowler, Noll, Vo) over the bytes, begun at a secret and folded to 32 bits.
    private static func fingerprint(_ text: Span<UInt8>, seed: UInt64) -> UInt32 {
      var hash = 0xcbf2_9ce4_8422_2325 ^ seed
      for index in text.indices { hash = (hash ^ UInt64(text[index])) &* 0x100_0000_01b3 }
      return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
    }
  }

  /// A number that is new, or that refers to something else than it did.
  private mutating func open(
    _ number: Int32, _ link: Link, _ process: borrowing ProcessDirectory
  ) throws(ProcfsError) -> DescriptorTable.Entry? {
    var target = link.target ?? ""
    var kind = Kind(target: target)
    guard let info = try readInfo(number, kind, process) else { return nil }
    kind = Kind(target: target, flags: info.flags, position: info.position)
    let length = target.utf8.count
    if length > max(targetBytes, CensusLimit.cutTarget) {
      target = String(repairing: Array(target.utf8.prefix(CensusLimit.cutTarget)).span) + "..."
    }
    targetBytes -= min(targetBytes, length)
    var inode = link.inode ?? info.inode ?? 0
    if kind == .file, let mount = info.mountID, process.isLive, mounts.isLocal(mount, of: process) {
      // A directory opened without O_DIRECTORY, a named pipe, a device outside /dev.
      if let node = try? fd.node(number) {
        kind = Kind(refining: kind, with: node.type)
        inode = node.inode
      }
    }
    opened.append(
      Poll.Opened(
        number: number, target: target, inode: inode, flags: info.flags, position: info.position, kind: kind))
    return DescriptorTable.Entry(
      number: number, fingerprint: link.fingerprint, node: Self.node(kind, inode, info),
      position: UInt32(truncatingIfNeeded: info.position), kind: kind)
  }

  /// A number whose link reads as before: what `fdinfo` says decides whether it is the same.
  private mutating func verifyDeep(
    _ known: DescriptorTable.Entry, _ link: Link, _ process: borrowing ProcessDirectory
  ) throws(ProcfsError) -> DescriptorTable.Entry? {
    guard let info = try readInfo(known.number, known.kind, process) else {
      closed.append(known.number)
      return nil
    }
    let node = known.kind == .eventfd || info.inode != nil ? Self.node(known.kind, info.inode ?? 0, info) : known.node
    if node != known.node, known.node != 0, !known.kind.isSocket, known.kind != .pipe {
      closed.append(known.number)
      let text = try fd.reading("fd/\(known.number)") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in
        let seed = seed
        return try fd.withLink(known.number) { Link($0, seed: seed, unless: nil) }
      }
      guard let text else { return nil }
      return try open(known.number, text, process)
    }
    var entry = known
    let position = UInt32(truncatingIfNeeded: info.position)
    if position != known.position {
      moved.append(Poll.Moved(number: known.number, position: info.position))
      entry.position = position
    }
    return entry
  }

  /// Reads `fdinfo`, or answers without it where printing it would hold up the process.
  private mutating func readInfo(
    _ number: Int32, _ kind: Kind, _ process: borrowing ProcessDirectory
  ) throws(ProcfsError) -> DescriptorEssentials? {
    switch kind {
    case .eventpoll, .inotify, .fanotify, .ioUring:
      // A line for each watch, printed under the lock that the process's own calls need: not in a routine look.
      return DescriptorEssentials()
    default: break
    }
    let file = "fdinfo"
    if fdinfo == nil {
      do {
        fdinfo = try process.openDirectory(file)
      } catch .gone where !process.isLive {
        return DescriptorEssentials()  // It was not copied.
      }
    }
    do throws(SystemCallError) {
      let found = try fdinfo?.withFile(number) { DescriptorEssentials(fdinfo: $0) }
      return found ?? nil
    } catch {
      // Some file's may be enormous: the descriptor is there all the same.
      if error.meaning == .other { return DescriptorEssentials() }
      throw ProcfsError(error, file: file)
    }
  }

  private static func node(_ kind: Kind, _ inode: UInt64, _ info: DescriptorEssentials) -> UInt32 {
    if kind == .eventfd { return UInt32(truncatingIfNeeded: info.eventfdID ?? 0) }
    return UInt32(truncatingIfNeeded: inode)
  }
}

extension Kind {
  /// What looking at the inode adds to what the text told.
  fileprivate init(refining kind: Kind, with type: FileType) {
    self =
      switch type {
      case .directory: .directory
      case .character, .block: .device
      case .fifo: .pipe
      default: kind
      }
  }
}
