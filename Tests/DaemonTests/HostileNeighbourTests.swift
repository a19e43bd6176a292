// SPDX-License-Identifier: Apache-2.0
// An unprivileged user's processes against a daemon of root's that has as much memory as its unit gives it. Whatever they
// do, the daemon goes on, another one's leak is told in the journal and to hooks, and nothing of root's is read.

import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Daemon

/// A daemon with every source of profiles enabled, an attacker, and a service of root's that leaks.
private final class Neighbourhood {
  /// Not known by name, and owner of nothing; another one in each test, for the alerts of one user wait for each other.
  let attacker: UInt32
  private static let attackers = Atomic<UInt32>(61_234)
  static let memory = 64 << 20

  let place: RunningDaemon.Place
  private(set) var cgroup: MemoryCgroup?
  private var running: RunningDaemon?
  /// Where the attacker may write.
  let folder: String
  private var attacks: [ChildProcess] = []
  private let victimName: String

  init(_ name: String) throws {
    victimName = "dt-\(name)"
    attacker = Self.attackers.add(1, ordering: .relaxed).newValue
    place = try RunningDaemon.Place()
    folder = place.path + "/attacker"
    try Self.makeFolder(folder, of: attacker)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: place.path)
    try place.configure(
      RunningDaemon.watching(
        victimName,
        """
        [profiles]
        discover = true
        [[watch]]
        user = "\(attacker)"
        [[watch]]
        exe = "\(place.path)/*"
        [[hook]]
        name = "file"
        shell = "echo got $FDWATCH_EVENT of $FDWATCH_COMM"
        """))
    cgroup = MemoryCgroup.isUsable ? try MemoryCgroup(bytes: Self.memory) : nil
  }

  /// Started when it is first asked for: the attack stands by then, and nobody who was still root's was passed over.
  var daemon: RunningDaemon {
    get throws {
      if let running { return running }
      let daemon = try RunningDaemon(place, launcher: cgroup?.launcher ?? [])
      running = daemon
      try daemon.waitUntilItStarts()
      return daemon
    }
  }

  /// The daemon that is asked for next is another one, with the same state.
  func restart() throws {
    running = nil
    cgroup = MemoryCgroup.isUsable ? try MemoryCgroup(bytes: Self.memory) : nil
  }

  /// A folder of the attacker's, in his.
  func makeFolder(_ name: String) throws -> String {
    try Self.makeFolder(folder + "/" + name, of: attacker)
    return folder + "/" + name
  }

  private static func makeFolder(_ path: String, of attacker: UInt32) throws {
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: false,
      attributes: [.ownerAccountID: attacker, .groupOwnerAccountID: attacker])
  }

  /// Starts an attack, and returns when it stands, as it reports.
  @discardableResult func attack(
    _ words: String..., environment: [String: String] = [:], asRoot root: Bool = false,
    program: [String]? = nil, isReporting: Bool = true
  ) throws -> ChildProcess {
    let command = program ?? ["python3", Repository.path("Tests/neighbour/neighbour.py")] + words
    let asUser = root ? [] : ["setpriv", "--reuid", "\(attacker)", "--regid", "\(attacker)", "--clear-groups", "--"]
    let child = try ChildProcess(
      asUser + command, environment: ChildProcess.plainEnvironment.merging(environment) { $1 },
      workingDirectory: folder)
    if isReporting, try child.readLine() != "ready" {
      throw TestFailure("the attack does not stand: \(try child.finish().errors)")
    }
    attacks.append(child)
    return child
  }

  /// A leak of root's raises an alert, whatever goes on beside it; and the daemon is well.
  /// - Parameter others: leak as well: once the daemon knows that, it has read everything that they offer.
  func checkThatAVictimIsHeard(beside others: [ChildProcess] = []) throws {
    let victim = try leakingChild(named: victimName)
    try wait(
      for: ["\(victimName)[\(victim.pid)] leaks ", "got alert of \(victimName)"]
        + others.map { "[\($0.pid)] leaks " })
    // It may be degraded, as it cannot read what was offered: but it answers, and with nothing worse.
    #expect(try ["ok", "degraded"].contains(daemon.get("/healthz").split(separator: "\n").first))
    if let anonymous = cgroup?.anonymous {
      #expect(anonymous < Self.memory, "\(anonymous >> 20) MiB")
    } else {
      let most = try residentPeak(of: daemon.process.pid)
      #expect(most < Self.memory, "\(most >> 20) MiB")
    }
    #expect(try daemon.terminate().status == .exited(0))
  }

  private func wait(for all: [String]) throws {
    try daemon.process.read { text in all.allSatisfy { text.contains($0) } }
  }
}

