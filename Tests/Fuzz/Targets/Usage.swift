// SPDX-License-Identifier: Apache-2.0
// What evidence of use is read from: system calls that threads sleep in, links of other processes, answers of sock_diag.

import Linux

@testable import Procfs

extension Target {
  /// One text, read as each of them.
  static var usage: Target {
    Target { bytes in
      switch ThreadWait(syscall: bytes) {
      case .events, .transfer: check(bytes.contains(UInt8(ascii: "x")), "a descriptor that was not named")
      case .several, .nothing, .running: break
      }
      if let object = HeldObject(link: bytes.span) {
        check(bytes.count < 40, "a name that no object has: \(object)")
        check(bytes.first != UInt8(ascii: "/") || bytes.starts(with: "/dev/".utf8), "a file is taken for \(object)")
      }
      if let stat = try? ProcessStat(stat: bytes) {
        var tree = ProcessTree()
        // A parent of itself, and of its parent.
        tree.add(4711, stat)
        tree.add(stat.parent, stat)
        check(tree.descendants(of: 4711).count <= 2, "more processes than there are")
        _ = tree.descendants(of: stat.parent)
      }
    }
  }

  /// A first byte that says of which kind the answer is, and its messages.
  static var socketDiagnosis: Target {
    Target { bytes in
      guard let (kind, answer) = bytes.choosing(among: 2) else { return }
      var diagnosis = SocketDiagnosis(wanted: [0, 1, 88_123])
      diagnosis.beginDump()
      diagnosis.take(answer[...], isUnix: kind == 1)
      check(diagnosis.tcp.count + diagnosis.unix.count <= 3, "sockets that nobody asked about")
      check(kind == 0 ? diagnosis.unix.isEmpty : diagnosis.tcp.isEmpty, "one of the other kind")
    }
  }
}
