// SPDX-License-Identifier: Apache-2.0
// A process under test, and what a table knows of it.

import Descriptors
import Procfs
import TestSupport

/// One process, looked at again and again.
struct Watched: ~Copyable {
  var directory: ProcessDirectory
  var table = DescriptorTable()

  init(_ pid: Int32, in path: String = "/proc", counting: Procfs.Counting? = nil) throws {
    directory = try ProcessDirectory(pid: pid, in: try Procfs(path: path, counting: counting))
  }

  init(_ factory: FDFactory, counting: Procfs.Counting? = nil) throws { try self.init(factory.pid, counting: counting) }

  mutating func census(_ verification: DescriptorTable.Verification = .links) throws(ProcfsError) -> Poll {
    var poll = Poll(time: .zero, count: -1, isCensus: false)
    try table.census(of: &directory, verifying: verification, into: &poll)
    return poll
  }

  /// A census and the socket tables.
  mutating func censusWithSockets() throws(ProcfsError) -> Poll {
    var poll = try census()
    table.readSockets(in: try directory.sockets(), into: &poll)
    return poll
  }

  /// What ends a look at it, if something does.
  mutating func failure() -> ProcfsError? {
    do {
      _ = try census()
      return nil
    } catch { return error }
  }
}

extension Poll {
  subscript(number: Int32) -> Opened? { opened.first { $0.number == number } }
  var openedNumbers: [Int32] { opened.map(\.number) }
}

/// The path of a captured tree.
func fixture(_ name: String, file: String = #filePath) -> String {
  String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)]) + "/Fixtures/" + name
}