/// What a process has had of memory at most.
private func residentPeak(of pid: Int32) throws -> Int {
  let line = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8).split(separator: "\n")
    .first { $0.hasPrefix("VmHWM:") }
  let kilobytes = try #require(line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) })
  return kilobytes << 10
}

/// A socket on which nobody but root may speak, and what was said on it.
private final class RootsSocket {
  let path: String
  private let server: ChildProcess

  init(in folder: String) throws {
    path = folder + "/root.sock"
    server = try ChildProcess([
      "python3", "-c",
      """
      import os, socket, sys
      os.umask(0o177)
      s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print("ready", flush=True)
      while True:
          c, _ = s.accept(); print("said", c.recv(100), flush=True)
      """, path,
    ])
    guard try server.readLine() == "ready" else { throw TestFailure("no socket: \(try server.finish().errors)") }
  }

  /// All that came in.
  func finish() throws -> String {
    server.send(SIGKILL)
    return try server.finish().output.replacing("said b''\n", with: "")
  }
}

@Suite(.enabled(if: Machine.canRunAsNobody, "needs root, and a build that others may execute"))
struct `A hostile neighbour` {
  @Test func `with times that no calendar has`() throws {
    let all = try Neighbourhood("times")
    let profile = all.folder + "/profile"
    let child = try all.attack("times", all.folder, environment: ["FDWATCH_PROFILE": profile])
    try all.checkThatAVictimIsHeard(beside: [child])
  }

  @Test func `with tables of a million entries`() throws {
    let all = try Neighbourhood("table")
    try all.checkThatAVictimIsHeard(
      beside: [all.attack("table", "1000000", "full"), all.attack("table", "1048576", "holes")])
  }

  @Test func `with profiles that unfold`() throws {
    let all = try Neighbourhood("profile")
    try all.checkThatAVictimIsHeard(
      beside: ["frames", "labels", "addresses", "compiler-map"].map { attack in
        let folder = try all.makeFolder(attack)
        return try all.attack(attack, folder, environment: ["FDWATCH_PROFILE": folder + "/profile"])
      })
  }

  @Test func `with ELF files that are traps`() throws {
    let all = try Neighbourhood("elf")
    try all.checkThatAVictimIsHeard(
      beside: ["deep", "symbol", "compressed", "shrinks"].map { kind in
        let folder = try all.makeFolder(kind)
        return try all.attack("elf", folder, kind, environment: ["FDWATCH_PROFILE": folder + "/profile"])
      })
  }

  @Test func `with a pattern of files that matches everything, over and over`() throws {
    let all = try Neighbourhood("glob")
    let child = try all.attack("idle", environment: ["FDWATCH_PROFILE": "/*/../*/../*/../*/../*/../*/../*"])
    try all.checkThatAVictimIsHeard(beside: [child])
  }

  @Test func `with thirty servers whose bodies never end`() throws {
    let all = try Neighbourhood("bodies")
    let children = try (0..<30).map { index in
      try all.attack(
        "slow", all.folder, "\(index)", "\(15 << 20)",
        environment: ["FDWATCH_PROFILE": "unix:\(all.folder)/slow-\(index).sock:/debug/pprof/file"])
    }
    try all.checkThatAVictimIsHeard(beside: children)
  }

  @Test func `with twenty processes of a megabyte of arguments each`() throws {
    let all = try Neighbourhood("args")
    for _ in 0..<20 {
      try all.attack(
        program: [
          "sh", "-c", "ulimit -s unlimited && exec \"$@\"", "sh", "python3",
          Repository.path("Tests/neighbour/neighbour.py"), "arguments", "500000",
        ])
    }
    try all.daemon.eventually { try all.daemon.status["watched"] as? Int ?? 0 >= 20 }
    try all.checkThatAVictimIsHeard()
  }

  @Test func `with forty leaks at once`() throws {
    let all = try Neighbourhood("storm")
    try all.attack("many", "40")
    try all.daemon.waitFor("neighbour", "leaks")
    try all.checkThatAVictimIsHeard()
  }

