// SPDX-License-Identifier: Apache-2.0
// What the socket tables add to a census: family, state, peer, unread bytes.

import Descriptors

extension DescriptorTable {
  /// Whether the tables have something to tell: of sockets that are new, or at a verification of those whose state may
  /// have changed.
  package func hasSocketsToRead(isVerification: Bool) -> Bool {
    entries.contains { $0.kind.isSocket && ($0.lookup == .due || (isVerification && $0.lookup != .otherFamily)) }
  }

  /// Adds to `poll` what the socket tables tell that is new: families once, TCP's state when it changes.
  ///
  /// - Parameter isCurrent: the tables were read after the last census. Otherwise a socket that they lack may be younger.
  package mutating func readSockets(in snapshot: SocketSnapshot, isCurrent: Bool = true, into poll: inout Poll) {
    var told: Set<UInt32> = []
    for index in entries.indices where entries[index].kind.isSocket && entries[index].lookup != .otherFamily {
      let inode = entries[index].node
      if let socket = snapshot[inode] {
        take(socket, at: index, &told, into: &poll)
      } else if isCurrent, entries[index].lookup == .due {
        // Neither bound nor connected: in no table yet.
        entries[index].lookup = .inNoTable
        if told.insert(inode).inserted {
          poll.families.append(Poll.FamilyChange(inode: UInt64(inode), kind: .socket))
        }
      }
    }
  }

  /// Those of its sockets that take connections, each with one descriptor of it.
  package func listeners(in snapshot: SocketSnapshot) -> [(descriptor: Int32, socket: SocketEntry)] {
    var numbers: [UInt32: Int32] = [:]
    for entry in entries where entry.kind.isSocket { numbers[entry.node] = entry.number }
    return numbers.compactMap { inode, number in
      guard let socket = snapshot[inode], socket.isListening, socket.local != nil else { return nil }
      return (number, socket)
    }
  }

  /// - Parameter told: sockets of which another descriptor has told the same in this poll.
  private mutating func take(
    _ socket: SocketEntry, at index: Int, _ told: inout Set<UInt32>, into poll: inout Poll
  ) {
    let before = entries[index]
    entries[index].kind = socket.kind
    // The queue of one that listens holds connections that wait to be accepted, not bytes.
    let unread = socket.state == .listen ? 0 : UInt32(clamping: socket.unread)
    entries[index].unread = unread
    entries[index].lookup = socket.state == nil ? .otherFamily : .tcp
    if let state = socket.state { entries[index].state = state }
    let isNew = before.lookup != entries[index].lookup || before.state != entries[index].state
    guard isNew || before.unread != unread, told.insert(before.node).inserted else { return }
    if isNew, let state = socket.state {
      poll.tcp.append(Poll.TCPChange(inode: socket.inode, state: state, peer: socket.peer ?? ""))
    } else if isNew {
      poll.families.append(Poll.FamilyChange(inode: socket.inode, kind: socket.kind))
    }
    if before.unread != unread { poll.unread.append(Poll.UnreadChange(inode: socket.inode, bytes: UInt64(unread))) }
  }
}
