// SPDX-License-Identifier: Apache-2.0
// What is connected to, and whose it must be before a byte is sent.

import Descriptors
import Linux
import Procfs

/// Where a request goes, decided once: nothing is parsed or looked up again but what stands here.
struct Destination: Sendable, Hashable {
  enum Place: Sendable, Hashable {
    case tcp(HTTPEndpoint.Host, port: UInt16)
    /// - root: the process whose root the path begins at; `nil` for our own.
    case unix(path: String, root: Int32?)
    /// Without the zero byte, or `@`, that begins it.
    case abstract(name: String)
  }

  var place: Place
  /// The process that is asked.
  var pid: Int32
  /// `nil` where root named the address: the configuration, the command line or a unit.
  var claim: Claim?
}

/// What must hold of a connection where the process itself said where to ask, or where it was found among its sockets.
///
/// fdwatch may connect to more than the process may. So what it says counts only where it is itself that answers, which is
/// looked at after connecting, when nobody can put anything else there any more, and before anything is sent.
struct Claim: Sendable, Hashable {
  var pid: Int32
  /// The process's.
  var user: UInt32
  /// The process's sockets that are said to be the other end.
  var listeners: [Listener]
  /// Of the Internet.
  var address: IPAddress?
}

extension Claim {
  /// Why the other end is not the process's own socket, or `nil` if it is.
  func objection(to connection: borrowing Descriptor) -> String? {
    do {
      let process = try ProcessDirectory(pid: pid, in: try Procfs())
      return address == nil
        ? try unixObjection(connection, process) : try internetObjection(process)
    } catch {
      return "whose socket it is cannot be found out: \(error)"
    }
  }

  /// Those of the sockets that the process still holds, each with who made it.
  private func held(
    by process: borrowing ProcessDirectory
  ) throws(ProcfsError) -> [(listener: Listener, creator: UInt32)] {
    var found: [(listener: Listener, creator: UInt32)] = []
    for listener in listeners {
      if let socket = try process.heldSocket(at: listener.descriptor), socket.inode == listener.inode {
        found.append((listener, socket.creator))
      }
    }
    return found
  }

  /// The kernel says under which name the other end was bound, and which user listens there. The name must be that of the
  /// process's socket. The user must be the process's, or the one that made the very socket which the process holds: so it
  /// is where systemd, or a parent that was root once, opened it. What an unprivileged user makes is never root's.
  private func unixObjection(
    _ connection: borrowing Descriptor, _ process: borrowing ProcessDirectory
  ) throws -> String? {
    let peer = try connection.unixPeer()
    let held = try held(by: process)
    guard let first = held.first else { return "the process does not listen there any more" }
    let bound = first.listener.address
    let expected = bound.hasPrefix("@") ? [0] + Array(bound.utf8.dropFirst()) : Array(bound.utf8)
    guard peer.name == expected else { return "another socket answers there, and not that of the process" }
    if peer.user == user { return nil }
    for (listener, creator) in held where creator == peer.user {
      // A name with a line end in it can feign a line of the table, but not take the true one away.
      if try process.unixNames(ofInode: listener.inode) == [bound] { return nil }
    }
    return "a socket of the user \(Host.userName(peer.user).printable) answers there, and not that of the process"
  }

  /// Of the sockets that listen at the port, the kernel takes one that is bound to the very address before one that is bound
  /// to any. All of those that it may take must be the process's, or share its address by SO_REUSEPORT, which the kernel
  /// grants to one user's sockets only. That the process holds the same socket as when its sockets were listed, means
  /// that no other could be bound there in between.
  private func internetObjection(_ process: borrowing ProcessDirectory) throws -> String? {
    guard let address, let port = listeners.first?.endpoint?.port else { return "it has no address" }
    let own = Set(try held(by: process).map(\.listener.inode))
    if own.isEmpty { return "the process does not listen there any more" }
    let all = try process.tcpListeners().compactMap { listener in
      let endpoint = try? HTTPEndpoint.parse(authority: listener.address, defaultPort: nil)
      return endpoint?.port == port ? endpoint.map { (listener: listener, host: $0.host) } : nil
    }
    let exact = all.filter { $0.host == .address(address) }
    let wildcard = all.filter {
      guard case .address(let bound) = $0.host, bound.isWildcard else { return false }
      return bound.isVersion6 || !address.isVersion6
    }
    let candidates = exact.isEmpty ? wildcard : exact
    guard let mine = candidates.first(where: { own.contains($0.listener.inode) }) else {
      return "another process listens there"
    }
    let isShared = candidates.allSatisfy {
      own.contains($0.listener.inode)
        || ($0.listener.address == mine.listener.address && $0.listener.user == mine.listener.user)
    }
    return isShared ? nil : "another process listens there, too"
  }
}
