// SPDX-License-Identifier: Apache-2.0
// A process that gives up nearly all that it could do, and what it may use up. See prctl(2), getrlimit(2).

import CLinux

/// What is left to a helper that reads foreign bytes.
package struct Confinement: Sendable {
  /// Private memory: a profile of 16 MiB and all that is made of it take 100 MiB. A larger program is read in pieces.
  package var dataBytes: UInt64 = 256 << 20
  package var stackBytes: UInt64 = 8 << 20
  /// Of the whole process.
  package var cpuSeconds: UInt64 = 300
  /// The files of 128 programs, as many of debug data, and a few.
  package var descriptors: UInt64 = 320
  /// Whom root becomes: the kernel's overflow uid, by custom `nobody`.
  package var user: UInt32 = 65534

  package init() {}

  /// Confines this process, for good.
  package func enter() throws(SystemCallError) {
    var limits = fdwatch_confinement(
      data_bytes: dataBytes, stack_bytes: stackBytes, cpu_seconds: cpuSeconds, descriptors: descriptors, user: user)
    if unsafe fdwatch_confine(&limits) != 0 { throw .last("confine") }
  }

  /// Ends this process by SIGXCPU once it has used so much more processor time.
  package static func allowCPU(seconds: UInt32) { _ = fdwatch_allow_cpu(seconds) }

  /// Processor time that this process has used.
  package static var usedCPU: Duration { .nanoseconds(fdwatch_cpu_nanoseconds()) }
}
