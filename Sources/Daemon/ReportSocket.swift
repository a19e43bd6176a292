// SPDX-License-Identifier: Apache-2.0
// What processes themselves say of what they dropped unclosed: datagrams, a line or a JSON object each. The sender is who
// the kernel says (SCM_CREDENTIALS of unix(7)), never what the datagram claims.

import Descriptors
import FoundationEssentials
import Linux

/// What a process reports.
package struct ProcessReport: Sendable, Equatable {
  package var pid: Int32
  package var user: UInt32
  package var message: String
  /// Leaf first; empty where the program does not know.
  package var stack: [String] = []

  private struct Form: Decodable {
    var message: String
    var stack: [String]?
  }

  static let longestMessage = 2000
  static let deepestStack = 64

  /// - Returns: `nil` for an empty one.
  package init?(_ datagram: Datagram) {
    (pid, user) = (datagram.pid, datagram.user)
    if datagram.bytes.first == UInt8(ascii: "{"), !datagram.isCut,
      let form = try? JSONDecoder().decode(Form.self, from: Data(datagram.bytes))
    {
      message = form.message
      stack = (form.stack ?? []).prefix(Self.deepestStack).map { String($0.prefix(500)) }
    } else {
      message = String(decoding: datagram.bytes, as: UTF8.self)
    }
    message = String(message.prefix(Self.longestMessage))
    while message.last?.isNewline == true || message.last == "\0" { message.removeLast() }
    if message.allSatisfy(\.isWhitespace) { return nil }
  }
}

/// The socket, and how much is taken from each process.
package final class ReportSocket {
  private let descriptor: Descriptor
  package var perSecond: Int
  private var buckets: [Int32: (tokens: Double, at: Duration)] = [:]
  package private(set) var refused: UInt64 = 0
  private static let longest = 8 << 10
  /// In one turn of the loop: what is over waits in the socket's queue, and then the senders' datagrams are refused.
  private static let mostAtOnce = 200

  package init(_ descriptor: consuming Descriptor, perSecond: Int) {
    self.descriptor = descriptor
    self.perSecond = perSecond
  }

  package var number: CInt { descriptor.number }

  /// What has come in.
  package func take(at time: Duration) -> [ProcessReport] {
    var reports: [ProcessReport] = []
    for _ in 0..<Self.mostAtOnce {
      guard let datagram = (try? descriptor.nextDatagram(upTo: Self.longest)) ?? nil else { break }
      guard isWithinRate(datagram.pid, at: time) else {
        refused += 1
        continue
      }
      if let report = ProcessReport(datagram) { reports.append(report) }
    }
    if buckets.count > 10_000 { buckets = buckets.filter { time - $0.value.at < .seconds(60) } }
    return reports
  }

  private func isWithinRate(_ pid: Int32, at time: Duration) -> Bool {
    let rate = Double(perSecond)
    var (tokens, last) = buckets[pid] ?? (rate, time)
    tokens = min(rate, tokens + (time - last) / .seconds(1) * rate)
    buckets[pid] = (max(0, tokens - 1), time)
    return tokens >= 1
  }
}
