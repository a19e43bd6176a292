// SPDX-License-Identifier: Apache-2.0
// The lines of /proc/<pid>/net/*, as text.

import Descriptors
import Linux
import Testing

@testable import Procfs

private func entries(_ table: SocketTable, _ text: String) -> [SocketEntry] {
  var found: [SocketEntry] = []
  let text = Array(text.utf8)
  table.forEachLine(in: text) { inode, line in
    if let entry = table.entry(text[line], inode: inode) { found.append(entry) }
  }
  return found
}

private func tcp(_ local: String, _ peer: String, state: String = "01", queues: String = "00000000:00000000") -> String
{
  "   0: \(local) \(peer) \(state) \(queues) 00:00000000 00000000     0        0 88123 1 0000000000000000 20 4 30 10 -1\n"
}

@Suite(.enabled(if: Int(littleEndian: 1) == 1, "the lines are those of a little-endian machine"))
struct `A line of a socket table` {
  @Test(arguments: [
    ("0100007F:1538", "127.0.0.1:5432"), ("00000000:0000", "0.0.0.0:0"), ("0500000A:FFFF", "10.0.0.5:65535"),
    ("00000000000000000000000001000000:1F90", "[::1]:8080"),
    ("00000000000000000000000000000000:0050", "[::]:80"),
    // One that speaks IPv4 through IPv6.
    ("0000000000000000FFFF00000100007F:1538", "127.0.0.1:5432"),
    ("B80D0120000000000000000001000000:01BB", "[2001:db8::1]:443"),
    ("B80D0120000001000000000002000000:01BB", "[2001:db8:1::2]:443"),
    ("000080FE00000000FF005450B6AD1DFE:0016", "[fe80::5054:ff:fe1d:adb6]:22"),
  ]) func `tells the address`(hexadecimal: String, address: String) {
    let table = hexadecimal.count > 20 ? SocketTable.tcp6 : .tcp
    let found = entries(table, tcp(hexadecimal, hexadecimal))
    #expect(found.map(\.local) == [address] && found.map(\.peer) == [address])
  }

  @Test func `tells state and unread bytes`() {
    let numbers = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "0A", "0B", "0C"]
    for (number, state) in zip(numbers, TCPState.allCases) {
      let line = tcp("0100007F:1538", "0100007F:0016", state: number, queues: "00000010:0000A0FF")
      #expect(
        entries(.tcp, line) == [
          SocketEntry(
            kind: .tcp, inode: 88123, local: "127.0.0.1:5432", peer: "127.0.0.1:22", state: state, unread: 0xa0ff,
            isListening: state == .listen)
        ])
    }
    #expect(entries(.tcp, tcp("0100007F:1538", "0100007F:0016", state: "0D"))[0].state == nil)
  }

  @Test func `of UNIX sockets may have any path`() {
    let head = "Num       RefCount Protocol Flags    Type St Inode Path\n"
    let line = "0000000000000000: 00000002 00000000 00010000 0001 01 "
    let found = entries(.unix, head + line + "17 /run/a b  c\n" + line + "18\n" + line + "19 @abstract\n")
    #expect(found.map(\.inode) == [17, 18, 19])
    #expect(found.map(\.local) == ["/run/a b  c", nil, "@abstract"])
    #expect(found.allSatisfy { $0.kind == .unix && $0.isListening })
    let connected = entries(.unix, head + line.replacing("00010000", with: "00000000") + "17 /run/a\n")
    #expect(connected.map(\.isListening) == [false])
  }

  @Test func `of others tells the kind`() {
    let netlink = "0000000000000000 0   4711  00000550 0        0        0     2        0        123\n"
    #expect(entries(.netlink, netlink).map(\.kind) == [.netlink])
    #expect(entries(.netlink, netlink).map(\.inode) == [123])
    #expect(entries(.udp, tcp("0100007F:0035", "00000000:0000", state: "07")).map(\.kind) == [.udp])
    #expect(entries(.udp, tcp("0100007F:0035", "00000000:0000", state: "07")).map(\.state) == [nil])
  }

  @Test(arguments: [
    "", "\n", "\n\n\n",
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "0: 0100007F:1538", "   0: 0100007F 0100007F 01 0:0 0 0 0 0 88123 1",
    "   0: 0100007F:1538 0100007F:xx 01 0:0 0 0 0 0 88123 1", "   0: 01007F:1538 0100007F:16 01 0:0 0 0 0 0 88123 1",
    "   0: 0100007F:1538 0100007F:16 zz 0:0 0 0 0 0 88123 1", "   0: 0100007F:1538 0100007F:16 01 0:0 0 0 0 0 -1 1",
    "   0: 0100007F:1538 0100007F:16 01 0:0 0 0 0 0 0 1", "   0: \u{1b}[2J:1538 0100007F:16 01 0:0 0 0 0 0 88123 1",
  ]) func `that is none is passed over`(line: String) {
    let good = tcp("0100007F:1538", "0100007F:0016")
    for table in SocketTable.allCases where table.kind == .tcp {
      #expect(entries(table, line).isEmpty)
      #expect(entries(table, line + "\n" + good).count == 1)
    }
  }

  @Test func `without an end is read`() {
    #expect(entries(.tcp, String(tcp("0100007F:1538", "0100007F:0016").dropLast())).count == 1)
  }

  @Test func `that a UNIX socket's name feigns does not hide the real one`() throws {
    let line = "0000000000000000: 00000002 00000000 00010000 0001 01 "
    let snapshot = SocketSnapshot(
      taken: .now,
      tables: [
        (.unix, Array((line + "17 @name\n" + line + "88123\n").utf8)),
        (.tcp, Array(tcp("0100007F:1538", "0100007F:0016").utf8)),
      ])
    #expect(snapshot[17]?.kind == .unix)
    #expect(snapshot[88123]?.kind == .tcp)
    #expect(snapshot[88124] == nil)
    #expect(SocketTable.allCases.first == .unix)
  }
}
