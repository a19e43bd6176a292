// SPDX-License-Identifier: Apache-2.0
// What one look at a process yields. Live, recorded and synthetic polls are this one type.

/// What changed in a process's descriptor table since the poll before.
///
/// The first poll opens every descriptor that the process already held: their age is unknown, and at least 0.
package struct Poll: Sendable, Equatable {
  /// Time since the watch or the trace began, from a clock that does not jump. Whole milliseconds, so that a trace
  /// holds exactly what the detector was fed.
  package var time: Duration
  /// Open descriptors at this poll.
  package var count: Int
  /// Whether the table was enumerated. If not, this poll knows only ``count`` and the lists say nothing: what they do
  /// not name may have been opened or closed.
  package var isCensus: Bool
  /// Numbers open at the last census and not now, or reused since. Applied before ``opened``. Ascending.
  package var closed: [Int32] = []
  /// Descriptors that were not there at the last census. A number in both lists was reused. Ascending by number.
  package var opened: [Opened] = []
  /// Descriptors whose file offset changed.
  package var moved: [Moved] = []
  /// TCP sockets whose state or peer changed, or that were first read.
  package var tcp: [TCPChange] = []
  /// Sockets of other families, once, when the family was first read.
  package var families: [FamilyChange] = []
  /// Sockets whose receive queue changed.
  package var unread: [UnreadChange] = []
  /// The limits, at the first poll and at the one that first saw them change.
  package var limits: Limits?
  /// What closes descriptors that were dropped, at the poll that found it out.
  package var collector: Collector?
  /// What the process itself exported, where it was asked since the poll before.
  package var profiles: [ProfileSnapshot] = []
  /// What was seen of the use of suspects.
  package var usage: [UsageEvidence] = []

  package init(time: Duration, count: Int, isCensus: Bool = true) {
    self.time = time
    self.count = count
    self.isCensus = isCensus
  }
}

extension Poll {
  /// A descriptor that is new to us.
  package struct Opened: Sendable, Equatable {
    package var number: Int32
    /// The text of `/proc/<pid>/fd/<number>`.
    package var target: String
    /// 0 where it could not be read.
    package var inode: UInt64
    /// The open file description's flags, as in `fdinfo`.
    package var flags: UInt32
    /// The file offset in bytes.
    package var position: Int64
    package var kind: Kind

    /// - Parameter kind: what looking at the inode told; by default what the rest tells.
    package init(number: Int32, target: String, inode: UInt64, flags: UInt32, position: Int64, kind: Kind? = nil) {
      self.number = number
      self.target = target
      self.inode = inode
      self.flags = flags
      self.position = position
      self.kind = kind ?? Kind(target: target, flags: flags, position: position)
    }
  }

  package struct Moved: Sendable, Equatable {
    package var number: Int32
    package var position: Int64

    package init(number: Int32, position: Int64) {
      self.number = number
      self.position = position
    }
  }

  package struct TCPChange: Sendable, Equatable {
    package var inode: UInt64
    package var state: TCPState
    /// `address:port`, or `[address]:port`.
    package var peer: String

    package init(inode: UInt64, state: TCPState, peer: String) {
      self.inode = inode
      self.state = state
      self.peer = peer
    }
  }

  package struct FamilyChange: Sendable, Equatable {
    package var inode: UInt64
    package var kind: Kind

    package init(inode: UInt64, kind: Kind) {
      self.inode = inode
      self.kind = kind
    }
  }

  package struct UnreadChange: Sendable, Equatable {
    package var inode: UInt64
    package var bytes: UInt64

    package init(inode: UInt64, bytes: UInt64) {
      self.inode = inode
      self.bytes = bytes
    }
  }
}

/// `RLIMIT_NOFILE` of a process, in descriptors. See getrlimit(2).
package struct Limits: Sendable, Equatable, Codable {
  /// What `open(2)` is held to: the first number that it will not give out. `UInt64.max` if unlimited.
  package var soft: UInt64
  /// How far the process itself may raise ``soft``.
  package var hard: UInt64

  package init(soft: UInt64, hard: UInt64) {
    self.soft = soft
    self.hard = hard
  }
}

/// A TCP socket's state: the kernel's `include/net/tcp_states.h`, by the names that tcp(7), ss(8) and traces use.
package enum TCPState: String, CaseIterable, Sendable, Hashable {
  case established = "ESTABLISHED"
  case synSent = "SYN_SENT"
  case synReceived = "SYN_RECV"
  case finWait1 = "FIN_WAIT1"
  case finWait2 = "FIN_WAIT2"
  case timeWait = "TIME_WAIT"
  case close = "CLOSE"
  case closeWait = "CLOSE_WAIT"
  case lastAck = "LAST_ACK"
  case listen = "LISTEN"
  case closing = "CLOSING"
  case newSynReceived = "NEW_SYN_RECV"
}
