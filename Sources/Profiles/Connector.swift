// SPDX-License-Identifier: Apache-2.0
// Connecting: we do it ourselves, so that what was checked is what is asked, and so that failures can be explained.

import Descriptors
import Linux
import Procfs

enum Connector {
  /// A connection to which nothing has been sent, and whose other end is who it should be.
  ///
  /// This may wait: for a server whose queue is full, for a name server, for a file system on the way to a socket.
  /// - Parameter source: for messages.
  static func connect(
    to destination: Destination, source: String, timeout: Duration
  ) throws(ProfileError) -> Descriptor {
    let connection: Descriptor
    do throws(Refusal) {
      switch destination.place {
      case .tcp(let host, let port): connection = try internet(host, port, timeout)
      case .unix(let path, let root): connection = try unix(path, root, timeout)
      case .abstract(let name): connection = try abstract(name, timeout)
      }
    } catch {
      throw .refused(source: source, reason: error.reason)
    }
    if let objection = destination.claim?.objection(to: connection) {
      throw .foreign(source: source, reason: objection)
    }
    return connection
  }

  private struct Refusal: Error {
    var reason: String
  }

  private static func internet(
    _ host: HTTPEndpoint.Host, _ port: UInt16, _ timeout: Duration
  ) throws(Refusal) -> Descriptor {
    let began = Instant.now
    let addresses: [String] =
      switch host {
      case .address(let address): ["\(address)"]
      case .localhost: ["\(IPAddress.loopback4)", "\(IPAddress.loopback6)"]
      case .name(let name): Host.addresses(ofName: name)
      }
    var refusal = Refusal(reason: "its name has no address")
    for address in addresses {
      // Looking a name up does not count: resolv.conf(5) has a limit of its own for it.
      let left = host.isName ? timeout : timeout - (.now - began)
      if left <= .zero { break }
      do throws(SystemCallError) {
        return try Descriptor(connectedTo: address, port: port, timeout: left)
      } catch {
        refusal = Refusal(reason: error.isTimeout ? "no answer within \(timeout)" : error.reason.lowercasedFirst)
      }
    }
    throw refusal
  }

  private static func abstract(_ name: String, _ timeout: Duration) throws(Refusal) -> Descriptor {
    do { return try Descriptor(connectedToAbstract: name, timeout: timeout) } catch {
      throw Refusal(reason: error.isTimeout ? full(timeout) : error.reason.lowercasedFirst)
    }
  }

  private static func unix(_ path: String, _ root: Int32?, _ timeout: Duration) throws(Refusal) -> Descriptor {
    let handle: Descriptor
    do throws(SystemCallError) {
      handle = try Self.handle(of: path, root)
    } catch {
      throw Refusal(
        reason: error.meaning == .notPermitted
          ? "permission denied: fdwatch may not search a directory on the way to the socket"
          : error.meaning == .noSuchEntry ? "there is no such socket" : error.reason.lowercasedFirst)
    }
    do throws(SystemCallError) {
      if try handle.state().type != .socket { throw SystemCallError.notASocket }
      return try Descriptor(connectedToSocket: handle, timeout: timeout)
    } catch {
      throw Refusal(reason: explained(error, handle, path, timeout))
    }
  }

  private static func handle(of path: String, _ root: Int32?) throws(SystemCallError) -> Descriptor {
    guard let root else { return try Descriptor(path: path) }
    return try Descriptor(path: path, inRoot: try Descriptor(path: "/proc/\(root)/root"))
  }

  private static func explained(
    _ error: SystemCallError, _ handle: borrowing Descriptor, _ path: String, _ timeout: Duration
  ) -> String {
    if error == .notASocket { return "it is not a socket" }
    if error.isTimeout { return full(timeout) }
    if error.isRefusal { return "connection refused: no process listens on the socket any more" }
    guard error.meaning == .notPermitted, let found = try? handle.permissions() else {
      return error.reason.lowercasedFirst
    }
    let digits = String(found.mode & 0o777, radix: 8)
    let mode = String(repeating: "0", count: 4 - digits.count) + digits
    let owner = Host.userName(found.owner).printable
    // fdwatch.service has no CAP_DAC_OVERRIDE: root is one user among others there.
    let advice =
      Host.effectiveUser == 0
      ? "let the group root write: chgrp root \(path.printable) && chmod g+w \(path.printable), or SocketGroup=root and "
        + "SocketMode=0660 in its .socket unit"
      : "run fdwatch as root" + (found.owner == 0 ? "" : " or as \(owner)")
    return "permission denied: fdwatch lacks write permission on the socket (mode \(mode), owner \(owner)); \(advice)"
  }

  private static func full(_ timeout: Duration) -> String {
    "its queue of connections was full for \(timeout): the process hangs, or has no descriptor left to accept with"
  }
}

extension HTTPEndpoint.Host {
  fileprivate var isName: Bool { if case .name = self { true } else { false } }
}

extension String {
  /// The C library's words begin with a capital letter.
  fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
