// SPDX-License-Identifier: Apache-2.0
// A server of the tests' own that behaves as badly as is asked for.

import Foundation
import Linux
import Synchronization

/// Listens on a loopback port and serves every connection on a thread of its own.
package final class HTTPServer: Sendable {
  /// What a connection is given for each request that comes in. Nothing more is sent once it returns `false`.
  package typealias Behaviour = @Sendable (_ request: String, _ connection: Connection) -> Bool

  package struct Connection: Sendable {
    let descriptor: CInt

    @discardableResult package func send(_ bytes: [UInt8]) -> Bool {
      var sent = 0
      while sent < bytes.count {
        let count = unsafe bytes.withUnsafeBufferPointer {
          unsafe Glibc.send(
            descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, CInt(MSG_NOSIGNAL))
        }
        if count <= 0 { return false }
        sent += count
      }
      return true
    }

    @discardableResult package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    package func answer(_ body: [UInt8], status: String = "200 OK", headers: String = "") {
      send("HTTP/1.1 \(status)\r\nContent-Length: \(body.count)\r\n\(headers)\r\n")
      send(body)
    }

    /// The body that follows the head of a request, by its Content-Length.
    package func body(of request: String) -> String {
      let length = request.split(separator: "\r\n").lazy.map { $0.lowercased() }
        .first { $0.hasPrefix("content-length:") }?.dropFirst(15).trimmingCharacters(in: .whitespaces)
      var bytes = [UInt8](repeating: 0, count: min(length.flatMap(Int.init) ?? 0, 1 << 20))
      var count = 0
      while count < bytes.count {
        let got = unsafe bytes.withUnsafeMutableBufferPointer {
          unsafe recv(descriptor, $0.baseAddress?.advanced(by: count), $0.count - count, 0)
        }
        if got <= 0 { break }
        count += got
      }
      return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    /// Waits until the other end hangs up.
    package func waitForEnd() {
      var byte: UInt8 = 0
      while unsafe recv(descriptor, &byte, 1, 0) > 0 {}
    }
  }

  package let port: UInt16
  private let listener: CInt
  private let state = Mutex<(requests: [String], connections: Int)>(([], 0))

  package var requests: [String] { state.withLock { $0.requests } }
  package var connections: Int { state.withLock { $0.connections } }
  package var url: String { "http://127.0.0.1:\(port)/debug/pprof/file" }

  package init(_ behaviour: @escaping Behaviour) throws {
    let listener = try Loopback.listener()
    port = try Loopback.port(of: listener)
    self.listener = listener
    try BackgroundThread.start { [weak self] in
      while true {
        guard let descriptor = try? Loopback.accepted(by: listener) else { return }
        self?.state.withLock { $0.connections += 1 }
        let connection = Connection(descriptor: descriptor)
        try? BackgroundThread.start { [weak self] in
          defer { close(descriptor) }
          while let request = connection.nextRequest() {
            self?.state.withLock { $0.requests.append(request) }
            if !behaviour(request, connection) { return }
          }
        }
      }
    }
  }

  deinit {
    shutdown(listener, CInt(SHUT_RDWR))
    close(listener)
  }
}

extension HTTPServer.Connection {
  /// Its head, up to the empty line.
  fileprivate func nextRequest() -> String? {
    var text: [UInt8] = []
    while !text.suffix(4).elementsEqual("\r\n\r\n".utf8) {
      var byte: UInt8 = 0
      guard unsafe recv(descriptor, &byte, 1, 0) == 1, text.count < 65_536 else { return nil }
      text.append(byte)
    }
    return String(decoding: text, as: UTF8.self)
  }
}
