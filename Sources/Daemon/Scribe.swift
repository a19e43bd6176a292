// SPDX-License-Identifier: Apache-2.0
// Writes on a thread of its own: a disk that is busy holds up no poll. fdatasync(2) may take ten seconds of it.

import Linux
import Synchronization

package final class Scribe: Sendable {
  package typealias Work = @Sendable () throws(SystemCallError) -> Void

  private struct State {
    /// In their order; of one name the latest only.
    var waiting: [(name: String, work: Work)] = []
    var isRunning = false
    /// How the last one came out, until somebody has asked.
    var outcome: Result<Void, SystemCallError>?
  }

  private let state = Mutex(State())

  package init() {}

  /// - Parameter name: what waits by the same name is not written any more.
  package func write(_ name: String, _ work: @escaping Work) {
    let isToStart = state.withLock { state in
      if let index = state.waiting.firstIndex(where: { $0.name == name }) {
        state.waiting[index].work = work
      } else {
        state.waiting.append((name, work))
      }
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard isToStart else { return }
    // Without a thread it has to be done here.
    do throws(SystemCallError) { try BackgroundThread.start { [self] in drain() } } catch { drain() }
  }

  private func drain() {
    while true {
      let next = state.withLock { state -> Work? in
        if state.waiting.isEmpty {
          state.isRunning = false
          return nil
        }
        return state.waiting.removeFirst().work
      }
      guard let next else { return }
      let outcome = Result { () throws(SystemCallError) in try next() }
      state.withLock { $0.outcome = outcome }
    }
  }

  /// How the last one came out, if there is news.
  package func takeOutcome() -> Result<Void, SystemCallError>? {
    state.withLock { state in
      defer { state.outcome = nil }
      return state.outcome
    }
  }

  /// Until all is written, but not for longer than `deadline`.
  package func wait(until deadline: Instant) {
    while state.withLock(\.isRunning), Instant.now < deadline {
      _ = try? Readiness.wait([], until: min(deadline, .now + .milliseconds(10)))
    }
  }
}
