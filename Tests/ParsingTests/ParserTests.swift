// SPDX-License-Identifier: Apache-2.0
// Who is served when: told by the order of events, and not by a clock.

import Foundation
import Parsing
import Synchronization
import TestSupport
import Testing

@Suite struct `Jobs` {
  private let one = ProcessOwner(user: 1000, unit: nil)
  private let other = ProcessOwner(user: 1001, unit: nil)

  @Test func `of one owner, however long they take, leave others their turn`() throws {
    let parser = Parser.built()
    let (gate, started, served) = (
      DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)
    )
    let count = Count()
    for _ in 0..<20 {
      try parser.perform(for: one) {
        count.value.add(1, ordering: .sequentiallyConsistent)
        started.signal()
        gate.wait()
      }
    }
    started.wait()
    started.wait()
    // All that the other one wants is done while the first one's jobs hang.
    for _ in 0..<10 { try parser.perform(for: other) { served.signal() } }
    for _ in 0..<10 { served.wait() }
    #expect(count.value.load(ordering: .sequentiallyConsistent) == 2, "two at once")
    for _ in 0..<20 { gate.signal() }
    for _ in 0..<18 { started.wait() }
  }

  @Test func `that hold much are not taken in without end`() throws {
    let parser = Parser.built()
    let (gate, started) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    try parser.perform(for: one, holding: 10 << 20) {
      started.signal()
      gate.wait()
    }
    started.wait()
    #expect(throws: ParserError.busy) { try parser.perform(for: one, holding: 10 << 20) {} }
    // What is none of the first one's is taken all the same.
    let served = DispatchSemaphore(value: 0)
    try parser.perform(for: other, holding: 14 << 20) { served.signal() }
    served.wait()
    gate.signal()
  }

  @Test func `of a session, or of a user's services, are the user's`() {
    #expect(ProcessOwner(user: 1000, unit: "session-3.scope") == ProcessOwner(user: 1000, unit: nil))
    #expect(ProcessOwner(user: 1000, unit: "user@1000.service") == ProcessOwner(user: 1000, unit: nil))
    #expect(ProcessOwner(user: 1000, unit: "app.service") == ProcessOwner(user: 1001, unit: "app.service"))
    #expect(ProcessOwner(user: 1000, unit: "app.service") != ProcessOwner(user: 1000, unit: nil))
  }
}

private final class Count: Sendable {
  let value = Atomic(0)
}
