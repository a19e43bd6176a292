// SPDX-License-Identifier: Apache-2.0
// Asking a daemon that runs, over its socket.

import Descriptors
import Linux

/// Why the daemon gave no answer.
package enum ControlError: Error, Equatable, CustomStringConvertible {
  case notRunning(socket: String)
  case notPermitted(socket: String)
  case failed(socket: String, reason: String)
  /// It has ended meanwhile.
  case interrupted(socket: String)
  /// It answered, and said no.
  case refused(String)

  package var description: String {
    switch self {
    case .notRunning(let socket):
      "no daemon answers at \(socket.printable): start it with systemctl start fdwatch, or fdwatch daemon"
    case .notPermitted(let socket):
      "may not ask the daemon at \(socket.printable): run as root (sudo), or let a group do so (SocketGroup= of fdwatch.socket)"
    case .failed(let socket, let reason): "the daemon at \(socket.printable) does not answer: \(reason)"
    case .interrupted(let socket): "the daemon at \(socket.printable) ended before it answered"
    case .refused(let why): why
    }
  }
}

package struct ControlClient: Sendable {
  private let socket: String
  private static let timeout = Duration.seconds(10)
  /// More than a host with thousands of units has to say.
  private static let longest = 64 << 20

  package init(socket: String) { self.socket = socket }

  package func get(_ path: String) throws(ControlError) -> [UInt8] { try ask("GET", path, "") }
  package func post(_ path: String, _ body: String) throws(ControlError) -> [UInt8] { try ask("POST", path, body) }

  /// A daemon that was killed is started again after two seconds, with another socket: who had asked at the old one is cut
  /// off. To read once more does no harm.
  private func ask(_ method: String, _ path: String, _ body: String) throws(ControlError) -> [UInt8] {
    let deadline = Instant.now + Self.timeout
    while true {
      do throws(ControlError) { return try askOnce(method, path, body) } catch {
        guard method == "GET", error == .interrupted(socket: socket), Instant.now < deadline else { throw error }
        _ = try? Readiness.wait([], until: .now + .milliseconds(100))
      }
    }
  }

  private func askOnce(_ method: String, _ path: String, _ body: String) throws(ControlError) -> [UInt8] {
    let answer: [UInt8]
    do throws(SystemCallError) {
      let connection = try Descriptor(connectedTo: socket, timeout: Self.timeout)
      var request = Array(
        "\(method) \(path) HTTP/1.1\r\nHost: fdwatch\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)[...]
      while !request.isEmpty { request = request.dropFirst(try connection.send(request)) }
      answer = try connection.contents(limit: Self.longest)
    } catch {
      switch error.meaning {
      case .noSuchEntry: throw .notRunning(socket: socket)
      case .notPermitted: throw .notPermitted(socket: socket)
      case _ where error.isReset: throw .interrupted(socket: socket)
      default: throw error.isRefusal ? .notRunning(socket: socket) : .failed(socket: socket, reason: error.reason)
      }
    }
    guard let end = answer.firstRange(of: Array("\r\n\r\n".utf8)) else {
      throw .failed(socket: socket, reason: "its answer is cut off")
    }
    let words = String(decoding: answer[..<end.lowerBound], as: UTF8.self).split(separator: " ", maxSplits: 2)
    let content = Array(answer[end.upperBound...])
    guard words.count == 3, words[1] == "200" else {
      let text = String(decoding: content, as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
      throw .refused(text.isEmpty ? "the daemon refused, without a reason" : text)
    }
    return content
  }
}
