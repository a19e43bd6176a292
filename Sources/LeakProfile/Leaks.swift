// SPDX-License-Identifier: Apache-2.0
// The one funnel for reports of missing closes, whatever package they come from.
//
// Objects go away at bad moments: within a lock, on the last descriptor, on a thread that must not wait. So who reports
// puts a record of fixed size in a ring and goes on; a thread of our own does the rest.

import CLeakProfile
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Missing closes: who hears of them.
public enum Leaks {
  /// What happens with a report, beside ``reports``.
  public enum Handler: Sendable {
    case ignore
    /// A line for the report, and one for each frame.
    case standardError
    /// Called on a thread of its own, one report after the other.
    case logger(@Sendable (LeakReport) -> Void)
    /// The program ends there and then, on the thread that dropped it: for tests.
    case trap
    /// Sent to fdwatch, if it is there to take it.
    case daemon
  }

  /// ``Handler/ignore`` at first.
  public static var handler: Handler {
    get { state.withLock { $0.handler } }
    set {
      let isWanted = state.withLock { state in
        state.handler = newValue
        return state.publish()
      }
      if isWanted { Drain.start() }
    }
  }

  /// Reports from now on. Each call is a sequence of its own, with a buffer for 64: whoever is slower loses the oldest,
  /// and ``LeakReport/lost`` tells how many.
  public static var reports: Reports {
    let reports = state.withLock { state in
      let (reports, sink) = Reports.make { id in
        removeSink(id)
      }
      state.sinks.append(sink)
      _ = state.publish()
      return reports
    }
    Drain.start()
    return reports
  }

  /// Reports something else that was lost, in the reporter's own words. Never blocks, from any thread.
  public static func report(_ message: String, resource: String = "", descriptor: Int32? = nil) {
    switch Mode.current {
    case .off: return
    case .trap: fatalError(message)
    case .queue:
      unsafe leakprofile_report_put(message, resource, descriptor ?? -1, nil, 0)
      Drain.start()
    }
  }

  /// Waits until the reports so far have been handled, at most for so long. Returns whether they have.
  @discardableResult
  public static func flush(within patience: Duration = .seconds(1)) -> Bool { Drain.flush(within: patience) }

  static func dropped(_ profile: Profile, _ token: Profile.Token, _ name: String, descriptor: Int32) {
    let mode = Mode.current
    if mode == .off { return profile.remove(token) }
    let stack = profile.take(token)
    if mode == .trap { fatalError("\(profile.name)\(name.isEmpty ? "" : " " + name): missing close") }
    unsafe stack.withUnsafeBufferPointer {
      unsafe leakprofile_report_dropped(profile.name, name, descriptor, $0.baseAddress, Int32($0.count))
    }
    Drain.start()
  }

  // MARK: Who wants them

  /// All that a reporting thread looks at.
  enum Mode: UInt8, AtomicRepresentable {
    case off, queue, trap

    static var current: Mode { shared.load(ordering: .relaxed) }
    fileprivate static let shared = Atomic(Mode.off)
  }

  private struct State {
    var handler = Handler.ignore
    var sinks: [Reports.Sink] = []

    /// Returns whether the thread that handles reports is needed.
    func publish() -> Bool {
      let mode: Mode =
        switch handler {
        case .trap: .trap
        case .ignore: sinks.isEmpty ? .off : .queue
        case .standardError, .logger, .daemon: .queue
        }
      Mode.shared.store(mode, ordering: .relaxed)
      return mode == .queue
    }
  }

  // Held by who configures and by the thread that handles reports, never by who reports.
  private static let state = Mutex(State())

  private static func removeSink(_ id: Int) {
    state.withLock { state in
      state.sinks.removeAll { $0.id == id }
      _ = state.publish()
    }
  }

  fileprivate static func handle(_ raw: leakprofile_report) {
    let (handler, sinks) = state.withLock { ($0.handler, $0.sinks) }
    let report = LeakReport(raw)
    for sink in sinks { sink.put(report) }
    switch handler {
    case .ignore, .trap: break
    case .standardError: writeToStandardError("\(report)\n")
    case .logger(let log): log(report)
    case .daemon: unsafe withUnsafePointer(to: raw) { _ = unsafe leakprofile_report_send($0) }
    }
  }

  private static func writeToStandardError(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return }
      rest = rest.dropFirst(count)
    }
  }
}

// MARK: The thread that handles them

private enum Drain {
  /// The process in which it runs: a child of fork has none.
  private static let process = Atomic<Int32>(0)
  private static let handled = Atomic<UInt64>(0)
  private static let atExit: Void = { _ = atexit { Drain.flush(within: .milliseconds(200)) } }()

  static func start() {
    let own = getpid()
    let known = process.load(ordering: .relaxed)
    if known == own { return }
    guard process.compareExchange(expected: known, desired: own, ordering: .relaxed).exchanged else { return }
    var (all, before) = (sigset_t(), sigset_t())
    unsafe sigfillset(&all)
    // Signals of the program are for its own threads.
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let error = unsafe pthread_create(
      &thread, nil,
      { _ in
        Drain.run()
        return nil
      }, nil)
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    if error == 0 {
      #if canImport(Darwin)
        if let thread = unsafe thread { unsafe pthread_detach(thread) }
      #else
        pthread_detach(thread)
      #endif
      _ = atExit
    } else {
      process.store(0, ordering: .relaxed)
    }
  }

  private static func run() {
    var report = leakprofile_report()
    while true {
      leakprofile_report_wait()
      while unsafe leakprofile_report_next(&report) != 0 {
        let (_, taken) = progress
        Leaks.handle(report)
        handled.store(taken, ordering: .releasing)
      }
    }
  }

  private static var progress: (put: UInt64, taken: UInt64) {
    var (put, taken): (UInt64, UInt64) = (0, 0)
    unsafe leakprofile_report_progress(&put, &taken)
    return (put, taken)
  }

  @discardableResult
  static func flush(within patience: Duration) -> Bool {
    let wanted = progress.put
    var left = patience
    while handled.load(ordering: .acquiring) < wanted {
      if process.load(ordering: .relaxed) != getpid() || left <= .zero { return false }
      var pause = timespec(tv_sec: 0, tv_nsec: 1_000_000)
      unsafe nanosleep(&pause, nil)
      left -= .milliseconds(1)
    }
    return true
  }
}
