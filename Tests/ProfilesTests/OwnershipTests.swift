// SPDX-License-Identifier: Apache-2.0
// A process of an unprivileged user names its sockets to a fdwatch that runs as root: what is asked is its own, or nothing.

import Descriptors
import Foundation
import Linux
import Pprof
import Profiles
import Synchronization
import TestSupport
import Testing

private let nobody: UInt32 = 65534

/// A process of another user, in Python. It prints a descriptor when it is ready, and answers every request with a profile.
private final class Neighbour {
  let process: TestSupport.ChildProcess
  let descriptor: Int32
  /// What it printed before.
  let said: String

  /// - Parameter set: what it does to have the listening socket `s`.
  init(_ set: String, asNobody: Bool = true, launcher: [String] = [], givenInput: CInt? = nil) throws {
    let drop = asNobody ? ["setpriv", "--reuid", "\(nobody)", "--regid", "\(nobody)", "--clear-groups", "--"] : []
    let body = profile(3).encoded().map { String(format: "%02x", $0) }.joined()
    let script = """
      import os, socket, subprocess, sys
      body = bytes.fromhex('\(body)')
      \(set)
      print(s.fileno(), flush=True)
      while True:
        c, _ = s.accept()
        if c.recv(65536): c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body) + body)
      """
    process = try TestSupport.ChildProcess(launcher + drop + ["python3", "-c", script], givenInput: givenInput)
    let words = (try process.readLine() ?? "").split(separator: " ")
    guard let number = words.last.flatMap({ Int32($0) }) else {
      throw TestFailure("no neighbour: \(try process.finish().errors)")
    }
    (descriptor, said) = (number, String(words[0]))
  }

  /// As a census finds it.
  func listener(_ address: String, isUnix: Bool) throws -> Listener {
    let text = try Descriptor(path: "/proc/\(process.pid)/fd").link(String(descriptor)) ?? ""
    guard let inode = UInt64(text.dropFirst(8).dropLast()) else { throw TestFailure("no socket: \(text)") }
    return Listener(inode: inode, address: address, isUnix: isUnix, descriptor: descriptor)
  }

  /// What comes of its environment naming `url`.
  func asked(_ url: String, _ listeners: Set<Listener>) throws -> Asking {
    let asking = try Asking(url, origin: .environment)
    asking.process = try ProfiledProcess(living: process.pid, user: nobody)
    asking.process.listeners = listeners
    try asking.run { !$0.snapshots.isEmpty || !$0.notes.isEmpty }
    return asking
  }
}

/// A server of root's on a socket that the caller made. Knows what was sent to it.
private final class Victim: Sendable {
  private let state = Mutex<(connections: Int, ended: Int, bytes: Int)>((0, 0, 0))
  let number: CInt

  init(_ listener: CInt) throws {
    number = listener
    try BackgroundThread.start { [weak self] in
      while true {
        let connection = accept(listener, nil, nil)
        if connection < 0 { return }
        self?.state.withLock { $0.connections += 1 }
        var bytes = [UInt8](repeating: 0, count: 65536)
        let got = unsafe recv(connection, &bytes, bytes.count, 0)
        self?.state.withLock { $0.bytes += max(0, got) }
        if got > 0 {
          let body = profile(3).encoded()
          let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
          _ = unsafe send(connection, answer, answer.count, CInt(MSG_NOSIGNAL))
        }
        close(connection)
        self?.state.withLock { $0.ended += 1 }
      }
    }
  }

  deinit {
    shutdown(number, CInt(SHUT_RDWR))
    close(number)
  }

  /// The bytes that all who connected have sent, once they have hung up.
  func received() throws -> Int {
    let deadline = Instant.now + .seconds(60)
    while true {
      let now = state.withLock { $0 }
      if now.connections == now.ended { return now.bytes }
      if Instant.now > deadline { throw TestFailure("a connection does not end") }
      usleep(1000)
    }
  }

  var connections: Int { state.withLock { $0.connections } }

  static func unix(at path: String) throws -> Victim {
    let descriptor = try Descriptor(listeningAt: path, mode: 0o600)
    _ = fcntl(descriptor.number, F_SETFL, 0)
    return try Victim(descriptor.release())
  }
}

@Suite(.enabled(if: Machine.isRoot && Machine.canRun("python3", "-c", "")))
struct `What a process names` {
  private let directory: TemporaryDirectory
  private var path: String { directory.path + "/app.sock" }

  init() throws {
    directory = try TemporaryDirectory()
    #expect(unsafe chmod(directory.path, 0o777) == 0)
  }

  private let bind = "s = socket.socket(socket.AF_UNIX); s.bind('%'); s.listen()"
  private func binding(_ path: String) -> String { bind.replacingOccurrences(of: "%", with: path) }

