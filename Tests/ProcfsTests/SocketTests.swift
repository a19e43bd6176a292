// SPDX-License-Identifier: Apache-2.0
// Sockets of live children: states, addresses, other network namespaces.

import Descriptors
import Foundation
import Procfs
import TestSupport
import Testing

@Suite struct `Sockets of a child` {
  /// The entry of one of its descriptors.
  private func entry(_ child: FDFactory, _ number: Int32) throws -> SocketEntry? {
    var watched = try Watched(child)
    let inode = try watched.census()[number]?.inode
    return try watched.directory.sockets { $0 == inode }.first
  }

  @Test(
    arguments: [
      ("tcp-listen", .listen), ("tcp6", .listen), ("tcp-established", .established), ("tcp-close-wait", .closeWait),
    ] as [(String, TCPState)]) func `have their state`(kind: String, state: TCPState) throws
  {
    let child = try FDFactory()
    let found = try #require(try entry(child, try child.openOne(kind)))
    #expect(found.kind == .tcp && found.state == state && found.unread == 0)
  }

  @Test func `have their addresses`() throws {
    let child = try FDFactory()
    let ends = try child.open("tcp-established", 2).map { try #require(try entry(child, $0)) }
    #expect(ends[0].local == ends[1].peer && ends[0].peer == ends[1].local)
    #expect(ends[0].local != ends[0].peer)
    #expect(ends.allSatisfy { $0.local?.hasPrefix("127.0.0.1:") == true })
    let listener = try #require(try entry(child, try child.openOne("tcp6")))
    #expect(listener.local?.hasPrefix("[::1]:") == true && listener.peer == "[::]:0")
    let path = try #require(try entry(child, try child.openOne("unix-listen")))
    #expect(path.kind == .unix && path.local?.contains("/fdfactory-") == true)
  }

  @Test func `change their state in the next poll`() throws {
    let child = try FDFactory()
    let ends = try child.open("tcp-established", 2)
    var watched = try Watched(child)
    let first = try watched.censusWithSockets()
    #expect(first.tcp.map(\.state) == [.established, .established])
    try child.close([ends[1]])
    let second = try watched.censusWithSockets()
    #expect(second.tcp.map(\.state) == [.closeWait])
    #expect(second.tcp.map(\.inode) == [first[ends[0]]?.inode])
  }

  @Test(.enabled(if: Machine.hasNetworkNamespaces, "takes root, a network namespace and ip(8)"))
  func `are found in another network namespace`() throws {
    let child = try FDFactory(launcher: Machine.inNetworkNamespace)
    let number = try child.openOne("tcp-listen")
    #expect(try entry(child, number)?.state == .listen)
    // Nothing of it is in our own.
    var watched = try Watched(child)
    let inode = try #require(try watched.census()[number]?.inode)
    #expect(try Watched(getpid()).directory.sockets { $0 == inode }.isEmpty)
  }

  @Test func `that listen have as unread what waits to be accepted`() throws {
    let child = try FDFactory()
    let address = try #require(try entry(child, try child.openOne("tcp-listen"))?.local)
    let port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
    let ours = try Loopback.connection(to: port)
    defer { close(ours) }
    var watched = try Watched(child)
    #expect(try watched.censusWithSockets().unread.map(\.bytes) == [1])
    // Told when it changes, and not again.
    #expect(try watched.censusWithSockets().unread.isEmpty)
  }

  @Test func `have the bytes that nobody has read`() throws {
    // Both ends are ours: the factory's do not talk.
    let listener = try Loopback.listener()
    defer { close(listener) }
    let own = try Watched(getpid())
    func find(_ number: Int32) throws -> SocketEntry? {
      let target = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")
      return try own.directory.sockets { target == "socket:[\($0)]" }.first
    }
    let port = try #require(try find(listener)?.local?.split(separator: ":").last.flatMap { UInt16($0) })
    let near = try Loopback.connection(to: port)
    defer { close(near) }
    let far = try Loopback.accepted(by: listener)
    defer { close(far) }
    #expect(try find(far)?.unread == 0)
    try Loopback.send(1234, from: near, to: far)
    #expect(try find(far)?.unread == 1234)
    #expect(try find(near)?.unread == 0)
  }
}
