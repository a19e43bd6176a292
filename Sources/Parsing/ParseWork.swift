// SPDX-License-Identifier: Apache-2.0
// What the helper does: a profile, a table or copied stacks, read and named. Each step is bounded by a limit, and none by its input.

import LeakTable
import Linux
import Pprof
import Symbols

/// What goes into one job.
struct ParseWork: ~Copyable {
  var job: ParseJob
  var bytes: [UInt8] = []
  var file: Descriptor?
  var perfMap: PerfMap?
  var mappings: [Profile.Mapping] = []

  /// Stacks that are named: those that read alike are one only then.
  private static let mostNamed = 2 * AnswerLimits.stacks
  /// Processor time for names. The rest takes a second at most, within the limits of a profile.
  private static let naming = Duration.seconds(3)

  init(_ job: ParseJob) { self.job = job }

  consuming func run(_ symbolizer: Symbolizer) -> Result<ParseAnswer, ParseFailure> {
    defer { symbolizer.close() }
    do throws(ParseFailure) {
      let walked: [WalkedStack]
      if case .stacks = job.subject { walked = try walkStacks(symbolizer) } else { walked = [] }
      // Time for names begins where that for walking ends.
      let names = StackNames(symbolizer, mappings, Budget(Self.naming))
      var answer =
        switch job.subject {
        case .table(let pid): try readTable(ownedBy: pid, names)
        case .bytes, .file: try readProfile(names)
        case .stacks: nameStacks(walked, names)
        }
      if names.isCut { answer.notes.insert(.budgetSpent) }
      answer.profiles.limitDescriptors()
      return .success(answer)
    } catch { return .failure(error) }
  }

  // MARK: A profile

  private consuming func readProfile(_ names: StackNames) throws(ParseFailure) -> ParseAnswer {
    var content = bytes
    if let file = file.take() {
      do throws(SystemCallError) {
        content = try file.bytes(at: 0, upTo: min(try file.size(), job.limits.compressedBytes) + 1)
      } catch { throw .file(errno: error.errno) }
    }
    let profile: Profile
    do throws(PprofError) { profile = try Profile(decoding: content, limits: job.limits) } catch {
      throw .profile(error)
    }
    content = []
    let index = profile.countIndex
    let largest = profile.largestStacks(index, most: Self.mostNamed, depth: AnswerLimits.frames)
    let own = MappingIndex(profile.mappings)
    func mapping(_ location: UInt32) -> Profile.Mapping? {
      let place = profile.mapping(ofLocation: location) ?? own.index(of: profile.address(ofLocation: location))
      return place.map { profile.mappings[$0] } ?? names.mapping(of: profile.address(ofLocation: location))
    }
    if let map = perfMap.take() {
      var addresses: Set<UInt64> = []
      for stack in largest.stacks {
        for location in profile.locations(ofSample: stack.sample).prefix(AnswerLimits.frames)
        where mapping(location)?.file.hasPrefix("/") != true { addresses.insert(profile.address(ofLocation: location)) }
      }
      names.read(map, for: addresses)
    }
    var known: [UInt32: [String]] = [:]
    var merged = MergedStacks()
    for stack in largest.stacks {
      var frames: [String] = []
      for location in profile.locations(ofSample: stack.sample) where frames.count < AnswerLimits.frames {
        if known[location] == nil {
          let address = profile.address(ofLocation: location)
          let named = profile.namedFrames(ofLocation: location, most: AnswerLimits.frames)
          known[location] =
            named.isEmpty
            ? names.frames(at: address, in: mapping(location))
            : named.map { $0.words(most: AnswerLimits.frame, address: address) }
        }
        frames += known[location] ?? []
      }
      merged.add(
        Array(frames.prefix(AnswerLimits.frames)).withoutProfiler, count: Int(clamping: stack.count),
        descriptors: stack.descriptors)
    }
    var read = ParsedProfile(name: "")
    (read.stacks, read.others) = (merged.sorted, Int(clamping: largest.others))
    var answer = ParseAnswer()
    answer.profiles = [read]
    answer.timeNanos = profile.timeNanos
    if profile.sampleTypes.count > 1 { answer.countedType = profile.sampleTypes[index].description }
    return answer
  }

  // MARK: A table

  private consuming func readTable(ownedBy pid: UInt32, _ names: StackNames) throws(ParseFailure) -> ParseAnswer {
    guard let file = file.take() else { throw .table(.gone) }
    let snapshot: TableSnapshot
    do throws(LeakTableError) {
      snapshot = try SharedTable(checked: file).snapshot(ownedBy: pid, mostGroups: AnswerLimits.stacks)
    } catch { throw .table(error) }
    if let map = perfMap.take() {
      let addresses = snapshot.profiles.lazy.flatMap(\.groups).flatMap(\.stack)
      names.read(map, for: Set(addresses.filter { names.mapping(of: $0) == nil }))
    }
    var known: [UInt64: [String]] = [:]
    var answer = ParseAnswer()
    for profile in snapshot.profiles.sorted(by: { $0.entries > $1.entries }).prefix(AnswerLimits.profiles) {
      var merged = MergedStacks()
      for group in profile.groups.sorted(by: { $0.count > $1.count }) {
        var frames: [String] = []
        for address in group.stack where frames.count < AnswerLimits.frames {
          if known[address] == nil { known[address] = names.frames(at: address, in: names.mapping(of: address)) }
          frames += known[address] ?? []
        }
        merged.add(
          Array(frames.prefix(AnswerLimits.frames)).withoutLibrary, count: group.count, descriptors: group.descriptors)
      }
      var read = ParsedProfile(name: profile.name)
      (read.stacks, read.others) = (merged.sorted, profile.others)
      answer.profiles.append(read)
      if profile.lostValues > 0 { answer.notes.insert(.valuesLost) }
    }
    if snapshot.lostStacks > 0 { answer.notes.insert(.stacksLost) }
    return answer
  }
}
