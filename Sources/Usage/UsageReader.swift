// SPDX-License-Identifier: Apache-2.0
// Looks at the use of suspects: when, at what, and what it adds up to.

import Descriptors
import Linux
import Procfs

/// Reads, of one process, evidence of use: what its threads wait on, who has the other ends, what the kernel knows of its
/// sockets. Nothing of the process is opened, stopped or traced: links, `stat`, `fdinfo`, `task/…/syscall`, `net/` and
/// sock_diag(7) are all that is read.
package struct UsageReader: Sendable {
  /// Of one core, at most, for one process; and what may be spent at once, as a suspicion that is a minute old is the one
  /// that has to be settled.
  private static let share = 0.002
  private static let credit = Duration.milliseconds(150)
  /// Two looks are needed before anything is believed that looks final; later ones only keep up.
  private static let firstPause = Duration.seconds(5)
  private static let pause = Duration.seconds(10)

  private var next = Duration.zero
  private var looks = 0
  /// Since the first look, which was then.
  private var spent = Duration.zero
  private var first: Duration?
  /// As of the look before, by number.
  private var before: [Int32: Earlier] = [:]
  private var waiting = WaitHistory()
  private var sweep = Sweep()

  private struct Earlier {
    /// Tells a number that was reused.
    var identity: UInt64
    var signs: Set<UsageSign>
    var bytes: UInt64?
  }

  package init() {}

  package func isDue(at time: Duration) -> Bool { time >= next }

  /// - Parameters:
  ///   - time: since the watch began; two looks are at least some seconds apart.
  /// - Returns: evidence of each class of which something could be seen.
  package mutating func look(
    at suspects: [UsageSuspect], of process: borrowing ProcessDirectory, in procfs: borrowing Procfs, at time: Duration
  ) -> [UsageEvidence] {
    let began = Instant.threadTime
    let view = UsageView(suspects, of: process, in: procfs, waiting: &waiting, sweep: &sweep)
    var after: [Int32: Earlier] = [:]
    let found = suspects.map { evidence(of: $0, in: view, process, &after) }
    before = after
    looks += 1
    spent += Instant.threadTime - began
    let start = first ?? time
    first = start
    next = max(time + (looks < 3 ? Self.firstPause : Self.pause), start + (spent - Self.credit) / Self.share)
    return found.filter { $0.looked > 0 }
  }

  private func evidence(
    of suspect: UsageSuspect, in view: UsageView, _ process: borrowing ProcessDirectory, _ after: inout [Int32: Earlier]
  ) -> UsageEvidence {
    var found = UsageEvidence(descriptor: suspect.survivors.first?.number ?? -1, looked: 0)
    found.threads = view.threads
    found.children = view.children
    for member in suspect.survivors {
      let seen = view.signs(of: member, suspect, process)
      found.looked += 1
      let earlier = before[member.number].flatMap { $0.identity == seen.identity ? $0 : nil }
      var signs = seen.signs
      if suspect.kind == .tcp, let bytes = seen.bytes, let then = earlier?.bytes {
        // Data moved since the last look, whatever the clocks of a young connection say.
        if bytes != then { signs[.active] = true }
      }
      after[member.number] = Earlier(
        identity: seen.identity, signs: Set(signs.filter(\.value).keys), bytes: seen.bytes)
      for (sign, isShown) in signs {
        // What an ended child leaves is legal for a moment.
        if isShown, sign.isFinal, earlier?.signs.contains(sign) != true { continue }
        found.signs[sign, default: UsageShare()].add(isShown)
      }
    }
    for number in suspect.siblings {
      if let isShown = view.isRegistered(number) { found.siblings[.registered, default: UsageShare()].add(isShown) }
    }
    return found
  }
}

extension UsageSign {
  /// No use is possible any more; it has to be seen twice.
  fileprivate var isFinal: Bool {
    switch self {
    case .abandoned, .peerClosed, .endRead, .timerIdle, .watchesNothing, .processGone: true
    case .heldByChild, .active, .waitedOn, .registered, .unattended, .mapped: false
    }
  }
}

/// What was waited on lately: a thread that is busy now may have waited a moment ago.
struct WaitHistory: Sendable {
  private static let remembered = 6
  /// Numbers that were waited on, and the look at which they were last.
  private var numbers: [Int32: Int] = [:]
  /// Looks at which it was known of each thread what it waits for.
  private var fullViews: [Int] = []
  private var look = 0
  /// Until that look no epoll instance is read: the process held up the last reading.
  private var heldUpUntil = 0
  /// Ten minutes at least.
  private static let held = 60

  mutating func noteHeldUp() { heldUpUntil = look + Self.held }
  var isHeldUp: Bool { look < heldUpUntil }

  mutating func take(_ waits: [ThreadWait], isComplete: Bool) {
    look += 1
    numbers = numbers.filter { look - $0.value < Self.remembered }
    fullViews.removeAll { look - $0 >= Self.remembered }
    var isKnown = isComplete
    for wait in waits {
      switch wait {
      case .events(let number), .transfer(let number): numbers[number] = look
      case .several, .running: isKnown = false
      case .nothing: break
      }
    }
    if isKnown { fullViews.append(look) }
  }

  var waitedOn: Dictionary<Int32, Int>.Keys { numbers.keys }
  /// At two looks no wait can have been missed: what was not waited on then is not waited on.
  var isConclusive: Bool { fullViews.count >= 2 }
}
