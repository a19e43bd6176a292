// SPDX-License-Identifier: Apache-2.0
// The files of /proc/PID, read as they are from a copy of a tree.

import Glibc
import Linux

@testable import Descriptors
@testable import Procfs

/// A process as it should be, in which one file at a time is replaced.
private struct ProcessTree {
  static let pid: Int32 = 4711
  static let files: [(name: String, usual: String)] = [
    ("stat", "4711 (app) S 1 4711 4711 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 2 0 5000 1 1 1 0 0 0\n"),
    ("status", "Name:\tapp\nUid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nFDSize:\t64\nNSpid:\t4711\n"),
    ("limits", "Limit\nMax open files            1024                 4096                 files\n"),
    ("cgroup", "0::/system.slice/app.service\n"),
    ("mountinfo", "30 1 8:1 / / rw - ext4 /dev/sda1 rw\n"),
    ("cmdline", "app\0--serve\0"), ("environ", "A=b\0FDWATCH_PROFILE=/x\0"), ("comm", "app\n"), ("maps", ""),
    ("../self/mounts", "proc /proc proc rw 0 0\n"), ("auxv", ""),
  ]
  let root = Scratch.folder + "/proc"

  init() {
    for folder in ["", "/self", "/\(Self.pid)", "/\(Self.pid)/fd", "/\(Self.pid)/fdinfo"] {
      Scratch.make(root + folder)
    }
    for file in Self.files { write(Array(file.usual.utf8), to: file.name) }
    write(Array("pos:\t0\nflags:\t02\nmnt_id:\t30\n".utf8), to: "fdinfo/3")
    symlink("/srv/file", "\(root)/\(Self.pid)/fd/3")
  }

  func write(_ bytes: [UInt8], to name: String) { Scratch.write(bytes, to: "proc/\(Self.pid)/\(name)") }

  func relink(_ text: String) {
    unlink("\(root)/\(Self.pid)/fd/3")
    symlink(text, "\(root)/\(Self.pid)/fd/3")
  }

  /// All that is ever read of a process.
  func read() {
    guard let procfs = try? Procfs(path: root) else { fatalError("no tree at \(root)") }
    _ = procfs.hidesProcesses
    guard var process = try? ProcessDirectory(pid: Self.pid, in: procfs) else { return }
    _ = try? process.limits()
    _ = try? process.controlGroup()
    _ = try? process.identity()
    _ = try? process.commandLine(upTo: ProcessDirectory.shownCommandLine)
    _ = try? process.innermostPid()
    try? process.forEachTarget(most: 10) { _, _ in true }
    _ = try? process.details(of: 3)
    _ = process.environment("FDWATCH_PROFILE")
    _ = try? process.collector()
    check((try? process.mappedCode(most: 100)).map { $0.count <= 100 } ?? true, "more than was asked for")
    _ = process.speaksForItself
    _ = try? process.explainEmptyTable()
    _ = process.explainDenial(.gone)
    var table = DescriptorTable()
    for verification in [DescriptorTable.Verification.none, .deep, .links] {
      var poll = Poll(time: .zero, count: 0)
      do { try table.census(of: &process, verifying: verification, into: &poll) } catch { return }
      check(poll.count == table.count, "the census counts \(table.count) and says \(poll.count)")
    }
  }
}

/// What is read piece by piece does not depend on where the pieces end.
private func checkPieces(_ bytes: [UInt8]) {
  var (whole, parts) = (EnvironmentSearch(for: "A"), EnvironmentSearch(for: "A"))
  let found = whole.take(bytes) ?? whole.end()
  check(found == bytes.lazy.compactMap { parts.take([$0]) }.first ?? parts.end(), "another variable in pieces")
  var search = CollectorSearch()
  for byte in bytes { search.take([byte]) }
  search.end()
  check(search.found == Collector(maps: bytes), "another collector in pieces")
}

extension Target {
  static var process: Target {
    let tree = ProcessTree()
    return Target { bytes in
      guard let (choice, rest) = bytes.choosing(among: ProcessTree.files.count) else { return }
      let file = ProcessTree.files[choice]
      tree.write(rest, to: file.name)
      tree.read()
      tree.write(Array(file.usual.utf8), to: file.name)
      for mount in [0, 30, Int32.max] as [Int32] { _ = Mounts.type(of: mount, in: rest) }
      checkPieces(rest)
    }
  }

  /// A link's text, a zero byte, and the descriptor's `fdinfo`.
  static var fdinfo: Target {
    let tree = ProcessTree()
    return Target { bytes in
      let (link, info) = bytes.halves
      let details = DescriptorDetails(fdinfo: Array(info))
      let essentials = DescriptorEssentials(fdinfo: Array(info).span)
      // Two readers of one file: where all is as the kernel writes it, they agree.
      let keys = lines(info).map { $0.prefix { $0 != UInt8(ascii: ":") }.string }
      if details.unknown.isEmpty, Set(keys).count == keys.count, keys.allSatisfy({ $0.allSatisfy(\.isLetter) }),
        lines(info).allSatisfy({ $0.last.map { !isBlank($0) } ?? true })
      {
        check(details.position == essentials.position, "position \(details.position), \(essentials.position)")
        check(details.flags == essentials.flags, "flags \(details.flags), \(essentials.flags)")
        check(details.inode == essentials.inode, "inode \(details.inode as Any), \(essentials.inode as Any)")
      }
      guard !link.isEmpty, link.count < 4096 else { return }
      tree.relink(link.string)
      tree.write(Array(info), to: "fdinfo/3")
      tree.read()
    }
  }
}
