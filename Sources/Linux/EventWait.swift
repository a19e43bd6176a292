// SPDX-License-Identifier: Apache-2.0
// Waiting for the next thing to do: a time, a signal, a process that exits.

import CLinux
import Glibc

/// A signal that ends or changes a watch.
package enum Signal: Sendable, Equatable {
  /// SIGINT and SIGQUIT: Ctrl-C, Ctrl-\\.
  case interrupt
  /// SIGTERM.
  case terminate
  /// SIGHUP: the terminal has gone, or a daemon is to read its configuration again.
  case hangUp
  /// SIGWINCH: the terminal has another size.
  case windowChanged
  /// SIGTSTP: Ctrl-Z.
  case stop
}

/// The signals above, as a queue instead of an interruption. See signalfd(2).
package struct SignalQueue: ~Copyable {
  private let descriptor: Descriptor

  /// Becomes readable when a signal comes in.
  package var number: CInt { descriptor.number }

  /// Blocks the signals in the calling thread and those that it will start.
  package init() throws(SystemCallError) {
    descriptor = Descriptor(owning: try retrying("signalfd") { fdwatch_signals_open() })
  }

  /// Waits until a signal comes in, until one of the processes exits, or until `deadline`, whichever is first.
  ///
  /// A signal that came in earlier returns at once.
  package func wait(until deadline: Instant, orExitOf processes: [ExitHandle] = []) throws(SystemCallError) -> Signal? {
    if let signal = try next() { return signal }
    var waits = [pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)]
    for process in processes { waits.append(pollfd(fd: process.number, events: Int16(POLLIN), revents: 0)) }
    let left = deadline - .now
    if left > .zero {
      let ready = unsafe poll(&waits, nfds_t(waits.count), left.pollTimeout)
      if ready < 0, errno != EINTR { throw .last("poll") }
    }
    return try next()
  }

  /// The next signal that has come in, if any.
  package func next() throws(SystemCallError) -> Signal? {
    while true {
      switch fdwatch_signals_next(descriptor.number) {
      case 0: return nil
      case SIGINT, SIGQUIT: return .interrupt
      case SIGTSTP: return .stop
      case SIGTERM: return .terminate
      case SIGHUP: return .hangUp
      case SIGWINCH: return .windowChanged
      case -1: throw .last("read")
      default: continue
      }
    }
  }
}

/// Becomes readable when its process exits. See pidfd_open(2).
package final class ExitHandle: Sendable {
  private let descriptor: Descriptor

  package var number: CInt { descriptor.number }

  package init(pid: Int32) throws(SystemCallError) {
    descriptor = Descriptor(owning: try retrying("pidfd_open") { fdwatch_pidfd_open(pid) })
  }
}
