// SPDX-License-Identifier: Apache-2.0
// How much of profiles is kept in memory: of all processes together, and of each owner.

import Attribution
import Descriptors
import Parsing
import Pprof
import Synchronization

/// One budget for all retained profiles. Each owner has an equal share, however many processes he has; where there are few
/// owners, a quarter of it.
package final class ProfileRetention: Sendable {
  /// The daemon is to stay below 20 MB, of which its profiles are a part in the worst case only.
  private static let most = 8 << 20
  private static let mostOfOwner = most / 4
  private static let mostOfProcess = 1 << 20

  private let kept = Mutex<[ProcessOwner: [Int32: Int]]>([:])

  package init() {}

  /// Bytes that may be kept for a process now.
  package func allowance(for pid: Int32, of owner: ProcessOwner) -> Int {
    kept.withLock { kept in
      let owners = kept.count + (kept[owner] == nil ? 1 : 0)
      let share = min(Self.mostOfOwner, Self.most / owners)
      let others = (kept[owner] ?? [:]).reduce(0) { $1.key == pid ? $0 : $0 + $1.value }
      return max(0, min(Self.mostOfProcess, share - others))
    }
  }

  package func note(_ bytes: Int, of pid: Int32, _ owner: ProcessOwner) {
    kept.withLock { $0[owner, default: [:]][pid] = bytes }
  }

  package func forget(_ pid: Int32, of owner: ProcessOwner) {
    kept.withLock { kept in
      kept[owner]?[pid] = nil
      if kept[owner]?.isEmpty == true { kept[owner] = nil }
    }
  }
}

/// How many sentences about its profiles one process may cause: what it serves may change each second.
struct NoteLimit: Sendable {
  private static let most = 20
  private var count = 0

  mutating func take(_ note: String) -> String? {
    count += 1
    if count < Self.most { return note }
    return count == Self.most ? "\(note); no more is said of its profiles" : nil
  }
}

extension Profile {
  /// A snapshot as a profile of its own: functions, counts and the numbers of descriptors, as they were read.
  init(_ snapshot: ProfileSnapshot) {
    var builder = ProfileBuilder(sampleTypes: [ValueType(type: snapshot.name, unit: "count")])
    func add(_ frames: [String], _ count: Int, _ descriptors: [Int32]) {
      let stack = frames.map { builder.location(Location(frames: [Frame(words: $0)])) }
      let labels = descriptors.map { Label("fd", .number(Int64($0), unit: "")) }
      builder.add(stack: stack, values: [Int64(count)], labels: labels)
    }
    for stack in snapshot.stacks { add(stack.frames, stack.count, stack.descriptors) }
    if snapshot.others > 0 { add(["other stacks"], snapshot.others, []) }
    self = builder.finish()
  }
}

extension Profile.Frame {
  /// `function file:line` taken apart.
  init(words: String) {
    guard let blank = words.lastIndex(of: " "), let colon = words.lastIndex(of: ":"), blank < colon,
      let line = Int(words[words.index(after: colon)...]), blank > words.startIndex
    else {
      self.init(function: words)
      return
    }
    self.init(function: String(words[..<blank]), file: String(words[words.index(after: blank)..<colon]), line: line)
  }
}
