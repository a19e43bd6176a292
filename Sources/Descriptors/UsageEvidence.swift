// SPDX-License-Identifier: Apache-2.0
// What was seen of the use of a class's descriptors, and of who has their other ends.

/// A sign of use, or of its absence, that can be seen from outside. Traces have them by these names.
package enum UsageSign: String, Sendable, CaseIterable, Hashable {
  /// Of a pipe, a terminal or a pair of UNIX sockets: the other end is open nowhere, or only in this process, where nothing
  /// waits on it.
  case abandoned
  /// The other end is held by a living descendant, and not by this process too unless as the child's standard stream.
  case heldByChild = "held_by_child"
  /// A connected UNIX socket whose peer has closed.
  case peerClosed = "peer_closed"
  /// A TCP socket in CLOSE_WAIT whose end of file was read: nothing is left to do but close it.
  case endRead = "end_read"
  /// Data went over a TCP connection within half a minute.
  case active
  /// A thread sleeps in a call that names it, or an epoll instance that it is registered with.
  case waitedOn = "waited_on"
  /// It is in an epoll instance of the process.
  case registered
  /// An event loop that no thread waits on, though there are more loops than threads.
  case unattended
  /// A timer that is not set, or that expired and was not read between two looks.
  case timerIdle = "timer_idle"
  case watchesNothing = "watches_nothing"
  /// The process of a pidfd has exited.
  case processGone = "process_gone"
  case mapped
}

/// In how many members a sign was seen, of those in which it could be seen.
package struct UsageShare: Sendable, Equatable {
  package var shown: Int
  package var seen: Int

  package init(shown: Int = 0, seen: Int = 0) { (self.shown, self.seen) = (shown, seen) }

  package mutating func add(_ isShown: Bool) {
    seen += 1
    if isShown { shown += 1 }
  }
}

/// What one look at a class's survivors saw, and at as many other descriptors of the same kind.
///
/// A sign that could not be seen in any member is left out: it weighs nothing.
package struct UsageEvidence: Sendable, Equatable {
  /// One of the survivors, by which their class is found.
  package var descriptor: Int32
  /// How many survivors were looked at.
  package var looked: Int
  package var signs: [UsageSign: UsageShare] = [:]
  /// Of other descriptors of the same kind.
  package var siblings: [UsageSign: UsageShare] = [:]
  /// Threads of the process, and its living children.
  package var threads: Int?
  package var children: Int?

  package init(descriptor: Int32, looked: Int) { (self.descriptor, self.looked) = (descriptor, looked) }
}

/// A class whose use is worth a look: what it holds, and which of its members to look at.
package struct UsageSuspect: Sendable, Equatable {
  package var kind: Kind
  package var isCloseWait: Bool
  package var survivors: [Member]
  package var siblings: [Int32]

  package struct Member: Sendable, Equatable {
    package var number: Int32
    /// In seconds.
    package var age: Double

    package init(number: Int32, age: Double) { (self.number, self.age) = (number, age) }
  }

  package init(kind: Kind, isCloseWait: Bool, survivors: [Member], siblings: [Int32]) {
    self.kind = kind
    self.isCloseWait = isCloseWait
    self.survivors = survivors
    self.siblings = siblings
  }
}
