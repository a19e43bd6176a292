// SPDX-License-Identifier: Apache-2.0
// What is written beside the loop: nobody waits for it, and the latest of each is what stands in the end.

import Linux
import Synchronization
import Testing

@testable import Daemon

@Suite struct `A scribe` {
  @Test func `keeps nobody waiting, and writes the latest of each name`() throws {
    let scribe = Scribe()
    let isOpen = Mutex(false)
    let written = Mutex<[String]>([])
    scribe.write("slow") { () throws(SystemCallError) in
      while !isOpen.withLock({ $0 }) { _ = try Readiness.wait([], until: .now + .milliseconds(1)) }
      written.withLock { $0.append("slow") }
    }
    // Only who is not waited for comes here.
    for turn in 0..<100 {
      scribe.write("a") { () throws(SystemCallError) in written.withLock { $0.append("a\(turn)") } }
      scribe.write("b") { () throws(SystemCallError) in written.withLock { $0.append("b\(turn)") } }
    }
    scribe.wait(until: .now)
    #expect(written.withLock(\.isEmpty) && scribe.takeOutcome() == nil)
    isOpen.withLock { $0 = true }
    scribe.wait(until: .now + .seconds(60))
    #expect(written.withLock { $0 } == ["slow", "a99", "b99"])
    if case .success? = scribe.takeOutcome() {} else { #expect(Bool(false), "it went well") }

    scribe.write("a") { () throws(SystemCallError) in throw SystemCallError("write", errno: 28) }
    scribe.wait(until: .now + .seconds(60))
    guard case .failure(let error)? = scribe.takeOutcome() else { return #expect(Bool(false), "it failed") }
    #expect(error.errno == 28 && scribe.takeOutcome() == nil)
  }
}