  @Test func `is asked where it listens itself`() throws {
    let neighbour = try Neighbour(binding(path))
    let asking = try neighbour.asked("unix:\(path):/p", [try neighbour.listener(path, isUnix: true)])
    #expect(asking.snapshots.first?.total == 3, "\(asking.notes)")
  }

  @Test func `is not asked where a link leads to a socket of root's`() throws {
    let secret = directory.path + "/root.sock"
    let victim = try Victim.unix(at: secret)
    let neighbour = try Neighbour(binding(path) + "; os.unlink('\(path)'); os.symlink('\(secret)', '\(path)')")
    let asking = try neighbour.asked("unix:\(path):/p?all=1", [try neighbour.listener(path, isUnix: true)])
    #expect(asking.notes.first?.contains("is not asked: another socket answers there") == true, "\(asking.notes)")
    #expect(try victim.connections == 1 && victim.received() == 0)
  }

  @Test func `is not asked where a socket of root's took its place`() throws {
    let neighbour = try Neighbour(binding(path) + "; os.unlink('\(path)')")
    let victim = try Victim.unix(at: path)
    let asking = try neighbour.asked("unix:\(path):/p", [try neighbour.listener(path, isUnix: true)])
    #expect(asking.notes.first?.contains("a socket of the user root answers there") == true, "\(asking.notes)")
    #expect(try victim.connections == 1 && victim.received() == 0)
  }

  @Test(.enabled(if: Machine.hasMountNamespaces))
  func `is not asked where a socket of root's with the same name is mounted over its own`() throws {
    let victim = try Victim.unix(at: path)
    let neighbour = try Neighbour(
      """
      run = lambda *words: subprocess.run(words, check=True)
      os.mkdir('\(directory.path)/real')
      run('mount', '--bind', '\(directory.path)', '/mnt')
      run('mount', '-t', 'tmpfs', 'none', '\(directory.path)')
      os.chmod('\(directory.path)', 0o777)
      os.seteuid(\(nobody))
      \(binding(path))
      os.seteuid(0)
      run('mount', '--bind', '/mnt/app.sock', '\(path)')
      os.setresuid(\(nobody), \(nobody), \(nobody))
      """, asNobody: false, launcher: ["unshare", "-m"])
    let asking = try neighbour.asked("unix:\(path):/p", [try neighbour.listener(path, isUnix: true)])
    #expect(asking.notes.first?.contains("a socket of the user root answers there") == true, "\(asking.notes)")
    #expect(try victim.connections == 1 && victim.received() == 0)
  }

  /// As systemd does it, and a parent that gives its rights up in its children: the socket is root's, the process is not.
  @Test func `is asked where root opened the socket and gave it to the process`() throws {
    let given = try Victim.unix(at: path)
    let neighbour = try Neighbour(
      "s = socket.socket(socket.AF_UNIX, fileno=0)\nprint(0, flush=True)\nimport time; time.sleep(1e6)",
      givenInput: given.number)
    let asking = try neighbour.asked("unix:\(path):/p", [try neighbour.listener(path, isUnix: true)])
    #expect(asking.snapshots.first?.total == 3, "\(asking.notes)")
  }

  /// The table of UNIX sockets prints names as they are, line ends and all.
  @Test func `is not asked where a feigned line gives a socket that root gave it another's name`() throws {
    let secret = directory.path + "/root.sock"
    let victim = try Victim.unix(at: secret)
    let given = try Victim.unix(at: path)
    let inode = try fileInode(given.number)
    let neighbour = try Neighbour(
      """
      s = socket.socket(socket.AF_UNIX, fileno=0)
      t = socket.socket(socket.AF_UNIX)
      t.bind('\\0x\\n0000000000000000: 00000002 00000000 00010000 0001 01 \(inode) \(secret)')
      print(0, flush=True)
      import time; time.sleep(1e6)
      """, givenInput: given.number)
    let asking = try neighbour.asked("unix:\(secret):/p", [try neighbour.listener(secret, isUnix: true)])
    #expect(asking.notes.first?.contains("a socket of the user root answers there") == true, "\(asking.notes)")
    #expect(try victim.received() == 0)
  }

  private func fileInode(_ number: CInt) throws -> UInt64 {
    var found = stat()
    guard unsafe fstat(number, &found) == 0 else { throw SystemCallError("fstat", errno: errno) }
    return UInt64(found.st_ino)
  }

  @Test func `is asked at the port where it listens itself`() throws {
    let neighbour = try Neighbour(
      "s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen(); print(s.getsockname()[1], end=' ')")
    let port = neighbour.said
    let own = try neighbour.listener("0.0.0.0:\(port)", isUnix: false)
    for host in ["127.0.0.1", "localhost", "127.9.9.9"] {
      let asking = try neighbour.asked("http://\(host):\(port)/p", [own])
      #expect(asking.snapshots.first?.total == 3, "\(asking.notes)")
    }
    // What it closed and somebody else opened is none of its own.
    var old = own
    old.inode += 1
    let asking = try neighbour.asked("http://127.0.0.1:\(port)/p", [old])
    #expect(asking.notes.first?.contains("does not listen there any more") == true, "\(asking.notes)")
  }

