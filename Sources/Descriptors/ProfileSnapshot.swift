// SPDX-License-Identifier: Apache-2.0
// What a process says of itself: who holds what.

/// A stack of a profile, with what it holds.
package struct StackCount: Sendable, Hashable {
  /// `function file:line`, leaf first. An address that has no name is `0x…` or `binary+0x…`.
  package var frames: [String]
  ///
  /// No process has more than 2^32, and none fewer than 0, whatever a profile says: so sums of them do not overflow.
  package let count: Int
  /// The numbers of its descriptors, where the process tells them.
  package var descriptors: [Int32]

  package init(frames: [String], count: Int, descriptors: [Int32] = []) {
    (self.frames, self.count, self.descriptors) = (frames, min(max(count, 0), 1 << 32), descriptors)
  }
}

/// A profile that the process exported, at a poll.
package struct ProfileSnapshot: Sendable, Equatable {
  /// By which the process, or whoever configured it, knows it: `file`.
  package var name: String
  /// It does not count descriptors, but something that waits on them, as goroutines do.
  package var isWitness: Bool
  package var stacks: [StackCount]
  /// Held by stacks that are not among these, as each holds little.
  package var others = 0
  /// Of the descriptors of its stacks only those are named whose number is a multiple of this.
  package var stride: Int32 = 1
  /// How long before its poll it was taken.
  package var age = Duration.zero

  package init(name: String, isWitness: Bool = false, stacks: [StackCount]) {
    (self.name, self.isWitness, self.stacks) = (name, isWitness, stacks)
  }

  package var total: Int { stacks.reduce(others) { $0 + $1.count } }
}
