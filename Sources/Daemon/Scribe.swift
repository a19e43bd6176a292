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
    /// By name: why what was last written of it was not.
    var failures: [String: SystemCallError] = [:]
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
      let next = state.withLock { state -> (name: String, work: Work)? in
        if state.waiting.isEmpty {
          state.isRunning = false
          return nil
        }
        return state.waiting.removeFirst()
      }
      guard let next else { return }
      var failure: SystemCallError?
      do throws(SystemCallError) { try next.work() } catch { failure = error }
      state.withLock { $0.failures[next.name] = failure }
    }
  }

  /// Why something is not on the disk as it was last to be written; `nil` while all is.
  package var failure: SystemCallError? { state.withLock { $0.failures.min { $0.key < $1.key }?.value } }

  /// Until all is written, but not for longer than `deadline`.
  package func wait(until deadline: Instant) {
    while state.withLock(\.isRunning), Instant.now < deadline {
      _ = try? Readiness.wait([], until: min(deadline, .now + .milliseconds(10)))
    }
  }
}
