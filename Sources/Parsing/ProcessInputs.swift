// SPDX-License-Identifier: Apache-2.0
// What the daemon opens for the helper: files that the process itself has mapped, as the process would find them.

import Linux
import Pprof
import Procfs

/// A process that lives, for as long as one job takes.
package struct ProcessInputs: ~Copyable {
  private let directory: ProcessDirectory
  package let user: UInt32
  /// What it was given by whoever started it is its own.
  package let speaksForItself: Bool
  private let code: [MappedCode]

  /// - Parameter startTime: names it for good, with its number.
  /// - Throws: ``ProcfsError/gone`` where another process has its number by now.
  package init(_ process: ProcessKey, processes: String = "/proc") throws(ProcfsError) {
    let directory = try ProcessDirectory(pid: process.pid, in: Self.procfs(processes))
    if directory.startTime != process.startTime { throw .gone }
    let user = try directory.user()
    let speaksForItself = directory.speaksForItself
    // Without its mappings an address is a number.
    let code = (try? directory.mappedCode(most: MappingList.most)) ?? []
    (self.user, self.speaksForItself, self.code) = (user, speaksForItself, code)
    self.directory = directory
  }

  private static func procfs(_ path: String) throws(ProcfsError) -> Procfs {
    do throws(SystemCallError) { return try Procfs(path: path) } catch { throw ProcfsError(error, file: path) }
  }

  /// Where files are mapped.
  package var mappings: [Profile.Mapping] {
    code.map { Profile.Mapping(start: $0.start, limit: $0.limit, offset: $0.offset, file: $0.path) }
  }

  /// The paths of these files, each once.
  package var paths: [String] {
    var seen: Set<String> = []
    var found: [String] = []
    for part in code where found.count < ParseMessage.mostFiles && seen.insert(part.path).inserted {
      found.append(part.path)
    }
    return found
  }

  /// Its root folder.
  package func root() throws(SystemCallError) -> Descriptor { try directory.rootFolder() }

  /// Opens a mapped file. `nil` for what is another file by now, or one that is no business of the process's owner.
  package func open(_ path: String, below root: borrowing Descriptor) -> Descriptor? {
    // Replaced on disk, it no longer exists under its name; what has its place has other symbols.
    if path.hasSuffix(" (deleted)") { return nil }
    guard let handle = try? Descriptor(path: path, inRoot: root), let found = try? handle.identity() else { return nil }
    let isMapped = code.contains {
      $0.path == path && $0.inode == found.inode && $0.major == found.major && $0.minor == found.minor
    }
    // On an overlay or a btrfs the kernel writes another device than stat(2) gives.
    guard isMapped || found.isReadableByAll || found.owner == user else { return nil }
    return try? handle.openingRegularFile()
  }

  /// The map of its just-in-time compiler, in the `/tmp` that it sees. Anybody may write there: it must be its own.
  package func perfMap(below root: borrowing Descriptor) -> Descriptor? {
    guard speaksForItself, let inner = try? directory.innermostPid(),
      let handle = try? Descriptor(path: "/tmp/perf-\(inner).map", inRoot: root, followingLinks: false),
      let state = try? handle.state(), state.type == .regular, state.owner == user || state.owner == 0
    else { return nil }
    return try? handle.openingRegularFile()
  }
}

/// A process, named for good.
package struct ProcessKey: Sendable, Hashable {
  package var pid: Int32
  package var startTime: UInt64

  package init(pid: Int32, startTime: UInt64) { (self.pid, self.startTime) = (pid, startTime) }
}
