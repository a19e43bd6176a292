// SPDX-License-Identifier: Apache-2.0
// Who gets how much of the memory for profiles.

import Descriptors
import Parsing
import Pprof
import Testing
import Watch

@Suite struct `Memory for profiles` {
  private let attacker = ProcessOwner(user: 1000, unit: nil)
  private let victim = ProcessOwner(user: 0, unit: "victim.service")

  @Test func `is used up by one owner's processes for that owner alone`() {
    let retention = ProfileRetention()
    var total = 0
    for pid in 1...40 as ClosedRange<Int32> {
      let bytes = retention.allowance(for: pid, of: attacker)
      retention.note(bytes, of: pid, attacker)
      total += bytes
    }
    #expect(total <= 2 << 20)
    #expect(retention.allowance(for: 40, of: attacker) == 0)
    #expect(retention.allowance(for: 99, of: victim) == 1 << 20)
    retention.forget(1, of: attacker)
    #expect(retention.allowance(for: 40, of: attacker) == 1 << 20)
  }

  @Test func `is shared by all owners, however many there are`() {
    let retention = ProfileRetention()
    for round in 0..<3 {
      for user in 0..<100 as Range<UInt32> {
        let owner = ProcessOwner(user: user, unit: nil)
        let bytes = retention.allowance(for: Int32(user), of: owner)
        if round > 0 { #expect(bytes == (8 << 20) / 100) }
        retention.note(bytes, of: Int32(user), owner)
      }
    }
  }
}
