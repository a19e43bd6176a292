// SPDX-License-Identifier: Apache-2.0
// What comes over sockets: answers of profile servers, requests, reports.

import CCurl
import Glibc
import Linux

@testable import Alerts
@testable import Daemon
@testable import Profiles

/// A server that has answered, with the same bytes whatever is asked, before it is asked.
private final class Server {
  private let http: OpaquePointer
  private static let mostBytes = 1 << 16

  init() {
    var why: UnsafePointer<CChar>?
    guard let http = fdwatch_http_open(Self.mostBytes, &why) else {
      fatalError(why.map { String(cString: $0) } ?? "no libcurl")
    }
    self.http = http
  }

  func fetch(_ answer: [UInt8]) -> [UInt8]? {
    var ends: [CInt] = [0, 0]
    check(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends) == 0, "no sockets")
    _ = answer.withUnsafeBytes { send(ends[0], $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
    shutdown(ends[0], CInt(SHUT_WR))
    defer { close(ends[0]) }
    let none: [UnsafePointer<CChar>?] = [nil]
    let isStarted = none.withUnsafeBufferPointer { headers in
      "http://app".withCString { url in
        "/debug/pprof/".withCString { target in
          "app".withCString { key in
            var request = fdwatch_request(
              url: url, target: target, key: key, socket: ends[1], headers: headers.baseAddress, ca_file: nil,
              body_limit: Self.mostBytes, connect_ms: 1000, answer_ms: 1000, whole_ms: 2000)
            return fdwatch_http_start(http, &request, 7) != 0
          }
        }
      }
    }
    check(isStarted, "cannot ask")
    var response = fdwatch_response()
    repeat { fdwatch_http_run(http, 1) } while fdwatch_http_take(http, &response) == 0
    check(response.tag == 7 && response.size <= Self.mostBytes, "another answer")
    _ = response.location.map { String(cString: $0) }
    _ = response.message.map { String(cString: $0) }
    return response.body.map { Array(UnsafeBufferPointer(start: $0, count: response.size)) }
  }
}

extension Target {
  /// What a server of profiles answers, and Go's page that lists them. libcurl itself is not instrumented.
  static var fetch: Target {
    let server = Server()
    return Target { bytes in
      let body = server.fetch(bytes)
      for page in [body, bytes].compactMap({ $0 }) {
        let profiles = PprofIndex.profiles(in: page)
        check(PprofIndex.counting(profiles, open: 10).count <= 4, "more than are asked for")
      }
    }
  }

  /// A request to the daemon, whole and in two pieces, and a silence that it may hold.
  static var httpRequest: Target {
    Target { bytes in
      guard let (cut, request) = bytes.choosing(among: 256) else { return }
      var whole = HTTPParser()
      let found = whole.take(request)
      var parts = HTTPParser()
      var last = parts.take(Array(request.prefix(cut)))
      if last == .needsMore { last = parts.take(Array(request.dropFirst(cut))) }
      if found != .needsMore, request.count <= 4096 {
        check(found == last, "it depends on how it comes in")
      }
      guard case .request(let request) = found else { return }
      check(request.path.hasPrefix("/") && !request.path.contains("?"), "a path \(request.path)")
      StateFile.silences.use(Array("[".utf8) + request.body + Array("]".utf8))
    }
  }

  static var address: Target {
    Target { bytes in
      let text = bytes.text
      guard let address = try? ProfileAddress(parsing: text, pid: 4711) else { return }
      // The one that is checked is the one that is connected to.
      if case .tcp = address.place {
        check((try? ProfileAddress(parsing: "\(address)", pid: 1)) == address, "\(address) is another address")
      }
      _ = address.isIndex
      _ = address.profileName
      _ = address.sibling("goroutine").map { $0.sibling("file") }
      let listeners: Set<Listener> = [
        Listener(inode: 1, address: "127.0.0.1:6060", isUnix: false),
        Listener(inode: 2, address: "[::]:6061", isUnix: false),
        Listener(inode: 3, address: "/run/app.sock", isUnix: true),
      ]
      _ = address.isServed(by: listeners)
      check(!address.description.unicodeScalars.contains { $0.value < 0x20 }, "control characters")
    }
  }

  /// A datagram, by way of a real socket.
  static var report: Target {
    var ends: [CInt] = [0, 0]
    check(socketpair(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends) == 0, "no sockets")
    var on: CInt = 1
    setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, socklen_t(MemoryLayout<CInt>.size))
    let reports = ReportSocket(Descriptor(owning: ends[0]), perSecond: .max)
    let sender = ends[1]
    return Target { bytes in
      _ = bytes.withUnsafeBytes { send(sender, $0.baseAddress, $0.count, 0) }
      reports.take(at: .zero) { report in
        check(report.pid == getpid() && report.user == getuid(), "from another")
        check(report.message.count <= ProcessReport.longestMessage, "a message of \(report.message.count) characters")
        check(report.stack.count <= ProcessReport.deepestStack, "a stack of \(report.stack.count) frames")
        let size = report.stack.reduce(report.message.utf8.count) { $0 + $1.utf8.count }
        check(size <= 3 * bytes.count, "\(bytes.count) bytes have become \(size)")
      }
    }
  }
}