  @Test func `with a million descriptors`() throws {
    let all = try Neighbourhood("descriptors")
    try all.attack("descriptors", "60", "19000")
    try all.daemon.waitFor("has too many descriptors open to be looked at closely")
    try all.checkThatAVictimIsHeard()
  }

  @Test func `with five thousand long reports`() throws {
    let all = try Neighbourhood("reports")
    _ = try all.daemon
    try all.attack("reports", all.place.runtime + "/report.sock", "260")
    // All of it is saved, and read again by the next one.
    let saved = {
      try FileManager.default.attributesOfItem(atPath: all.place.state + "/alerts.json")[.size] as? Int ?? 0
    }
    try all.daemon.eventually { try saved() > 1 << 20 }
    try all.checkThatAVictimIsHeard()
    #expect(try saved() < StateStore.mostOfJSON)
    try all.restart()
    try all.checkThatAVictimIsHeard()
  }

  @Test func `with thousands of paths as long as there can be`() throws {
    let all = try Neighbourhood("paths")
    let child = try all.attack("paths", all.folder, "15000")
    try all.daemon.waitFor("[\(child.pid)] leaks ")
    try all.checkThatAVictimIsHeard()
  }

  @Test func `with a program that has root's rights and the attacker's environment`() throws {
    let all = try Neighbourhood("suid")
    let secret = try secretFile(in: all)
    let program = all.place.path + "/sleep"
    try FileManager.default.copyItem(atPath: "/bin/sleep", toPath: program)
    try FileManager.default.setAttributes([.posixPermissions: 0o4755], ofItemAtPath: program)
    try all.attack(environment: ["FDWATCH_PROFILE": secret], program: [program, "600"], isReporting: false)
    try all.daemon.eventually { try all.daemon.status["watched"] as? Int ?? 0 >= 1 }
    try all.checkThatAVictimIsHeard()
    #expect(try !all.daemon.said.contains("SALT"))
  }

  @Test func `with a link that leads out of a root directory of its own`() throws {
    let all = try Neighbourhood("link")
    let secret = try secretFile(in: all)
    let jail = all.folder + "/jail"
    try FileManager.default.createDirectory(atPath: jail, withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(atPath: jail + "/profile", withDestinationPath: secret)
    let code = """
      import os, time
      os.chroot("\(jail)"); os.chdir("/")
      print("ready", flush=True)
      held = []
      while True:
          held.append(os.pipe()); time.sleep(0.02)
      """
    let child = try all.attack(
      environment: ["FDWATCH_PROFILE": "/profile"], asRoot: true,
      program: [
        "setpriv", "--reuid", "\(all.attacker)", "--regid", "\(all.attacker)", "--clear-groups",
        "--inh-caps", "+sys_chroot", "--ambient-caps", "+sys_chroot", "--", "python3", "-c", code,
      ])
    try all.checkThatAVictimIsHeard(beside: [child])
    #expect(try !all.daemon.said.contains("SALT"))
  }

  @Test func `with a socket whose path then leads to one of root's`() throws {
    let all = try Neighbourhood("swap")
    let victim = try RootsSocket(in: all.place.path)
    let path = all.folder + "/own.sock"
    let child = try all.attack(
      "swap", path, victim.path, environment: ["FDWATCH_PROFILE": "unix:\(path):/containers/json"])
    try all.checkThatAVictimIsHeard(beside: [child])
    #expect(try victim.finish() == "")
  }

  @Test func `with a URL that is read in two ways`() throws {
    let all = try Neighbourhood("url")
    let victim = try HTTPServer { _, connection in
      connection.answer(Array("victim".utf8))
      return true
    }
    let listener = try Loopback.listener()
    let own = try Loopback.port(of: listener)
    close(listener)
    let child = try all.attack(
      "port", "\(own)", environment: ["FDWATCH_PROFILE": "http://127.0.0.1:\(victim.port)#:\(own)/debug/pprof/file"])
    try all.checkThatAVictimIsHeard(beside: [child])
    #expect(victim.requests.isEmpty)
  }

  private func secretFile(in all: Neighbourhood) throws -> String {
    let path = all.place.path + "/secret"
    _ = FileManager.default.createFile(
      atPath: path, contents: Data("root:$y$SALT$HASH\n".utf8), attributes: [.posixPermissions: 0o600])
    return path
  }
}
