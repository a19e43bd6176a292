// SPDX-License-Identifier: Apache-2.0
// The stacks that were copied, each fingerprint's a few times: bounded, whatever comes.

import Parsing

package struct StackStore: Sendable {
  package struct Entry: Sendable {
    /// The number of the system call.
    package var call: UInt32
    /// The first, and such as differ from it beyond what the fingerprint covers.
    package fileprivate(set) var copies: [CopiedStack]
    fileprivate var digests: [Int]
  }

  package private(set) var entries: [UInt64: Entry] = [:]
  package private(set) var bytes = 0

  /// Five hundred whole stacks.
  package static let mostBytes = 8 << 20

  package init() {}

  /// Keeps a stack, unless the same is there.
  /// - Returns: whether there was room.
  package mutating func add(_ record: StackRecord, _ code: CodeBlocks) -> Bool {
    let size = record.stack.bytes.count + 256
    let digest = code.digest(record.stack)
    if let entry = entries[record.fingerprint],
      entry.digests.contains(digest) || entry.copies.count >= CopiedStacks.mostCopies
    {
      return true
    }
    guard bytes + size <= Self.mostBytes else { return false }
    bytes += size
    entries[record.fingerprint, default: Entry(call: record.call, copies: [], digests: [])].append(
      record.stack, digest)
    return true
  }

  /// Lets go of all others.
  /// - Returns: those.
  package mutating func keep(_ wanted: Set<UInt64>) -> [UInt64] {
    let dropped = entries.keys.filter { !wanted.contains($0) }
    for key in dropped {
      for copy in entries[key]?.copies ?? [] { bytes -= copy.bytes.count + 256 }
      entries[key] = nil
    }
    return dropped
  }
}

extension StackStore.Entry {
  fileprivate mutating func append(_ stack: CopiedStack, _ digest: Int) {
    copies.append(stack)
    digests.append(digest)
  }
}
