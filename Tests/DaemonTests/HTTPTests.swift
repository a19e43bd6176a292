// SPDX-License-Identifier: Apache-2.0
// Requests in pieces, too long, and as nobody should write them.

import Testing

@testable import Daemon

@Suite struct `A request` {
  private func parse(_ text: String, pieces: Int = .max) -> HTTPParser.Progress {
    var parser = HTTPParser()
    var rest = Array(text.utf8)[...]
    var progress = HTTPParser.Progress.needsMore
    while !rest.isEmpty, progress == .needsMore {
      progress = parser.take(Array(rest.prefix(pieces)))
      rest = rest.dropFirst(pieces)
    }
    return progress
  }

  private func refusal(_ text: String) -> Int? {
    if case .refused(let answer) = parse(text) { answer.status } else { nil }
  }

  private let post = "POST /silence?x=1 HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\n\r\nbody"

  @Test(arguments: [1, 2, 3, 7, 1000]) func `is the same in pieces of any size`(size: Int) {
    #expect(
      parse(post, pieces: size) == .request(HTTPRequest(method: "POST", path: "/silence", body: Array("body".utf8))))
  }

  @Test func `waits for its whole body`() { #expect(parse(String(post.dropLast())) == .needsMore) }

  @Test func `leaves what follows it alone`() {
    #expect(
      parse("GET / HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n")
        == .request(HTTPRequest(method: "GET", path: "/", body: [])))
  }

  @Test(arguments: [
    "\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1 more\r\n\r\n", "GET / FTP/1\r\n\r\n", "GET x HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "GET / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "\u{0}\u{1}\u{2}\r\n\r\n",
  ]) func `that is none is refused`(text: String) { #expect(refusal(text) == 400) }

  @Test func `that is too long is refused before it is all there`() {
    #expect(refusal("GET /" + String(repeating: "x", count: 9000)) == 413)
    #expect(refusal("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n") == 413)
  }

  @Test func `of garbage has an answer for all bytes`() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      var parser = HTTPParser()
      let bytes = (0..<400).map { _ in UInt8.random(in: 0...255, using: &random) }
      _ = parser.take(bytes + Array("\r\n\r\n".utf8))
    }
  }
}
