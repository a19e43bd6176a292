// SPDX-License-Identifier: Apache-2.0
// Sockets of live children: states, addresses, other network namespaces.

import Descriptors
import Foundation
import Linux
import Procfs
import TestSupport
import Testing

@Suite struct `Sockets of a child` {
  /// The entry of one of its descriptors.
  private func entry(_ child: FDFactory, _ number: Int32) throws -> SocketEntry? {
    var watched = try Watched(child)
    let inode = try #require(try watched.census()[number]?.inode)
    return try watched.directory.sockets()[UInt32(inode)]
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
    let own = try Watched(getpid())
    #expect(try own.directory.sockets()[UInt32(inode)] == nil)
    #expect(watched.directory.network == .another)
    #expect(own.directory.network == .ours)
  }

  @Test func `that listen have no unread bytes, but a queue of connections`() throws {
    let child = try FDFactory()
    let number = try child.openOne("tcp-listen")
    let address = try #require(try entry(child, number)?.local)
    let port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
    let ours = try Loopback.connection(to: port)
    defer { close(ours) }
    var watched = try Watched(child)
    #expect(try entry(child, number)?.unread == 1)
    #expect(try watched.censusWithSockets().unread.isEmpty)
  }

  @Test func `have the bytes that nobody has read`() throws {
    // Both ends are ours: the factory's do not talk.
    let listener = try Loopback.listener()
    defer { close(listener) }
    let own = try Watched(getpid())
    func find(_ number: Int32) throws -> SocketEntry? {
      let target = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")
      let inode = try #require(UInt32(target.dropFirst("socket:[".count).dropLast()))
      return try own.directory.sockets()[inode]
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

  @Test func `are read once for two processes of one namespace`() throws {
    let procfs = try Procfs()
    let children = try (0..<2).map { _ in try FDFactory() }
    let numbers = try children.map { try $0.openOne("tcp-listen") }
    let start = Instant.now
    var taken: [Instant] = []
    for (child, number) in zip(children, numbers) {
      var watched = try Watched(child)
      let inode = try #require(try watched.census()[number]?.inode)
      let snapshot = try #require(try procfs.sockets.snapshot(of: watched.directory, since: start))
      #expect(snapshot[UInt32(inode)]?.state == .listen)
      taken.append(snapshot.taken)
    }
    #expect(taken[0] == taken[1])
    // What is asked for anew so soon is not read: reading has its share of a core.
    #expect(try procfs.sockets.snapshot(of: try Watched(children[0]).directory, since: .now) == nil)
  }

  @Test(.enabled(if: Machine.hasNetworkNamespaces, "takes root, a network namespace and ip(8)"))
  func `are not mixed up with those of another namespace`() throws {
    let procfs = try Procfs()
    let children = [try FDFactory(), try FDFactory(launcher: Machine.inNetworkNamespace)]
    for child in children {
      let number = try child.openOne("tcp-listen")
      var watched = try Watched(child)
      let inode = try #require(try watched.census()[number]?.inode)
      let snapshot = try #require(try procfs.sockets.snapshot(of: watched.directory, since: .now))
      #expect(snapshot[UInt32(inode)]?.state == .listen)
    }
  }

  @Test func `stay unknown while the tables are older than they are`() throws {
    let child = try FDFactory()
    var watched = try Watched(child)
    let old = try watched.directory.sockets()
    let number = try child.openOne("tcp-listen")
    var poll = try watched.census()
    let inode = try #require(poll[number]?.inode)
    watched.table.readSockets(in: old, isCurrent: false, into: &poll)
    #expect(poll.families.isEmpty && poll.tcp.isEmpty)
    #expect(watched.table.hasSocketsToRead(isVerification: false))
    watched.table.readSockets(in: try watched.directory.sockets(), into: &poll)
    #expect(poll.tcp.map(\.inode) == [inode])
    #expect(!watched.table.hasSocketsToRead(isVerification: false))
    #expect(watched.table.hasSocketsToRead(isVerification: true))
  }

  @Test func `with several descriptors are told once`() throws {
    let child = try FDFactory()
    let number = try child.openOne("tcp-listen")
    _ = try child.duplicate(number, 2)
    var watched = try Watched(child)
    #expect(try watched.censusWithSockets().tcp.count == 1)
    #expect(!watched.table.hasSocketsToRead(isVerification: false))
  }
}
