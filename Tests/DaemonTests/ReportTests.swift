// SPDX-License-Identifier: Apache-2.0
// What processes say of themselves: whatever they send.

import TestSupport
import Testing

@testable import Daemon
@testable import Linux

@Suite struct `A report` {
  private func parsed(_ bytes: [UInt8], isCut: Bool = false) -> ProcessReport? {
    ProcessReport(Datagram(bytes: bytes, isCut: isCut, pid: 5, user: 7))
  }

  private func parsed(_ text: String) -> ProcessReport? { parsed(Array(text.utf8)) }

  @Test func `is a line`() throws {
    let report = try #require(parsed("file.c:7: never closed\n\u{0}\n"))
    #expect(report.message == "file.c:7: never closed" && report.stack.isEmpty)
    #expect(report.pid == 5 && report.user == 7)
  }

  @Test func `is an object with a stack`() throws {
    let report = try #require(parsed("{\"message\":\"dropped\",\"stack\":[\"a.b\",\"main\"],\"pid\":1}"))
    #expect(report.message == "dropped" && report.stack == ["a.b", "main"] && report.pid == 5)
  }

  @Test(arguments: ["", " ", "\n\n", "\u{0}", "\t \r\n", "{\"message\":\"\"}"]) func `without words is none`(
    text: String
  ) {
    #expect(parsed(text) == nil)
  }

  @Test(arguments: ["{", "{\"message\":7}", "{\"stack\":[]}", "{\"message\":\"x\",\"stack\":3}", "{}"])
  func `that is no such object is a line`(text: String) { #expect(parsed(text)?.message == text) }

  @Test func `is bounded`() throws {
    #expect(
      try #require(parsed(String(repeating: "ä", count: 9000))).message.utf8.count == ProcessReport.longestMessage)
    let deep =
      "{\"message\":\"x\",\"stack\":["
      + Array(repeating: "\"\(String(repeating: "y", count: 999))\"", count: 99)
      .joined(separator: ",") + "]}"
    let report = try #require(parsed(deep))
    #expect(report.stack.count == ProcessReport.deepestStack && report.stack[0].count == 500)
    #expect(parsed(Array("{\"message\":\"half".utf8), isCut: true)?.message == "{\"message\":\"half")
  }

  @Test func `may be of any bytes`() {
    #expect(parsed([0xff, 0xfe, 0x80]) != nil)
    #expect(parsed(Array(repeating: UInt8(ascii: "["), count: 8000)) != nil)
    #expect(parsed(Array("{\"message\":".utf8) + Array(repeating: UInt8(ascii: "["), count: 8000)) != nil)
  }

  @Test func `of one kind differs in numbers only`() throws {
    #expect(parsed("fd 17 of /x/1")?.kind == parsed("fd 9 of /x/245")?.kind)
    #expect(parsed("fd 17 of /x")?.kind != parsed("fd 17 of /y")?.kind)
  }

  @Test func `is taken so often in a second from each process`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/report.sock"
    let socket = ReportSocket(try Descriptor(receivingAt: path, mode: 0o600), perSecond: 3)
    for number in 0..<8 { try Descriptor.send(Array("number \(number)".utf8), to: path) }
    func taken(at time: Duration) -> [ProcessReport] {
      var reports: [ProcessReport] = []
      socket.take(at: time) { reports.append($0) }
      return reports
    }
    #expect(taken(at: .seconds(1)).map(\.message) == ["number 0", "number 1", "number 2"])
    #expect(socket.refused == 5 && socket.received == 8 && socket.lastRefused == .seconds(1))
    try Descriptor.send(Array("later".utf8), to: path)
    #expect(taken(at: .seconds(2)).map(\.pid) == [Host.ownPID])
  }
}
