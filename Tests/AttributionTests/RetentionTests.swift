// SPDX-License-Identifier: Apache-2.0
// What is kept of profiles, however large they are and however often they change.

import Attribution
import Descriptors
import Detection
import Testing

@Suite struct `A history of profiles` {
  private func snapshot(_ round: Int, stacks: Int = 1000, frames: Int = 128) -> ProfileSnapshot {
    ProfileSnapshot(
      name: "file",
      stacks: (0..<stacks).map { stack in
        StackCount(frames: (0..<frames).map { "frame \(round) \(stack) \($0)" }, count: stacks - stack + 1)
      })
  }

  @Test func `takes no more than it may, and keeps what is largest`() throws {
    var history = ProfileHistory()
    history.mostBytes = 200_000
    for round in 0..<10 {
      let new = snapshot(round)
      history.add(new, at: .seconds(round))
      #expect(history.bytes <= 200_000)
      #expect(history.isCut)
      let kept = try #require(history.last)
      #expect(kept.total == new.total, "what is not kept is counted")
      #expect(!kept.stacks.isEmpty && kept.stacks[0] == new.stacks[0])
    }
  }

  /// Of a hundred thousand descriptors the numbers of a part stand for all.
  @Test func `is joined with a sample of the descriptors as with all`() {
    var history = ProfileHistory()
    let numbers = Array(0..<3000 as Range<Int32>)
    var snapshot = ProfileSnapshot(
      name: "file",
      stacks: [StackCount(frames: ["main.leak"], count: 3000, descriptors: numbers.filter { $0 % 3 == 0 })])
    snapshot.stride = 3
    history.add(snapshot, at: .seconds(60))
    let members = numbers.map { LeakMembers.Member(number: $0, opened: .milliseconds(10 * Int64($0))) }
    let blame = history.blame(LeakMembers(kind: .file, members: members, settled: .seconds(50)), open: 3010)
    #expect(blame?.isExact == true && blame?.stacks.first?.share == 1)
  }

  @Test func `is kept whole where its frames are shared`() throws {
    var history = ProfileHistory()
    for round in 0..<30 {
      let stacks = (0..<200).map { stack in
        StackCount(frames: ["leaf \(stack)"] + (0..<40).map { "common frame \($0)" }, count: 5 + round)
      }
      history.add(ProfileSnapshot(name: "file", stacks: stacks), at: .seconds(round))
    }
    #expect(!history.isCut)
    #expect(history.bytes < 300_000, "\(history.bytes)")
  }
}
