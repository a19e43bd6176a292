// SPDX-License-Identifier: Apache-2.0
// The tables of /proc/PID/net, and what is mapped.

import Linux

@testable import Descriptors
@testable import Procfs

extension Target {
  /// One table, or two of them in one snapshot.
  static var sockets: Target {
    let tables = SocketTable.allCases
    return Target { bytes in
      guard let (choice, text) = bytes.choosing(among: tables.count) else { return }
      let (table, next) = (tables[choice], tables[(choice + 1) % tables.count])
      let snapshot = SocketSnapshot(taken: .now, tables: [(table, text), (next, text)])
      var lines = 0
      table.forEachLine(in: text) { inode, line in
        lines += 1
        if lines > 200 { return }
        check(line.lowerBound <= line.upperBound && line.upperBound <= text.count, "a line at \(line)")
        let number = UInt32(truncatingIfNeeded: inode)
        if let socket = snapshot[number] { check(socket.inode == UInt64(number), "the wrong socket") }
      }
    }
  }

  static var maps: Target {
    Target { bytes in
      _ = Collector(maps: bytes)
      for line in lines(bytes[...]) {
        guard let code = MappedCode(maps: line) else { continue }
        check(code.start < code.limit && code.path.hasPrefix("/"), "it lies nowhere")
      }
    }
  }
}
