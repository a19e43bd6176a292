// SPDX-License-Identifier: Apache-2.0
// What the socket tables add to a census: family, state, peer, unread bytes.

import Descriptors

extension DescriptorTable {
  /// Whether there are sockets of which the tables have not been asked yet.
  package var hasUnreadSockets: Bool { entries.contains { $0.kind == .socket && $0.lookup == .due } }

  /// Reads the socket tables and adds to `poll` what they tell that is new: families once, TCP's state when it changes.
  ///
  /// The cost follows all sockets of the network namespace: to be asked for, and not at every poll.
  package mutating func readSockets(
    of process: borrowing ProcessDirectory, into poll: inout Poll
  ) throws(ProcfsError) {
    var indices: [UInt64: Int] = [:]
    var isAnyDue = false
    var isAnyTCP = false
    for (index, entry) in entries.enumerated() where entry.kind.isSocket && entry.lookup != .otherFamily {
      indices[UInt64(entry.node)] = index
      if entry.lookup == .due { isAnyDue = true } else { isAnyTCP = true }
    }
    guard isAnyDue || isAnyTCP else { return }
    let tables: [SocketTable] = isAnyDue ? SocketTable.allCases : [.tcp, .tcp6]
    for socket in try process.sockets(in: tables, where: { indices[$0] != nil }) {
      guard let index = indices[socket.inode] else { continue }
      take(socket, at: index, into: &poll)
    }
    for index in indices.values.sorted() where entries[index].lookup == .due {
      // Neither bound nor connected: in no table yet. TCP's are looked at again next time.
      entries[index].lookup = .inNoTable
      poll.families.append(Poll.FamilyChange(inode: UInt64(entries[index].node), kind: .socket))
    }
  }

  private mutating func take(_ socket: SocketEntry, at index: Int, into poll: inout Poll) {
    entries[index].kind = socket.kind
    if let state = socket.state {
      if entries[index].lookup != .tcp || entries[index].state != state {
        poll.tcp.append(Poll.TCPChange(inode: socket.inode, state: state, peer: socket.peer ?? ""))
      }
      entries[index].lookup = .tcp
      entries[index].state = state
    } else {
      entries[index].lookup = .otherFamily
      poll.families.append(Poll.FamilyChange(inode: socket.inode, kind: socket.kind))
    }
    let unread = UInt32(clamping: socket.unread)
    if entries[index].unread != unread {
      entries[index].unread = unread
      poll.unread.append(Poll.UnreadChange(inode: socket.inode, bytes: UInt64(unread)))
    }
  }
}
