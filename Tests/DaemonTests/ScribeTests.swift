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
    #expect(written.withLock(\.isEmpty) && scribe.failure == nil)
    isOpen.withLock { $0 = true }
    scribe.wait(until: .now + .seconds(60))
    #expect(written.withLock { $0 } == ["slow", "a99", "b99"])
    #expect(scribe.failure == nil)

    scribe.write("a") { () throws(SystemCallError) in throw SystemCallError("write", errno: 28) }
    // That another file was written does not make this one whole.
    scribe.write("b") { () throws(SystemCallError) in }
    scribe.wait(until: .now + .seconds(60))
    #expect(scribe.failure?.errno == 28)
    scribe.write("a") { () throws(SystemCallError) in }
    scribe.wait(until: .now + .seconds(60))
    #expect(scribe.failure == nil)
  }
}
