// SPDX-License-Identifier: Apache-2.0
// What a profile writes, read by others.

import Foundation
import LeakProfile
import Pprof
import TestSupport
import Testing

extension LeakProfile.Profile {
  func decoded(debug: Int = 0) throws -> Pprof.Profile { try Pprof.Profile(decoding: encoded(debug: debug)) }
}

@Suite struct `A profile that is written` {
  @inline(never) private func here(_ profile: LeakProfile.Profile, _ number: Int32) {
    profile.add(descriptor: number)
  }

  @Test func `has a sample for each stack, with the descriptors`() throws {
    let profile = LeakProfile.Profile("test.written")
    for number in 100..<104 as Range<Int32> { here(profile, number) }
    profile.add(descriptor: 200)
    let message = try profile.decoded()
    #expect(message.sampleTypes.map(\.type) == ["test.written"] && message.sampleTypes[0].unit == "count")
    #expect(message.total(0) == 5 && message.sampleCount == 2 && message.timeNanos > 0)
    let stacks = message.stackCounts()
    #expect(stacks.map(\.count) == [4, 1])
    #expect(stacks[0].descriptors.sorted() == [100, 101, 102, 103] && stacks[1].descriptors == [200])
    let leaf = message.location(message[sample: 0].locations[0])
    let mapping = try #require(leaf.mapping.map { message.mappings[$0] })
    #expect(mapping.start <= leaf.address && leaf.address < mapping.limit && mapping.file.contains("/"))
  }

  @Test func `is text, too, as Go writes it`() throws {
    let profile = LeakProfile.Profile("test.text")
    for number in 0..<3 as Range<Int32> { here(profile, number) }
    let text = String(decoding: profile.encoded(debug: 1), as: UTF8.self)
    #expect(text.hasPrefix("test.text profile: total 3\n3 @ 0x"))
    #expect(text.hasSuffix("\n\n") && text.contains("\n#\t0x"))
    let read = try profile.decoded(debug: 1)
    #expect(read.total(0) == 3 && read.sampleCount == 1)
  }

  @Test func `is read by Go's pprof, with its labels`() throws {
    let profile = LeakProfile.Profile("test.go")
    // More than one block of gzip's holds.
    for number in 0..<20_000 as Range<Int32> { here(profile, number) }
    let file = TemporaryFile()
    let descriptor = unsafe open(file.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    try profile.write(to: descriptor)
    let pprof = try ChildProcess(["go", "tool", "pprof", "-raw", file.path], environment: go)
    pprof.closeInput()
    let outcome = try pprof.finish()
    #expect(outcome.output.contains("test.go/count"), "\(outcome.errors)")
    #expect(outcome.output.contains("20000:") && outcome.output.contains("fd:["))
    #expect(throws: WriteError.self) { try profile.write(to: -1) }
  }

  private var go: [String: String] {
    ChildProcess.plainEnvironment.merging(["HOME": NSTemporaryDirectory()]) { $1 }
  }
}
