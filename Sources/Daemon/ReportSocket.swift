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

  /// In bytes: characters may have any number of them, and reports are kept.
  static let longestMessage = 2000
  static let longestFrame = 500
  static let deepestStack = 64

  /// - Returns: `nil` for an empty one.
  package init?(_ datagram: Datagram) {
    (pid, user) = (datagram.pid, datagram.user)
    if datagram.bytes.first == UInt8(ascii: "{"), !datagram.isCut,
      let form = try? JSONDecoder().decode(Form.self, from: Data(datagram.bytes))
    {
      message = form.message
      stack = (form.stack ?? []).prefix(Self.deepestStack).map { $0.cut(to: Self.longestFrame) }
    } else {
      message = String(decoding: datagram.bytes, as: UTF8.self)
    }
    message = message.cut(to: Self.longestMessage)
    while message.last?.isNewline == true || message.last == "\0" { message.removeLast() }
    if message.allSatisfy(\.isWhitespace) { return nil }
  }
}

extension String {
  /// So many bytes of UTF-8 at most.
  fileprivate func cut(to bytes: Int) -> String {
    utf8.count <= bytes ? self : String(decoding: utf8.prefix(bytes), as: UTF8.self)
  }
}

/// The socket, and how much is taken from each process.
package final class ReportSocket {
  private let descriptor: Descriptor
  package var perSecond: Int
  private var buckets: [Int32: (tokens: Double, at: Duration)] = [:]
  package private(set) var received: UInt64 = 0
  /// Of those, for want of ``perSecond``.
  package private(set) var refused: UInt64 = 0
  package private(set) var lastRefused: Duration?
  private static let longest = 8 << 10
  /// In one turn of the loop: what is over waits in the socket's queue, and then the senders' datagrams are refused.
  private static let mostAtOnce = 200

  package init(_ descriptor: consuming Descriptor, perSecond: Int) {
    self.descriptor = descriptor
    self.perSecond = perSecond
  }

  package var number: CInt { descriptor.number }

  /// Hands out what has come in. While `body` runs the datagram still stands in the queue: a sender that waits until it
  /// has been taken, as ours do before they exit, can be looked up in procfs.
  package func take(at time: Duration, _ body: (ProcessReport) -> Void) {
    for _ in 0..<Self.mostAtOnce {
      guard let datagram = (try? descriptor.nextDatagram(upTo: Self.longest, isPeek: true)) ?? nil else { break }
      received += 1
      if !isWithinRate(datagram.pid, at: time) {
        refused += 1
        lastRefused = time
      } else if let report = ProcessReport(datagram) {
        body(report)
      }
      // Nobody else reads here: it is the same one. Of its bytes none is wanted any more.
      _ = try? descriptor.nextDatagram(upTo: 1)
    }
    if buckets.count > 10_000 { buckets = buckets.filter { time - $0.value.at < .seconds(60) } }
  }

  private func isWithinRate(_ pid: Int32, at time: Duration) -> Bool {
    let rate = Double(perSecond)
    var (tokens, last) = buckets[pid] ?? (rate, time)
    tokens = min(rate, tokens + (time - last) / .seconds(1) * rate)
    buckets[pid] = (max(0, tokens - 1), time)
    return tokens >= 1
  }
}
