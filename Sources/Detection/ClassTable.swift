// SPDX-License-Identifier: Apache-2.0
// The classes of a process: a bounded number, found by kind and target.

import Descriptors

/// The classes of one process.
struct ClassTable: Sendable {
  private var slots: [ClassRecord] = []
  private var byKey: [String: UInt16] = [:]
  /// Of kinds that are one class whatever the target, so that most descriptors need no look at ``byKey``.
  private var byKind: [Kind: UInt16] = [:]
  private var patterns = TargetPatterns()
  /// What classes and patterns may take together, in bytes: room for some 16 classes. What does not fit is one class for
  /// each kind.
  static let budget = 15 << 10
  /// More than ``budget`` leaves room for, one for each kind and those in CLOSE_WAIT included: beyond, a saved state is
  /// none of ours.
  static let mostSlots = 1024

  /// Bytes on the heap.
  var footprint: Int {
    var bytes =
      byKey.heapBytes + byKind.heapBytes + patterns.footprint
      + (slots.capacity - slots.count) * MemoryLayout<ClassRecord>.stride
    for record in slots { bytes += record.footprint }
    return bytes
  }

  private var isFull: Bool { footprint + 2 * ClassRecord.vacant.footprint > Self.budget }

  var slotCount: Int { slots.count }
  var indices: some Sequence<UInt16> { slots.indices.lazy.filter { !slots[$0].isVacant }.map { UInt16($0) } }

  subscript(index: UInt16) -> ClassRecord {
    get { slots[Int(index)] }
    _modify { yield &slots[Int(index)] }
  }

  /// The class of a descriptor, made if there is none yet.
  /// - Returns: its index; and where classes were brought together by what was learned just now, their new indices.
  mutating func index(
    kind: Kind, target: String, isCloseWait: Bool = false, at time: Double
  ) -> (index: UInt16, remap: [UInt16: UInt16]?) {
    let hasPath = target.utf8.first == UInt8(ascii: "/")
    if !hasPath, !isCloseWait, let index = byKind[kind] { return (index, nil) }
    // A directory that is opened without O_DIRECTORY reads as a file: its other descriptors tell.
    let kind = kind == .file && isDirectory(target) ? .directory : kind
    var key = kind.rawValue
    var remap: [UInt16: UInt16]?
    switch kind {
    case .tcp where target != "listening":
      let colon = target.lastIndex(of: ":") ?? target.endIndex
      // Addresses and ports that vary: of eight hosts one may leak; a third port at one host is a client's own.
      let found = patterns.pattern(root: key, components: [target[..<colon], target[colon...].dropFirst()]) {
        $0 == 0 ? 8 : 2
      }
      key = found.pattern
      remap = merge(below: found.newlyVarying)
    case _ where hasPath && kind != .pty:
      let isDeleted = target.hasSuffix(TargetPatterns.deletedMark)
      let path = isDeleted ? target.dropLast(TargetPatterns.deletedMark.count) : target[...]
      // The first two levels of a file system have more names than a program's own folders.
      let found = patterns.pattern(root: key, components: path.split(separator: "/")) { $0 < 2 ? 24 : 8 }
      key = found.pattern + (isDeleted ? TargetPatterns.deletedMark : "")
      remap = merge(below: found.newlyVarying)
    case .pty: key += target.hasPrefix("/dev/pts/") ? "/pts" : target
    case .tcp, .anon: key += "/" + target
    default:
      let index = byKey[key] ?? insert(key, kind, "", isCloseWait: isCloseWait)
      byKind[kind] = index
      return (index, nil)
    }
    if isCloseWait { key += " CLOSE_WAIT" }
    if let index = byKey[key] {
      self[index].label.add(target)
      return (index, remap)
    }
    return (insert(key, kind, target, isCloseWait: isCloseWait), remap)
  }

  private func isDirectory(_ target: String) -> Bool {
    guard let index = byKey[Kind.directory.rawValue + target] else { return false }
    return self[index].label.isSingle
  }

