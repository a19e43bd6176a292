// SPDX-License-Identifier: Apache-2.0
// Profiles as a program uses them.

import Foundation
import LeakProfile
import Pprof
import Testing

private final class Object: Sendable {}

@Suite struct `A profile` {
  @Test func `counts what was added and not removed`() {
    let profile = LeakProfile.Profile("test.counts")
    let (a, b) = (Object(), Object())
    profile.add(a)
    profile.add(b, descriptor: 7)
    #expect(profile.count == 2)
    profile.remove(a)
    // As in Go: no harm is done.
    profile.remove(a)
    #expect(profile.count == 1)
    profile.add(descriptor: 7)
    let token = LeakProfile.Profile.Token()
    profile.add(token)
    #expect(profile.count == 3)
    profile.remove(descriptor: 7)
    profile.remove(token)
    profile.remove(b)
    #expect(profile.count == 0)
  }

  @Test func `is known by its name`() {
    let profile = LeakProfile.Profile("test.named")
    #expect(LeakProfile.Profile.named("test.named")?.name == profile.name)
    #expect(LeakProfile.Profile.named("test.unnamed") == nil)
    #expect(LeakProfile.Profile.all.contains { $0.name == "test.named" })
    profile.add(descriptor: 3)
    #expect(LeakProfile.Profile.named("test.named")?.count == 1)
  }

  @Test func `keeps no value alive`() {
    let profile = LeakProfile.Profile("test.weak")
    weak var seen: Object?
    do {
      let object = Object()
      profile.add(object)
      seen = object
    }
    #expect(seen == nil && profile.count == 1)
  }

  @Test func `traps at a value that is there already`() async {
    await #expect(processExitsWith: .failure) {
      let profile = LeakProfile.Profile("twice")
      profile.add(descriptor: 3)
      profile.add(descriptor: 3)
    }
  }

  @Test func `traps at a name that is taken`() async {
    await #expect(processExitsWith: .failure) {
      _ = LeakProfile.Profile("taken")
      _ = LeakProfile.Profile("taken")
    }
    await #expect(processExitsWith: .failure) { _ = LeakProfile.Profile("") }
  }

  @Test func `that is off records nothing, and forgets what there was`() {
    let profile = LeakProfile.Profile("test.off")
    for number in 0..<1000 { profile.add(descriptor: Int32(number)) }
    profile.record(every: 0)
    #expect(profile.count == 0)
    profile.add(descriptor: 1)
    profile.record(every: 1)
    #expect(profile.count == 0)
    profile.remove(descriptor: 1)
    profile.add(descriptor: 1)
    #expect(profile.count == 1)
  }

  @Test func `of a sample is scaled to the whole`() throws {
    let profile = LeakProfile.Profile("test.sampled")
    profile.record(every: 10)
    let tokens = (0..<20_000).map { _ in LeakProfile.Profile.Token() }
    for token in tokens { profile.add(token) }
    // Four standard deviations.
    #expect(abs(profile.count - 2000) < 170)
    #expect(abs(try profile.decoded().total(0) - 20_000) < 1700)
    for token in tokens { profile.remove(token) }
    #expect(profile.count == 0)
  }

  @Test func `says how much did not fit`() async {
    await #expect(processExitsWith: .success) {
      #expect(LeakProfile.Profile.reserve(bytes: 1 << 16))
      let profile = LeakProfile.Profile("small")
      for number in 0..<5000 { profile.add(descriptor: Int32(number)) }
      #expect(!LeakProfile.Profile.reserve(bytes: 1 << 20), "it is too late")
      #expect(profile.count > 1000 && profile.count + profile.lost.values == 5000)
      for number in 0..<5000 { profile.remove(descriptor: Int32(number)) }
      #expect(profile.count == 0)
      profile.add(descriptor: 1)
      #expect(profile.count == 1, "there is room again")
    }
  }

  @Test func `works where nothing can be exported`() async {
    await #expect(processExitsWith: .success) {
      var limits = rlimit()
      _ = unsafe getrlimit(__rlimit_resource_t(7), &limits)
      limits.rlim_cur = 3
      _ = unsafe setrlimit(__rlimit_resource_t(7), &limits)
      let profile = LeakProfile.Profile("hidden")
      profile.add(descriptor: 1)
      #expect(profile.count == 1 && LeakProfile.Profile.descriptor == nil)
      #expect(profile.encoded(debug: 1).starts(with: "hidden profile: total 1\n".utf8))
    }
  }
}
