// SPDX-License-Identifier: Apache-2.0
// Who holds what: the objects behind the links of descriptor tables, and which processes descend from which.

import Linux

/// An object that several processes may have open, by the name that all their links give it.
package enum HeldObject: Hashable, Sendable {
  case pipe(UInt64)
  case socket(UInt64)
  /// A pseudoterminal's lower end, by its number.
  case terminal(UInt64)
  /// Its upper end: the number is in `fdinfo` only.
  case terminalMaster
  case epoll

  /// `nil` for anything else. The path of a file begins with a slash, so that none is taken for a pipe or a socket.
  package init?(link: Span<UInt8>) {
    func number(after prefix: StaticString, upTo end: Int) -> UInt64? {
      let length = prefix.utf8CodeUnitCount
      guard end > length, end - length < 20 else { return nil }
      for index in 0..<length where unsafe prefix.utf8Start[index] != link[index] { return nil }
      var value: UInt64 = 0
      for index in length..<end {
        guard let digit = link[index].digit, digit < 10 else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(digit)
        if overflow || carry { return nil }
        value = sum
      }
      return value
    }
    func isText(_ text: StaticString) -> Bool {
      let length = text.utf8CodeUnitCount
      guard link.count == length else { return false }
      for index in 0..<length where unsafe text.utf8Start[index] != link[index] { return false }
      return true
    }
    if link.count > 6, link[link.count - 1] == UInt8(ascii: "]") {
      if let inode = number(after: "pipe:[", upTo: link.count - 1) {
        self = .pipe(inode)
        return
      }
      if let inode = number(after: "socket:[", upTo: link.count - 1) {
        self = .socket(inode)
        return
      }
    }
    if let index = number(after: "/dev/pts/", upTo: link.count) {
      self = .terminal(index)
    } else if isText("anon_inode:[eventpoll]") {
      self = .epoll
    } else if isText("/dev/ptmx") || isText("/dev/pts/ptmx") {
      self = .terminalMaster
    } else {
      return nil
    }
  }
}

/// A descriptor of an object.
package struct HeldDescriptor: Sendable, Equatable {
  package var number: Int32
  package var object: HeldObject
  /// Of a pipe: which end.
  package var canRead: Bool
  package var canWrite: Bool

  package init(number: Int32, object: HeldObject, canRead: Bool = true, canWrite: Bool = true) {
    self.number = number
    self.object = object
    self.canRead = canRead
    self.canWrite = canWrite
  }
}

extension ProcessDirectory {
  /// Those of its descriptors whose objects others may have, too.
  ///
  /// Links alone are read, and of pipes the link's own permissions: they are the access mode, which `fdinfo` tells at twice
  /// the price.
  /// - Parameters:
  ///   - most: a larger table is not even listed.
  ///   - room: so many links are read; what was is taken off.
  ///   - after: where an earlier reading stopped.
  ///   - isWanted: which to keep.
  /// - Returns: what was found, and the number at which it stopped for want of room. `nil` where the table is too large.
  package func heldObjects(
    most: Int, room: inout Int, after: Int32 = -1, where isWanted: (HeldObject) -> Bool
  ) throws(ProcfsError) -> (held: [HeldDescriptor], stoppedAt: Int32?)? {
    guard try count() <= most else { return nil }
    let fd = try openDirectory("fd")
    var numbers: [Int32] = []
    try fd.reading("fd") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in try fd.list(into: &numbers) }
    numbers.removeAll { $0 <= after }
    let stop = numbers.count > room ? (room > 0 ? numbers[room - 1] : after) : nil
    if stop != nil { numbers.removeLast(numbers.count - max(room, 0)) }
    room -= numbers.count
    var found: [HeldDescriptor] = []
    for number in numbers {
      try fd.reading("fd/\(number)") { (fd: borrowing NumberedDirectory) throws(SystemCallError) in
        guard let object = try fd.withLink(number, { HeldObject(link: $0) }) ?? nil, isWanted(object) else { return }
        var held = HeldDescriptor(number: number, object: object)
        if case .pipe = object {
          guard let mode = try fd.linkMode(number) else { return }
          held.canRead = mode & 0o400 != 0
          held.canWrite = mode & 0o200 != 0
        }
        found.append(held)
      }
    }
    return (found, stop)
  }

  /// What `fdinfo` tells of one descriptor, or `nil` if it is not open any more or tells more than so many bytes.
  package func details(of number: Int32, most: Int) -> DescriptorDetails? {
    guard let text = try? openDirectory("fdinfo").contents(number, limit: most) else { return nil }
    return DescriptorDetails(fdinfo: text)
  }

  /// `fdinfo` of one descriptor, to be read elsewhere.
  package func informationFile(of number: Int32) -> Descriptor? { try? openFile("fdinfo/\(number)") }

  /// The inodes of what it has mapped, as far as the first ``mostMapBytes`` tell.
  package func mappedInodes() throws(ProcfsError) -> Set<UInt64> {
    var found: Set<UInt64> = []
    var rest: [UInt8] = []
    try readPieces(of: "maps", most: Self.mostMapBytes) { piece in
      rest += piece
      let end = rest.lastIndex(of: UInt8(ascii: "\n")) ?? -1
      for line in lines(rest[..<(end + 1)]) {
        let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
        if fields.count > 4, let inode = fields[4].unsigned(), inode != 0 { found.insert(inode) }
      }
      rest.removeFirst(end + 1)
      return rest.count < 32 << 10
    }
    return found
  }
}

/// Which processes there are, and which descend from which.
package struct ProcessTree: Sendable {
  private var children: [Int32: [Int32]] = [:]
  private var states: [Int32: ProcessStat] = [:]

  package init() {}

  package mutating func add(_ pid: Int32, _ stat: ProcessStat) {
    states[pid] = stat
    children[stat.parent, default: []].append(pid)
  }

  package var pids: Dictionary<Int32, ProcessStat>.Keys { states.keys }

  /// It was there before the other one, and has inherited nothing from it.
  package func isOlder(_ pid: Int32, than other: Int32) -> Bool {
    guard let its = states[pid]?.startTime, let others = states[other]?.startTime else { return false }
    return its < others
  }

  /// It has exited, and was not collected: it holds nothing.
  package func isLiving(_ pid: Int32) -> Bool { states[pid].map { $0.state != "Z" && $0.state != "X" } ?? false }

  /// Whose controlling terminal is a pseudoterminal of that number.
  package func isTerminal(_ number: UInt64, of pid: Int32) -> Bool { states[pid]?.terminal == number }

  /// The living ones whose parent it is.
  package func children(of pid: Int32) -> Int { (children[pid] ?? []).count(where: isLiving) }

  /// The living ones, children of zombies too: whoever is their parent now, they came from here.
  package func descendants(of pid: Int32) -> Set<Int32> {
    var found: Set<Int32> = []
    var waiting = [pid]
    var visited: Set<Int32> = [pid]
    while let next = waiting.popLast() {
      for child in children[next] ?? [] where visited.insert(child).inserted {
        if isLiving(child) { found.insert(child) }
        waiting.append(child)
      }
    }
    return found
  }
}

extension Procfs {
  /// All processes that can be seen: 10 µs each.
  package func tree() throws(SystemCallError) -> ProcessTree {
    var tree = ProcessTree()
    for pid in try processes() {
      guard let text = try? root.contents(of: "\(pid)/stat", limit: 4096), let stat = try? ProcessStat(stat: text)
      else { continue }
      tree.add(pid, stat)
    }
    return tree
  }
}
