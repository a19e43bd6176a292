// SPDX-License-Identifier: Apache-2.0
// stat, status, limits and mountinfo, as text.

import Descriptors
import Testing

@testable import Procfs

private func stat(_ text: String) throws(ProcfsError) -> ProcessStat { try ProcessStat(stat: Array(text.utf8)) }

/// What stands behind the name and the state.
private let rest = "1 4711 4711 0 -1 4194560 95 0 0 0 0 0 0 0 20 0 3 0 88123 2957312 192 18446744073709551615"

@Suite struct `A stat` {
  @Test(arguments: [
    "cat", "a b", "(", ")", ") Z 1 1 (", "a\nb", "a\n4712 (b) S 1", "", "\u{1b}[2J", "):", "((()",
  ]) func `is read whatever the name is`(name: String) throws {
    let known = ProcessStat(state: "S", startTime: 88123, threads: 3, flags: 4_194_560, parent: 1)
    #expect(try stat("4711 (\(name)) S \(rest)\n") == known)
  }

  @Test(arguments: ["", "4711", "4711 (cat", "4711 (cat)", "4711 (cat) S 1 2", "4711 (cat) S " + "x " + "1"])
  func `that is none is refused`(text: String) {
    #expect(throws: ProcfsError.malformed(file: "stat", line: text)) { try stat(text) }
  }

  @Test(arguments: [(0, nil), (34_816 + 7, 7), (35_072 + 1, 257), (1025, nil)] as [(UInt32, UInt64?)])
  func `tells the pseudoterminal that controls it`(device: UInt32, number: UInt64?) throws {
    let fields = rest.replacing("4711 4711 0 ", with: "4711 4711 \(device) ")
    #expect(try stat("4711 (sh) S \(fields)\n").terminal == number)
  }

  @Test func `tells who has exited`() {
    func hasExited(_ state: Character, _ threads: Int) -> Bool {
      ProcessStat(state: state, startTime: 0, threads: threads).hasExited
    }
    // PF_EXITING, while others of its threads live on.
    #expect(ProcessStat(state: "R", startTime: 0, threads: 1, flags: 0x40_0004).isExiting)
    #expect(!ProcessStat(state: "R", startTime: 0, threads: 2, flags: 0x40_0004).isExiting)
    #expect(!ProcessStat(state: "R", startTime: 0, threads: 1, flags: 0x40_0100).isExiting)
    #expect(hasExited("Z", 1) && hasExited("X", 1))
    // Its main thread alone has: the others run on.
    #expect(!hasExited("Z", 2))
    #expect(!hasExited("R", 1) && !hasExited("D", 1) && !hasExited("t", 1))
  }
}

@Suite struct `A status` {
  @Test func `tells users and the size of the table`() throws {
    let found = try ProcessStatus(
      status: Array("Name:\tUid:\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t5\t6\t7\t8\nFDSize:\t64\n".utf8))
    #expect(found.realUser == 1000 && found.user == 0 && found.tableSize == 64)
  }

  @Test(arguments: ["", "Uid:\t1\t1\t1\t1\n", "FDSize:\t64\n", "Uid:\tx\nFDSize:\t64\n", "Uid:\t0\t0\nFDSize:\t-1\n"])
  func `that lacks either is refused`(text: String) {
    #expect(throws: ProcfsError.malformed(file: "status", line: text)) { try ProcessStatus(status: Array(text.utf8)) }
  }
}

@Suite struct `The limits` {
  private func limits(_ values: String) throws(ProcfsError) -> Limits {
    try Limits(
      limits: Array(
        """
        Limit                     Soft Limit           Hard Limit           Units
        Max cpu time              unlimited            unlimited            seconds
        Max open files            \(values)
        Max locked memory         8388608              8388608              bytes

        """.utf8))
  }

  @Test func `are read from their line`() throws {
    #expect(try limits("1024                 524288               files     ") == Limits(soft: 1024, hard: 524288))
    #expect(try limits("0  0  files") == Limits(soft: 0, hard: 0))
    #expect(try limits("unlimited            unlimited            files") == Limits(soft: .max, hard: .max))
    #expect(
      try limits("1073741816           unlimited            files") == Limits(soft: 1_073_741_816, hard: .max))
  }

  @Test(arguments: ["", "1024", "many few files", "-1 -1 files", "1024 99999999999999999999999 files"])
  func `that are none are refused`(values: String) {
    #expect {
      try limits(values)
    } throws: { error in
      if case .malformed(file: "limits", _)? = error as? ProcfsError { true } else { false }
    }
  }

  @Test func `without their line are refused`() {
    #expect(throws: ProcfsError.malformed(file: "limits", line: "Max cpu time 1 2 seconds\n")) {
      try Limits(limits: Array("Max cpu time 1 2 seconds\n".utf8))
    }
  }
}

@Suite struct `A mountinfo` {
  private let text = Array(
    """
    36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    37 35 0:50 / /a\\040-\\040b rw shared:1 propagate_from:2 - nfs4 server:/x rw
    38 35 0:51 / /b rw - tmpfs tmpfs rw
    39 35 0:52 / /cut rw shared:1 -
    junk

    """.utf8)

  @Test(arguments: [(36, "ext3"), (37, "nfs4"), (38, "tmpfs"), (39, nil), (40, nil), (35, nil)] as [(Int32, String?)])
  func `tells the type of a mount`(id: Int32, type: String?) {
    #expect(Mounts.type(of: id, in: text) == type)
  }

  @Test func `that is empty tells none`() { #expect(Mounts.type(of: 1, in: []) == nil) }
}
