// SPDX-License-Identifier: Apache-2.0
// Copied stacks: walked by the files that the process has mapped, then named.

import LeakTable
import Linux
import Pprof
import Symbols

/// A group of copied stacks, as addresses.
struct WalkedStack {
  /// Of each copy, innermost first; `nil` where there was no time.
  var copies: [(interpreted: [String], addresses: [UInt64])]
  var descriptors: [Int32]
}

extension ParseWork {
  /// Processor time for walking: a stack takes 0.1 ms, and 20 ms where a large program's tables are read first.
  private static let walking = Duration.seconds(3)

  func walkStacks(_ symbolizer: Symbolizer) throws(ParseFailure) -> [WalkedStack] {
    let groups: [CopiedStacks.Group]
    do throws(WireError) { groups = try CopiedStacks.decoded(bytes) } catch { throw .stacks }
    let walker = symbolizer.walker(of: mappings)
    let budget = Budget(Self.walking)
    return groups.map { group in
      var walked = WalkedStack(copies: [], descriptors: group.descriptors)
      for copy in group.copies where !budget.isSpent {
        let addresses = walker?.addresses(copy.registers, copy.bytes, most: AnswerLimits.frames) ?? []
        walked.copies.append((copy.interpreted, addresses))
      }
      return walked
    }
  }

  consuming func nameStacks(_ walked: [WalkedStack], _ names: StackNames) -> ParseAnswer {
    if let map = perfMap.take() {
      let addresses = walked.lazy.flatMap(\.copies).flatMap(\.addresses)
      names.read(map, for: Set(addresses.filter { names.mapping(of: $0) == nil }))
    }
    var known: [UInt64: [String]] = [:]
    func frames(_ addresses: [UInt64]) -> [String] {
      var frames: [String] = []
      for address in addresses where frames.count < AnswerLimits.frames {
        if known[address] == nil { known[address] = names.frames(at: address, in: names.mapping(of: address)) }
        frames += known[address] ?? []
      }
      return frames
    }
    var merged = MergedStacks()
    var answer = ParseAnswer()
    var profile = ParsedProfile(name: "")
    for stack in walked {
      let copies = stack.copies.map { Array(($0.interpreted + frames($0.addresses)).prefix(AnswerLimits.frames)) }
      if let common = Self.common(copies), !common.isEmpty {
        merged.add(common, count: stack.descriptors.count, descriptors: stack.descriptors)
      } else {
        profile.others += stack.descriptors.count
        if stack.copies.isEmpty { answer.notes.insert(.budgetSpent) }
      }
    }
    profile.stacks = merged.sorted
    answer.profiles = [profile]
    return answer
  }

  /// What several stacks have in common, from the innermost frame on: where they differ it is not known who called.
  static func common(_ stacks: [[String]]) -> [String]? {
    guard var common = stacks.first else { return nil }
    for stack in stacks.dropFirst() where stack != common {
      let end = zip(stack, common).prefix { $0 == $1 }.count
      common = Array(common.prefix(end))
    }
    let isCut = stacks.contains { $0.count > common.count }
    return isCut && !common.isEmpty ? common.prefix(AnswerLimits.frames - 1) + ["(several callers)"] : common
  }
}