  /// A socket of version 6 that takes nothing of version 4 looks, in the tables, like one that does.
  @Test func `is not asked at a port where root listens at the very address`() throws {
    let listener = try Loopback.listener()
    let port = try Loopback.port(of: listener)
    let victim = try Victim(listener)
    let neighbour = try Neighbour(
      "s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1); "
        + "s.bind(('::', \(port))); s.listen()")
    let own = try neighbour.listener("[::]:\(port)", isUnix: false)
    let asking = try neighbour.asked("http://127.0.0.1:\(port)/p", [own])
    #expect(asking.notes.first?.contains("is not asked: another process listens there") == true, "\(asking.notes)")
    #expect(try victim.received() == 0)
    let version6 = try neighbour.asked("http://[::1]:\(port)/p", [own])
    #expect(version6.snapshots.first?.total == 3, "\(version6.notes)")
  }

  @Test(arguments: [
    "http://127.0.0.1:%#:1/p", "http://127.0.0.1:%@127.0.0.1:1/p", "http://127.0.0.1:%\\@127.0.0.1:1/p",
  ])
  func `is no source if two parsers can read it differently`(url: String) throws {
    let url = url.replacingOccurrences(of: "%", with: "6060")
    #expect(throws: ProfileError.self) { try ProfileAddress(parsing: url, pid: 1) }
  }

  @Test func `is not asked by https, nor under a name that looks like an address`() throws {
    let neighbour = try Neighbour(binding(path))
    let own = Listener(inode: 1, address: "127.0.0.1:443", isUnix: false, descriptor: 3)
    let encrypted = try neighbour.asked("https://127.0.0.1/p", [own])
    #expect(encrypted.notes.first?.contains("https is for what the configuration or the unit names") == true)
    let named = try neighbour.asked("http://127.evil.example:443/p", [own])
    #expect(named.notes.first?.contains("none of the sockets that it listens on: not asked") == true)
  }
}

@Suite struct `A socket that cannot be connected to` {
  private let directory: TemporaryDirectory
  private var path: String { directory.path + "/app.sock" }

  init() throws {
    directory = try TemporaryDirectory()
    #expect(unsafe chmod(directory.path, 0o777) == 0)
  }

  private func told(_ prepare: (String) throws -> Void) throws -> String {
    try prepare(path)
    let asking = try Asking("unix:\(path):/debug/pprof/file")
    try asking.run { !$0.notes.isEmpty }
    return asking.notes.first ?? ""
  }

  @Test func `is not there`() throws {
    #expect(try told { _ in }.hasSuffix("takes no connection: there is no such socket"))
  }

  @Test func `is a file`() throws {
    let text = try told { try Data().write(to: URL(fileURLWithPath: $0)) }
    #expect(text.hasSuffix("takes no connection: it is not a socket"))
  }

  @Test func `was left behind`() throws {
    let text = try told { _ = try Descriptor(listeningAt: $0, mode: 0o600).number }
    #expect(text.hasSuffix("connection refused: no process listens on the socket any more"), "\(text)")
  }

  @Test func `has a full queue`() throws {
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var filler: CInt = -1
    defer {
      close(listener)
      close(filler)
    }
    let text = try told { path in
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
      let bound = unsafe withUnsafePointer(to: &address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe Glibc.bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      #expect(bound == 0 && listen(listener, 0) == 0)
      // One waits in the queue, which is full with it.
      filler = try Descriptor(connectedTo: path, timeout: .seconds(1)).release()
    }
    #expect(text.contains("its queue of connections was full for"), "\(text)")
  }

  /// As fdwatch.service is: root without CAP_DAC_OVERRIDE.
  @Test(.enabled(if: Machine.isRoot && Machine.canRun("setpriv", "--bounding-set", "-dac_override", "--", "true")))
  func `is closed to root, which is told what to do`() throws {
    let listener = try Descriptor(listeningAt: path, mode: 0o755)
    #expect(unsafe chown(path, nobody, nobody) == 0 && listener.number >= 0)
    let factory = try FDFactory()
    let watch = try TestSupport.ChildProcess([
      "setpriv", "--bounding-set", "-dac_override", "--", Products.executable("fdwatch"), "\(factory.pid)", "--profile",
      "unix:\(path):/debug/pprof/file", "--interval", "250ms",
    ])
    defer { watch.send(SIGTERM) }
    try watch.read { $0.contains(".socket unit") }
    let text = watch.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(
      text.contains(
        "takes no connection: permission denied: fdwatch lacks write permission on the socket (mode 0755, owner nobody); "
          + "let the group root write: chgrp root \(path) && chmod g+w \(path), or SocketGroup=root and SocketMode=0660 in "
          + "its .socket unit"), "\(text)")
  }
}
