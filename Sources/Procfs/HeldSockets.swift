// SPDX-License-Identifier: Apache-2.0
// Whether a process still takes connections where it did, asked of one descriptor and of the kernel's tables.

import Descriptors
import Linux

/// A socket that a process has open.
package struct HeldSocket: Sendable, Equatable {
  package var inode: UInt64
  /// Who made it. An unprivileged process that holds a socket of root's was given it.
  package var creator: UInt32
}

/// A TCP socket that takes connections, whoever holds it.
package struct TCPListener: Sendable, Equatable {
  package var inode: UInt64
  /// `address:port`, or `[address]:port`.
  package var address: String
  package var user: UInt32
}

extension ProcessDirectory {
  /// The socket at one descriptor, or `nil` if that is not a socket any more.
  package func heldSocket(at number: Int32) throws(ProcfsError) -> HeldSocket? {
    do {
      let handle = try handle(of: "fd/\(number)")
      // Of the same handle both, as the process may put something else at this number meanwhile. The path of a file
      // begins with a slash, so that no file can bear the name of a socket.
      guard let text = try Descriptor(path: "/proc/self/fd").link(String(handle.number)), text.hasPrefix("socket:["),
        text.hasSuffix("]"), let inode = UInt64(text.dropFirst(8).dropLast())
      else { return nil }
      return HeldSocket(inode: inode, creator: try handle.permissions().owner)
    } catch {
      let error = ProcfsError(error, file: "fd/\(number)")
      if error == .gone { return nil }
      throw error
    }
  }

  /// All TCP sockets of its network namespace that take connections.
  ///
  /// The kernel lists them before all others, so that what is connected is not walked.
  package func tcpListeners() throws(ProcfsError) -> [TCPListener] {
    var found: [TCPListener] = []
    for table in [SocketTable.tcp, .tcp6] {
      let file = "net/" + table.rawValue
      do {
        let text = try openFile(file)
        // The heading is no line of a socket.
        var isFirst = true
        try text.forEachLine(most: 16 << 20) { line in
          if isFirst {
            isFirst = false
            return true
          }
          let fields = words(line)
          guard fields.count > 9, let inode = fields[9].unsigned(), let user = fields[7].unsigned(),
            let entry = table.entry(line, inode: inode)
          else { return true }
          guard entry.isListening else { return false }
          if let local = entry.local {
            found.append(TCPListener(inode: inode, address: local, user: UInt32(clamping: user)))
          }
          return true
        }
      } catch {
        // A kernel without IPv6 has no table of it.
        if table == .tcp6, error.meaning == .noSuchEntry { continue }
        throw ProcfsError(error, file: file)
      }
    }
    return found
  }

  /// The names that the table of UNIX sockets gives to one inode.
  ///
  /// There is one, unless somebody bound a name with a line end in it that looks like another socket's line.
  package func unixNames(ofInode inode: UInt64) throws(ProcfsError) -> [String] {
    let text = try contents(of: "net/unix", limit: Self.longestTables)
    var names: [String] = []
    SocketTable.unix.forEachLine(in: text) { found, line in
      if found == inode { names.append(SocketTable.unix.entry(text[line], inode: inode)?.local ?? "") }
    }
    return names
  }
}

extension Descriptor {
  /// Calls `body` with each line from here on, until it returns `false`.
  fileprivate func forEachLine(
    most: Int, _ body: (ArraySlice<UInt8>) -> Bool
  ) throws(SystemCallError) {
    var rest: [UInt8] = []
    var total = 0
    while let chunk = try receive(upTo: 64 << 10), !chunk.isEmpty {
      total += chunk.count
      if total > most { throw SystemCallError("read", errno: SystemCallError.tooLarge) }
      rest += chunk
      var start = rest.startIndex
      while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
        if !body(rest[start..<end]) { return }
        start = end + 1
      }
      rest.removeSubrange(..<start)
    }
  }
}
