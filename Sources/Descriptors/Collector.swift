// SPDX-License-Identifier: Apache-2.0
// Whether something in a process closes what the program forgot.

/// What a process's runtime does with descriptors that its program drops without closing them.
///
/// A descriptor that was dropped is closed when a garbage collector finds its object: until then it looks just like one
/// that leaks.
package enum Collector: String, Sendable, CaseIterable {
  /// No runtime that is known for it.
  case none
  /// It runs every two minutes at least, as Go's (`forcegcperiod` in runtime/proc.go).
  case periodic
  /// It runs when memory is wanted, which may be never: the Java and .NET virtual machines, Ruby, Erlang, PyPy.
  case onDemand = "on-demand"
}
