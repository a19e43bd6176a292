// SPDX-License-Identifier: Apache-2.0
// Names of users, as name services know them: those may ask over a network, and take their time.

import Linux
import Synchronization

/// Each name is looked up once, on a thread of its own: a directory service that hangs holds up no poll.
package final class UserNames: Sendable {
  private struct State {
    var names: [UInt32: String] = [:]
    /// A look-up has begun and not ended.
    var isBusy = false
    /// Where the last one took its time, the next ones are not waited for: a start with many users would be late.
    var mayWaitFrom = Instant.now
  }

  private let state = Mutex(State())
  private let lookUp: @Sendable (UInt32) -> String
  private let patience: Duration
  /// From that on it is slow, and for so long after that nobody waits.
  private static let (slow, rest) = (Duration.milliseconds(20), Duration.seconds(5))

  /// - Parameters:
  ///   - patience: so long an answer is waited for, once.
  ///   - lookUp: asks the name services.
  package init(patience: Duration = .milliseconds(200), lookUp: @escaping @Sendable (UInt32) -> String = Host.userName)
  {
    (self.patience, self.lookUp) = (patience, lookUp)
  }

  /// Whether an answer is still out.
  package var isWaiting: Bool { state.withLock(\.isBusy) }

  /// The name, or `nil` while it is not known: to ask again is worth a try.
  package func known(_ user: UInt32) -> String? {
    let began = Instant.now
    let (name, isFree, mayWait) = state.withLock { state in
      defer { if state.names[user] == nil { state.isBusy = true } }
      return (state.names[user], !state.isBusy, began >= state.mayWaitFrom)
    }
    guard name == nil, isFree else { return name }
    // Without a descriptor for the bell there is no wait.
    let bell = try? Bell()
    do throws(SystemCallError) {
      try BackgroundThread.start { [self] in
        let name = lookUp(user)
        state.withLock { state in
          state.names[user] = name
          state.isBusy = false
        }
        bell?.ring()
      }
    } catch {
      state.withLock { $0.isBusy = false }
      return nil
    }
    if mayWait { bell?.wait(until: began + patience) }
    return state.withLock { state in
      if mayWait, Instant.now - began > Self.slow { state.mayWaitFrom = .now + Self.rest }
      return state.names[user]
    }
  }

  /// The name, or the number where that is not known.
  package func name(_ user: UInt32) -> String { known(user) ?? String(user) }
}
