// SPDX-License-Identifier: Apache-2.0
// The last profile of each process, as it came, for evidence and for --save-profile.

import Synchronization

/// Bytes of many owners under one budget: the largest goes first, so that small ones are safe from it.
final class KeptProfiles: Sendable {
  fileprivate struct State {
    var profiles: [ObjectIdentifier: [UInt8]] = [:]
    var bytes = 0
  }

  private let state = Mutex(State())
  private let budget: Int

  /// As much as one evidence bundle takes by default.
  static let shared = KeptProfiles(budget: 4 << 20)

  init(budget: Int) { self.budget = budget }

  /// A single one is kept however large it is: whoever watches one process may want it.
  func keep(_ bytes: [UInt8], of owner: ObjectIdentifier) {
    state.withLock { state in
      state.replace(owner, by: bytes)
      while state.bytes > budget, state.profiles.count > 1,
        let largest = state.profiles.max(by: { $0.value.count < $1.value.count })
      {
        state.replace(largest.key, by: nil)
      }
    }
  }

  func drop(_ owner: ObjectIdentifier) { state.withLock { $0.replace(owner, by: nil) } }

  subscript(owner: ObjectIdentifier) -> [UInt8]? { state.withLock { $0.profiles[owner] } }
}

extension KeptProfiles.State {
  fileprivate mutating func replace(_ owner: ObjectIdentifier, by new: [UInt8]?) {
    bytes += (new?.count ?? 0) - (profiles[owner]?.count ?? 0)
    profiles[owner] = new
  }
}
