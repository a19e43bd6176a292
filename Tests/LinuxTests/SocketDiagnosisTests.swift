// SPDX-License-Identifier: Apache-2.0
// Answers of sock_diag, as the kernel gives them and as it never would.

import Linux
import TestSupport
import Testing

private func bytes<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
  (0..<MemoryLayout<Value>.size).map { UInt8(truncatingIfNeeded: value >> (8 * Value($0))) }
}

private func message(_ type: UInt16, _ body: [UInt8], length: UInt32? = nil) -> [UInt8] {
  bytes(length ?? UInt32(16 + body.count)) + bytes(type) + [UInt8](repeating: 0, count: 10) + body
}

private func unixSocket(_ inode: UInt32, peer: UInt32?) -> [UInt8] {
  [1, 1, 1, 0] + bytes(inode) + [UInt8](repeating: 0, count: 8)
    + (peer.map { bytes(UInt16(8)) + bytes(UInt16(2)) + bytes($0) } ?? [])
}

@Suite struct `An answer of sock_diag` {
  @Test func `tells peers of the sockets that were asked about`() {
    var diagnosis = SocketDiagnosis(wanted: [7, 8])
    let answer =
      message(20, unixSocket(7, peer: 9)) + message(20, unixSocket(8, peer: 0)) + message(20, unixSocket(5, peer: 1))
    diagnosis.take(answer[...], isUnix: true)
    #expect(!diagnosis.isAtEnd && diagnosis.unix.count == 2)
    #expect(diagnosis.unix[7]?.peer == 9 && diagnosis.unix[8]?.peer == 0 && diagnosis.unix[8]?.isConnected == true)
    diagnosis.take(message(3, [])[...], isUnix: true)
    #expect(diagnosis.isAtEnd && !diagnosis.isRefused)
  }

  @Test func `that is a refusal says so`() {
    var diagnosis = SocketDiagnosis(wanted: [7])
    diagnosis.take(message(2, bytes(Int32(-1)))[...], isUnix: false)
    #expect(diagnosis.isAtEnd && diagnosis.isRefused && diagnosis.tcp.isEmpty)
  }

  @Test(arguments: [0, 1, 15, 16, 17, 40]) func `of any length ends`(length: UInt32) {
    for cut in 0..<40 {
      var diagnosis = SocketDiagnosis(wanted: [7])
      let answer = message(20, unixSocket(7, peer: 9), length: length)
      diagnosis.take(answer.prefix(cut), isUnix: cut % 2 == 0)
      #expect(diagnosis.unix.count <= 1 && diagnosis.tcp.count <= 1)
    }
  }

  @Test func `comes from the kernel of this machine`() throws {
    let process = try FDFactory()
    let pair = try process.open("tcp-established", 2)
    let inodes = try pair.map { number in
      let text = try #require(try Descriptor(path: "/proc/\(process.pid)/fd").link("\(number)"))
      return try #require(UInt64(text.dropFirst(8).dropLast()))
    }
    let found = SocketDiagnosis.ask(about: Set(inodes), tcp: true, unix: false)
    #expect(
      found.tcp.count == 2 && found.tcp.values.allSatisfy { $0.state == 1 && $0.sinceSent != nil && $0.bytes != nil })
  }
}
