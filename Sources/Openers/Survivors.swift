// SPDX-License-Identifier: Apache-2.0
// What is open at the end, and what is known of its opening. Pure.

/// The last thing that was seen of a number.
package struct LastEvent: Sendable, Equatable {
  /// Of the monotonic clock, in ns; 0 where nothing was seen since tracing began.
  package var time: UInt64
  /// Of the stack that opened it; 0 where it was closed.
  package var fingerprint: UInt64

  package init(time: UInt64, fingerprint: UInt64) { (self.time, self.fingerprint) = (time, fingerprint) }
}

package struct Survivors: Sendable, Equatable {
  /// By the fingerprint that opened them.
  package var opened: [UInt64: [Int32]] = [:]
  /// Open for too short a time to be told from what is in use.
  package var young: [Int32] = []
  /// Opened before tracing began.
  package var before: [Int32] = []
  /// Opened in a way that is not seen: received from another process, by io_uring, and the like.
  package var unseen: [Int32] = []
  /// Their stack was not kept.
  package var unkept: [Int32] = []

  /// - Parameters:
  ///   - numbers: what was open, listed while the process was traced.
  ///   - event: asked after it was listed: so what it says of a time before that is about the descriptor that was listed.
  ///   - before: what was open when tracing began, but for what was opened since.
  ///   - latest: what was opened after that is young: the time of the listing, or some time before.
  package init(
    _ numbers: [Int32], before: Set<Int32>, latest: UInt64, listed: UInt64, has: (UInt64) -> Bool,
    event: (Int32) -> LastEvent
  ) {
    for number in numbers {
      let event = event(number)
      if event.time == 0 {
        if before.contains(number) { self.before.append(number) } else { unseen.append(number) }
      } else if event.fingerprint == 0 {
        // Closed since it was listed, or closed before, and opened unseen.
        if event.time < listed { unseen.append(number) }
      } else if event.time > latest {
        young.append(number)
      } else if has(event.fingerprint) {
        opened[event.fingerprint, default: []].append(number)
      } else {
        unkept.append(number)
      }
    }
  }
}
