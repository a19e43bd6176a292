// SPDX-License-Identifier: Apache-2.0
// Who opened what leaks: what attribution makes of a finding and the process's own profiles.

import Descriptors

/// The stacks that account for a leak.
package struct Blame: Sendable, Equatable, Codable {
  package struct Stack: Sendable, Equatable, Codable {
    /// `function file:line`, leaf first.
    package var frames: [String]
    /// Index of the innermost frame that is the program's own code, and no wrapper; beyond the end if there is none to blame.
    package var own: Int
    /// Of the leak, 0…1.
    package var share: Double

    package init(frames: [String], own: Int, share: Double) {
      (self.frames, self.own, self.share) = (frames, own, share)
    }

    /// The frame to blame.
    package var culprit: String { frames.indices.contains(own) ? frames[own] : "no stack" }
  }

  /// The profile that says so.
  package var profile: String
  /// It does not count descriptors, but something that waits on them.
  package var isWitness: Bool
  /// Joined by the numbers of the descriptors, and not by growth.
  package var isExact: Bool
  /// The largest share first. Empty where the profile does not fit the leak.
  package var stacks: [Stack]
  /// What is to be known of it: how little it rests on, or why the profile does not fit.
  package var remark: String?

  package init(profile: String, isWitness: Bool = false, isExact: Bool = false, stacks: [Stack], remark: String? = nil)
  {
    (self.profile, self.isWitness, self.isExact) = (profile, isWitness, isExact)
    (self.stacks, self.remark) = (stacks, remark)
  }

  /// The part of the leak that the stacks account for, 0…1.
  package var explained: Double { min(1, stacks.reduce(0) { $0 + $1.share }) }
}

/// The open descriptors of a class that leaks, for attribution.
package struct LeakMembers: Sendable, Equatable {
  package struct Member: Sendable, Equatable {
    package var number: Int32
    /// When it was first seen, as time since the watch began.
    package var opened: Duration

    package init(number: Int32, opened: Duration) { (self.number, self.opened) = (number, opened) }
  }

  package var kind: Kind
  /// Ascending by time. Of those that were open before the watch nothing is known.
  package var members: [Member]
  /// Those that were opened until then have survived what others of the class do not: they are leaked.
  package var settled: Duration

  package init(kind: Kind, members: [Member], settled: Duration) {
    (self.kind, self.members, self.settled) = (kind, members, settled)
  }
}

extension Detector {
  /// What a finding speaks of, descriptor by descriptor. `nil` once it is over.
  package func members(of finding: Int) -> LeakMembers? {
    guard let index = classes.indices.first(where: { classes[$0].finding?.id == finding }) else { return nil }
    let members = ledger.entries
      .filter { $0.classIndex == index && !$0.marks.contains(.isInitial) }
      .map { LeakMembers.Member(number: $0.number, opened: moment($0.born)) }
      .sorted { ($0.opened, $0.number) < ($1.opened, $1.number) }
    return LeakMembers(
      kind: classes[index].kind, members: members, settled: moment(classes[index].findingUntil))
  }
}
