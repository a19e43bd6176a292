// SPDX-License-Identifier: Apache-2.0
// The queue of a hook, shared by accounts.

import Alerts
import Config
import Testing

@testable import Daemon

@Suite struct `A queue of a hook` {
  private func job(_ id: String, of account: String, word: AlertWord = .alert) -> HookJob {
    var hook = HookSettings(name: "h", action: .shell("true"))
    hook.queue = 10
    var alert = Alert(id: id, type: .leak, firstSeen: 0, unit: nil, members: [])
    alert.account = account
    return HookJob(hook, AlertEvent(word, alert), json: "{}")
  }

  @Test func `that one user has filled still takes the alerts of others`() {
    var queue: [HookJob] = []
    var dropped: [String] = []
    for number in 0..<4000 {
      if let job = queue.admit(job("a\(number)", of: "user attacker"), besides: []) { dropped.append(job.id) }
    }
    #expect(queue.count == 10 && queue.map(\.id) == (0..<10).map { "a\($0)" }, "the first ones stay")
    #expect(queue.admit(job("v", of: "victim.service (root)"), besides: [])?.account == "user attacker")
    #expect(queue.count == 10 && queue.last?.id == "v" && dropped.count == 3990)
    // And it is the next to be run.
    #expect(queue.nextIndex([], served: ["user attacker": 1]) == 9)
    #expect(queue.nextIndex([], served: ["user attacker": 1, "victim.service (root)": 2]) == 0)
  }

  @Test func `counts those that are to be tried again`() {
    var queue: [HookJob] = []
    let later = (0..<9).map { job("l\($0)", of: "user attacker") }
    #expect(queue.admit(job("a", of: "user attacker"), besides: later)?.id == nil)
    #expect(queue.admit(job("v", of: "root"), besides: later)?.id == "a")
  }

  @Test func `tells of one alert one thing after the other`() {
    var queue: [HookJob] = []
    for (id, word) in [("a", AlertWord.alert), ("a", .resolved), ("b", .alert)] {
      _ = queue.admit(job(id, of: "x", word: word), besides: [])
    }
    #expect(queue.nextIndex([], served: [:]) == 0)
    #expect(queue.nextIndex([queue[0]], served: [:]) == 2)
    queue.removeFirst()
    #expect(queue.nextIndex([job("a", of: "x")], served: [:]) == 1)
  }
}
