// SPDX-License-Identifier: Apache-2.0
// Who goes first, and who has to go, where many runs of one hook wait: no account's alerts push out those of another.

import Config

extension [HookJob] {
  /// Adds a run to the queue. Where it is full, a run of the account that has most in it goes: its latest, since what is
  /// said of an alert makes sense in its order only.
  /// - Parameter later: those of the same hook that are to be tried again: they take room, too.
  /// - Returns: the run that found no room, if one did not.
  mutating func admit(_ job: HookJob, besides later: [HookJob]) -> HookJob? {
    append(job)
    guard count + later.count > job.hook.queue else { return nil }
    var sizes: [String: Int] = [:]
    for waiting in self { sizes[waiting.account, default: 0] += 1 }
    for waiting in later { sizes[waiting.account, default: 0] += 1 }
    // Of those that wait: what is to be tried again has been begun.
    let present = Set(map(\.account))
    let most = present.max { (sizes[$0] ?? 0, $0) < (sizes[$1] ?? 0, $1) }
    guard let index = lastIndex(where: { $0.account == most }) else { return popLast() }
    return remove(at: index)
  }

  /// The run to be started next: the first that may be, of the account that was served longest ago.
  /// - Parameters:
  ///   - busy: runs of the same hook that are not over: of one alert a hook is told one thing after the other.
  ///   - served: when each account was served last, as a running number.
  func nextIndex(_ busy: [HookJob], served: [String: Int]) -> Int? {
    var ids = Set(busy.map(\.id))
    var best: (index: Int, served: Int)?
    for (index, job) in enumerated() where ids.insert(job.id).inserted {
      let when = served[job.account] ?? 0
      if best.map({ when < $0.served }) ?? true { best = (index, when) }
    }
    return best?.index
  }
}
