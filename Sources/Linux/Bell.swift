// SPDX-License-Identifier: Apache-2.0
// Wakes another thread. See eventfd(2).

import CLinux
import Glibc

package final class Bell: Sendable {
  private let descriptor: Descriptor

  package init() throws(SystemCallError) {
    descriptor = Descriptor(owning: try retrying("eventfd") { fdwatch_eventfd() })
  }

  package func ring() {
    var one: UInt64 = 1
    _ = unsafe write(descriptor.number, &one, MemoryLayout<UInt64>.size)
  }

  /// Waits until it rings, or has rung since it was last waited for.
  package func wait(until deadline: Instant) {
    _ = try? Readiness.wait([.init(descriptor.number)], until: deadline)
    var count: UInt64 = 0
    _ = unsafe read(descriptor.number, &count, MemoryLayout<UInt64>.size)
  }
}