  private mutating func insert(_ key: String, _ kind: Kind, _ label: String, isCloseWait: Bool) -> UInt16 {
    var key = key
    if isFull, !evictEmpty() {
      // Too many to tell apart: the rest of a kind is one class.
      key = kind.rawValue + " *"
      if let index = byKey[key] {
        self[index].label.add(label)
        return index
      }
    }
    var record = ClassRecord(key: key, kind: kind, label: TargetLabel(label))
    record.isCloseWait = isCloseWait
    let index: UInt16
    if let free = slots.firstIndex(where: \.isVacant) {
      index = UInt16(free)
      slots[free] = record
    } else {
      index = UInt16(slots.count)
      slots.reserveCapacity(slots.count + 1)
      slots.append(record)
    }
    byKey[key] = index
    return index
  }

  /// Lets go of a class that has no members and nothing to say.
  private mutating func evictEmpty() -> Bool {
    guard let index = indices.first(where: { self[$0].open == 0 && self[$0].finding == nil && self[$0].isIdle }) else {
      return false
    }
    byKey[self[index].key] = nil
    byKind[self[index].kind] = nil
    slots[Int(index)] = .vacant
    return true
  }

  /// Brings the classes together whose names turned out to be generated.
  private mutating func merge(below beginning: String?) -> [UInt16: UInt16]? {
    guard let beginning else { return nil }
    var remap: [UInt16: UInt16] = [:]
    for index in Array(indices) {
      let old = self[index].key
      let new = TargetPatterns.widened(old, below: beginning)
      if new == old { continue }
      byKey[old] = nil
      if let other = byKey[new] {
        let record = self[index]
        self[other].merge(record)
        slots[Int(index)] = .vacant
        remap[index] = other
      } else {
        self[index].key = new
        byKey[new] = index
      }
    }
    if remap.isEmpty { return nil }
    compact(&remap)
    return remap
  }

  /// Closes the gaps. While names are learned there are some ten classes, and of a place for each of them that nobody
  /// needs any more a thousand processes would keep 5 MB.
  private mutating func compact(_ remap: inout [UInt16: UInt16]) {
    var moved: [UInt16: UInt16] = [:]
    var kept: [ClassRecord] = []
    kept.reserveCapacity(slots.count { !$0.isVacant })
    for index in indices {
      moved[index] = UInt16(kept.count)
      kept.append(self[index])
    }
    slots = kept
    byKey = byKey.compactMapValues { moved[$0] }
    byKind = byKind.compactMapValues { moved[$0] }
    remap = remap.compactMapValues { moved[$0] }.merging(moved) { merged, _ in merged }
  }

  /// Counts what was opened, by class.
  mutating func countOpened(_ opened: [LedgerEntry], at time: Double, isFirst: Bool) {
    if isFirst {
      for index in slots.indices { slots[index].openedRate.add(0, at: time) }
      return
    }
    var counts: [UInt16: Int] = [:]
    for entry in opened where !entry.marks.contains(.isRenamed) { counts[entry.classIndex, default: 0] += 1 }
    for (index, count) in counts { self[index].openedRate.add(count, at: time) }
  }

  mutating func noteMostOpen() {
    for index in slots.indices where slots[index].open > slots[index].mostOpen {
      slots[index].mostOpen = slots[index].open
    }
  }
}

extension ClassRecord {
  /// Whether nothing of interest has happened in it.
  var isIdle: Bool { everClosed < 3 }

  /// What a person is shown as the target; `nil` if the kind says it all.
  var displayTarget: String? {
    var text = label.text
    if isCloseWait { text += text.isEmpty ? "CLOSE_WAIT" : " CLOSE_WAIT" }
    return text.isEmpty ? nil : text
  }
}

extension ClassTable: Storable {
  static let blank = ClassTable()

  mutating func store(_ archive: inout Archive) throws(SavedStateError) {
    try archive.field(&slots)
    try archive.field(&patterns)
    guard archive.isReading else { return }
    guard slots.count <= Self.mostSlots else { throw .damaged }
    byKind = [:]
    byKey = [:]
    for index in indices where byKey.updateValue(index, forKey: self[index].key) != nil { throw .damaged }
  }
}
