// SPDX-License-Identifier: Apache-2.0
// The little of HTTP/1.1 that a status page takes (RFC 9112): one small request, one answer, and the connection is closed.
// A server library would take a third of the memory that the daemon may use.

import Linux

/// A request, without its headers: none of them matters here.
package struct HTTPRequest: Sendable, Equatable {
  package var method: String
  package var path: String
  package var body: [UInt8]
}

package struct HTTPAnswer: Sendable, Equatable {
  package var status: Int
  package var type: String
  package var body: [UInt8]

  package init(status: Int = 200, type: String = "text/plain; charset=utf-8", _ text: String) {
    (self.status, self.type, self.body) = (status, type, Array(text.utf8))
  }

  package static func json(_ text: String, status: Int = 200) -> HTTPAnswer {
    HTTPAnswer(status: status, type: "application/json", text + "\n")
  }

  private static let reasons = [
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    413: "Content Too Large", 500: "Internal Server Error",
  ]

  var bytes: [UInt8] {
    let head =
      "HTTP/1.1 \(status) \(Self.reasons[status] ?? "Error")\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n"
      + "Connection: close\r\nCache-Control: no-store\r\n\r\n"
    return Array(head.utf8) + body
  }
}

/// A request that comes in piece by piece.
package struct HTTPParser: Sendable {
  private var bytes: [UInt8] = []
  private static let longestHead = 8 << 10
  private static let longestBody = 64 << 10

  package init() {}

  package enum Progress: Sendable, Equatable {
    case needsMore
    case request(HTTPRequest)
    case refused(HTTPAnswer)
  }

  package mutating func take(_ more: [UInt8]) -> Progress {
    bytes += more
    guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
      return bytes.count > Self.longestHead
        ? .refused(HTTPAnswer(status: 413, "The request is too long.\n")) : .needsMore
    }
    let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
    let words = (lines.first ?? "").split(separator: " ")
    guard words.count == 3, words[2].hasPrefix("HTTP/1."), words[1].hasPrefix("/") else {
      return .refused(HTTPAnswer(status: 400, "This is no request of HTTP/1.1.\n"))
    }
    var told: Int?
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == "content-length" else { continue }
      let words = line[line.index(after: colon)...].split(separator: " ")
      guard told == nil, words.count == 1, let number = Int(words[0]), number >= 0 else {
        return .refused(HTTPAnswer(status: 400, "Its length is no number, or two.\n"))
      }
      told = number
    }
    let length = told ?? 0
    if length > Self.longestBody { return .refused(HTTPAnswer(status: 413, "The body is too long.\n")) }
    guard bytes.count - end.upperBound >= length else { return .needsMore }
    return .request(
      HTTPRequest(
        method: String(words[0]), path: String(words[1].prefix { $0 != "?" }),
        body: Array(bytes[end.upperBound..<end.upperBound + length])))
  }
}

/// One connection, from the first byte of the request to the last of the answer.
final class HTTPConnection {
  private let descriptor: Descriptor
  private var parser = HTTPParser()
  private var answer: ArraySlice<UInt8>?
  private let deadline: Instant
  /// Who comes by the file system has its rights; who comes by TCP may read only.
  let isLocal: Bool
  /// A reader that does not read, or an asker that does not ask, is not waited for.
  private static let patience = Duration.seconds(10)

  init(_ descriptor: consuming Descriptor) {
    isLocal = descriptor.isUnixSocket
    self.descriptor = descriptor
    deadline = .now + Self.patience
  }

  var wanted: Readiness.Wanted { .init(descriptor.number, forWriting: answer != nil) }
  var number: CInt { descriptor.number }

  /// Goes as far as it can without waiting.
  /// - Returns: whether it is over.
  func proceed(_ respond: (HTTPRequest, _ isLocal: Bool) -> HTTPAnswer) -> Bool {
    do {
      while answer == nil {
        guard let more = try descriptor.receive(upTo: 4096) else { return false }
        if more.isEmpty { return true }
        switch parser.take(more) {
        case .needsMore: continue
        case .request(let request): answer = respond(request, isLocal).bytes[...]
        case .refused(let refusal): answer = refusal.bytes[...]
        }
      }
      while let rest = answer, !rest.isEmpty {
        let sent = try descriptor.send(rest)
        if sent == 0 { return false }
        answer = rest.dropFirst(sent)
      }
      return true
    } catch {
      // Whoever asked has gone.
      return true
    }
  }

  func isOverdue(at now: Instant) -> Bool { now >= deadline }
}
