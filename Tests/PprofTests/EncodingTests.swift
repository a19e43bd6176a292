// SPDX-License-Identifier: Apache-2.0
// What we write: read back by ourselves, and by `go tool pprof`.

import Foundation
import Pprof
import TestSupport
import Testing

@Suite struct `Writing a profile` {
  static let sample: Profile = {
    var builder = ProfileBuilder(sampleTypes: [.init(type: "file", unit: "count")])
    let mapping = builder.mapping(
      .init(start: 0x400000, limit: 0x500000, offset: 0, file: "/usr/bin/app", buildID: "ab12"))
    func place(_ function: String, _ line: Int, _ address: UInt64, inlined: String? = nil) -> Profile.Location {
      let frame = Profile.Frame(function: function, systemName: function, file: "/src/app.c", line: line)
      let frames = inlined.map { [Profile.Frame(function: $0, file: "/src/app.h", line: 3), frame] } ?? [frame]
      return Profile.Location(address: address, mapping: mapping, frames: frames)
    }
    let open = builder.location(place("open_upload", 88, 0x401000))
    let log = builder.location(place("open_log", 12, 0x402000, inlined: "helper"))
    let main = builder.location(place("main", 120, 0x403000))
    builder.add(stack: [open, main], values: [40], labels: [.init("fd", .number(17, unit: ""))])
    builder.add(stack: [log, main], values: [2], labels: [.init("tenant", .text("blue"))])
    builder.add(stack: [open, main], values: [1], labels: [.init("fd", .number(17, unit: ""))])
    return builder.finish {
      ($0.timeNanos, $0.period, $0.periodType) = (1_790_000_000_000_000_000, 1, .init(type: "file", unit: "count"))
      $0.comments = ["made by a test"]
      $0.dropFrames = "runtime.*"
    }
  }()

  @Test(arguments: [true, false]) func `gives back all that was in it`(compressed: Bool) throws {
    let before = Self.sample
    let after = try Profile(decoding: before.encoded(compressed: compressed))
    #expect(after.sampleTypes == before.sampleTypes)
    #expect(after.mappings == before.mappings)
    #expect((after.timeNanos, after.period) == (before.timeNanos, before.period))
    #expect((after.comments, after.dropFrames) == (["made by a test"], "runtime.*"))
    #expect(after.stackCounts() == before.stackCounts())
    #expect((0..<2).map { after.labels(ofSample: $0) } == (0..<2).map { before.labels(ofSample: $0) })
    #expect((0..<3).map { after.location($0) } == (0..<3).map { before.location($0) })
  }

  @Test func `as text gives back the stacks`() throws {
    let after = try Profile(decoding: Array(Self.sample.text(name: "file").utf8))
    #expect(after.total(0) == 43)
    #expect(after.stackCounts().map(\.frames) == Self.sample.stackCounts().map(\.frames))
  }

  @Test func `keeps a name with a line end on its line`() throws {
    var builder = ProfileBuilder(sampleTypes: [.init(type: "x", unit: "count")])
    let place = builder.location(.init(address: 1, frames: [.init(function: "a\nb profile: total 1", file: "c\td")]))
    builder.add(stack: [place], values: [1])
    let text = builder.finish().text(name: "x\ny")
    #expect(try Profile(decoding: Array(text.utf8)).stackCounts().map(\.frames) == [["ab profile: total 1 cd"]])
  }

  /// The reference reader must see what we meant, in what we wrote and in what Go wrote and we wrote again.
  @Test func `is read by go tool pprof, with the same numbers`() throws {
    for profile in [Self.sample, try Profile(decoding: fixture("go1.19.pb.gz"))] {
      let file = TemporaryFile(Data(profile.encoded()))
      let child = try ChildProcess(
        ["go", "tool", "pprof", "-top", "-symbolize=none", file.path],
        environment: ChildProcess.plainEnvironment.merging(["HOME": NSTemporaryDirectory()]) { $1 })
      child.closeInput()
      let outcome = try child.finish()
      try #require(outcome.status == .exited(0), "\(outcome.errors)")
      #expect(outcome.output.contains("of \(profile.total(0)) total"))
      for stack in profile.stackCounts() {
        let leaf = try #require(stack.frames.first?.split(separator: " ").first)
        let line = try #require(outcome.output.split(separator: "\n").first { $0.contains(" \(leaf)") })
        #expect(line.split(separator: " ").first.flatMap { Int64($0) } == stack.count, "\(line)")
      }
    }
  }
}

@Suite struct `Profiles as numbers` {
  private func profile(_ counts: [String: Int64]) -> Profile {
    var builder = ProfileBuilder(sampleTypes: [.init(type: "file", unit: "count")])
    for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
      builder.add(stack: [builder.location(.init(frames: [.init(function: name)]))], values: [count])
    }
    return builder.finish()
  }

  private func counts(_ profile: Profile) -> [String: Int64] {
    Dictionary(uniqueKeysWithValues: profile.stackCounts().map { ($0.frames[0], $0.count) })
  }

  @Test func `subtract to what has come, and add up again`() throws {
    let (before, after) = (profile(["a": 5, "b": 7, "gone": 2]), profile(["a": 9, "b": 7, "new": 1]))
    let change = try after.subtracting(before)
    #expect(counts(change) == ["a": 4, "new": 1, "gone": -2])
    #expect(change.sampleCount == 3)
    #expect(counts(try change.adding(before)) == counts(after))
  }

  @Test func `of other things do not add up`() {
    let other = ProfileBuilder(sampleTypes: [.init(type: "space", unit: "bytes")]).finish()
    #expect(throws: PprofError.self) { try profile([:]).adding(other) }
  }

  @Test func `are filtered by their stacks`() {
    let kept = profile(["a": 1, "b": 2]).filtered { $0.first?.frames.first?.function == "b" }
    #expect(counts(kept) == ["b": 2])
  }
}
