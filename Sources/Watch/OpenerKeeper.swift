// SPDX-License-Identifier: Apache-2.0
// Who opened what a suspect leaks, for a process that exports nothing: it is traced, and the stacks come in as a profile.

import Descriptors
import Linux
import Openers
import Parsing
import Procfs
import Synchronization

/// When a watched process is traced.
package enum OpenerMode: String, Sendable, CaseIterable {
  /// Once something of it looks like a leak.
  case suspicion = "on-suspicion"
  /// From the beginning of the watch.
  case now
}

/// Traces one process, on a thread of its own, until it is let go of.
final class OpenerKeeper {
  private let process: ProcessKey
  private let parser: Parser
  private let mode: OpenerMode
  private let shared = Shared()
  private var hasStarted = false

  private final class Shared: Sendable {
    struct State {
      var snapshots: [(snapshot: ProfileSnapshot, taken: Instant)] = []
      var notes: [String] = []
      var isSuspicious = false
      var isEnded = false
    }
    let state = Mutex(State())
  }

  /// What was opened in the last second may be in use.
  private static let grace = Duration.seconds(1)
  /// Between two readings of what stacks hold; at most a twentieth of our time goes into it.
  private static let pause = Duration.seconds(2)

  init(_ process: ProcessKey, _ mode: OpenerMode, parser: Parser) {
    (self.process, self.mode, self.parser) = (process, mode, parser)
  }

  deinit { shared.state.withLock { $0.isEnded = true } }

  /// Takes in what was found since.
  func tick(isSuspicious: Bool) -> (snapshots: [(snapshot: ProfileSnapshot, taken: Instant)], notes: [String]) {
    if !hasStarted, isSuspicious || mode == .now {
      hasStarted = true
      let (process, parser, shared) = (process, parser, shared)
      do throws(SystemCallError) {
        try BackgroundThread.start { Self.trace(process, parser, shared) }
      } catch { return ([], ["its openers are not traced: \(error)"]) }
    }
    return shared.state.withLock { state in
      state.isSuspicious = isSuspicious
      defer { (state.snapshots, state.notes) = ([], []) }
      return (state.snapshots, state.notes)
    }
  }

  private static func trace(_ process: ProcessKey, _ parser: Parser, _ shared: Shared) {
    func note(_ text: String) { shared.state.withLock { $0.notes.append(text) } }
    do {
      let procfs = try Procfs()
      let directory = try ProcessDirectory(pid: process.pid, in: procfs)
      if directory.startTime != process.startTime { return }
      let trace = try OpenerTrace(directory)
      let clock = try Bell()
      var next = Instant.now + pause
      while true {
        // Twenty times a second, so that the ring does not fill.
        clock.wait(until: .now + .milliseconds(50))
        trace.read(directory)
        if trace.wasReplaced { throw OpenersError.replaced }
        if try !directory.isAlive { return }
        let (isEnded, isSuspicious) = shared.state.withLock { ($0.isEnded, $0.isSuspicious) }
        if isEnded { return }
        guard isSuspicious, Instant.now >= next else { continue }
        let began = Instant.now
        let survivors = try trace.survivors(directory, grace: grace)
        let stacks = try OpenerStacks(trace.groups(of: survivors), of: process, by: parser)
        let snapshot = ProfileSnapshot(stacks, survivors)
        shared.state.withLock { $0.snapshots.append((snapshot, began)) }
        next = .now + max(pause, (.now - began) * 20)
      }
    } catch ProcfsError.gone {
    } catch ProcfsError.zombie {
    } catch { note("its openers are not traced: \(error)") }
  }
}

extension ProfileSnapshot {
  /// What was opened unseen is in it, too, lest the rest be blamed for all.
  init(_ openers: OpenerStacks, _ survivors: Survivors) {
    var stacks = openers.stacks.map {
      StackCount(frames: $0.frames, count: $0.count, descriptors: $0.descriptors)
    }
    func add(_ numbers: [Int32], _ words: String) {
      let kept = numbers.filter { $0 % openers.stride == 0 }
      if !kept.isEmpty { stacks.append(StackCount(frames: [words], count: numbers.count, descriptors: kept)) }
    }
    add(survivors.before, "code that ran before tracing began")
    add(survivors.unseen, "code that tracing does not see")
    self.init(name: "openers", stacks: stacks)
    others = openers.others + survivors.unkept.count
    stride = openers.stride
  }
}
