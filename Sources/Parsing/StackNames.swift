// SPDX-License-Identifier: Apache-2.0
// From addresses to the frames that people read, in the helper.

import LeakTable
import Linux
import Pprof
import Symbols

/// Where things lie in the process, and what is known of their names.
struct StackNames {
  private let symbolizer: Symbolizer
  private let mappings: [Profile.Mapping]
  private let index: MappingIndex
  private let budget: Budget

  init(_ symbolizer: Symbolizer, _ mappings: [Profile.Mapping], _ budget: Budget) {
    (self.symbolizer, self.mappings, self.budget) = (symbolizer, mappings, budget)
    index = MappingIndex(mappings)
  }

  var isCut: Bool { budget.isSpent }

  /// The process's own mapping, or `nil`.
  func mapping(of address: UInt64) -> Profile.Mapping? { index.index(of: address).map { mappings[$0] } }

  /// Reads the names of those addresses that are in no file, before they are asked for.
  func read(_ map: borrowing PerfMap, for addresses: Set<UInt64>) {
    symbolizer.read(map, for: addresses, within: budget)
  }

  func frames(at address: UInt64, in mapping: Profile.Mapping?) -> [String] {
    let found = symbolizer.frames(at: address, in: mapping, within: budget)
    if found.isEmpty { return ["0x" + String(address, radix: 16)] }
    return found.map { $0.words(most: AnswerLimits.frame, address: address) }
  }
}

/// Stacks that read alike are one, the most first.
struct MergedStacks {
  private var places: [[String]: Int] = [:]
  private(set) var stacks: [ParsedProfile.Stack] = []

  mutating func add(_ frames: [String], count: Int, descriptors: [Int32]) {
    let place = places[frames] ?? stacks.count
    if place == stacks.count {
      places[frames] = place
      stacks.append(ParsedProfile.Stack(frames: frames, count: 0))
    }
    let (sum, overflow) = stacks[place].count.addingReportingOverflow(max(0, count))
    stacks[place].count = overflow ? .max : sum
    stacks[place].descriptors += descriptors
  }

  var sorted: [ParsedProfile.Stack] {
    stacks.sorted { ($0.count, $1.frames.first ?? "") > ($1.count, $0.frames.first ?? "") }
  }
}

extension [ParsedProfile] {
  /// Keeps of too many descriptors every second, third, …, of all alike.
  mutating func limitDescriptors() {
    let numbers = flatMap { $0.stacks.flatMap(\.descriptors) }
    var stride: Int32 = 1
    while numbers.count(where: { $0 % stride == 0 }) > AnswerLimits.descriptors { stride += 1 }
    if stride == 1 { return }
    for profile in indices {
      self[profile].stride = stride
      for stack in self[profile].stacks.indices {
        self[profile].stacks[stack].descriptors.removeAll { $0 % stride != 0 }
      }
    }
  }
}

extension [String] {
  /// Without what the profile itself adds: Go's `Add` where its `skip` was too small.
  var withoutProfiler: [String] {
    let rest = drop { $0.hasPrefix("runtime/pprof.(*Profile).Add") || $0.hasPrefix("runtime/pprof.lostProfileEvent") }
    return rest.isEmpty ? ["no stack"] : Array(rest)
  }

  /// Without the library's own frames, where a program is built without optimization.
  var withoutLibrary: [String] {
    let rest = drop { $0.hasPrefix("leakprofile_") || $0.hasPrefix("LeakProfile.") || $0.contains(" of LeakProfile.") }
    return rest.isEmpty ? ["no stack"] : Array(rest)
  }
}
