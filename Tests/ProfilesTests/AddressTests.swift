// SPDX-License-Identifier: Apache-2.0
// Sources as people write them, and what a process may say of itself.

import Profiles
import Testing

@Suite struct `A source` {
  @Test(arguments: [
    ("http://127.0.0.1:6060/debug/pprof/file", "http://127.0.0.1:6060/debug/pprof/file", "file"),
    (
      "http://127.0.0.1:6060/debug/pprof/example.com/store.conn?debug=1",
      "http://127.0.0.1:6060/debug/pprof/example.com/store.conn?debug=1", "example.com/store.conn"
    ),
    ("http://localhost:6060", "http://localhost:6060/debug/pprof/", ""),
    ("unix:/run/app.sock:/debug/pprof/file", "unix:/run/app.sock:/debug/pprof/file", "file"),
    ("unix:/run/app.sock /v1/sys/pprof/fds", "unix:/run/app.sock:/v1/sys/pprof/fds", "fds"),
    ("unix:///run/app.sock", "unix:/run/app.sock:/debug/pprof/", ""),
    ("unix:@app:/debug/pprof/file", "unix:@app:/debug/pprof/file", "file"),
    ("http+unix://%2Frun%2Fa%20b.sock/x/profile", "unix:/run/a b.sock:/x/profile", "profile"),
    ("/var/lib/app/{pid}.pb.gz", "/var/lib/app/42.pb.gz", "42.pb.gz"), ("file:///tmp/p*", "/tmp/p*", "p*"),
  ]) func `is written as`(text: String, meaning: String, name: String) throws {
    let address = try ProfileAddress(parsing: text, pid: 42)
    #expect("\(address)" == meaning)
    #expect(address.profileName == name)
    #expect(address.isIndex == name.isEmpty)
  }

  @Test(arguments: [
    "http+unix://%2Frun%2Fa%00b/x", "unix:/a.sock:/x#y", "unix:/a.sock:/x y", "", "6060", "ftp://x/y", "http://",
    "unix:", "unix:/a:b c", "unix:@:/x", "http+unix://run/app.sock", "http://a/\nb",
  ])
  func `is refused with a reason`(text: String) {
    #expect(throws: ProfileError.self) { try ProfileAddress(parsing: text, pid: 1) }
  }

  @Test func `has goroutines beside it`() throws {
    let unix = try ProfileAddress(parsing: "unix:/a.sock:/x/debug/pprof/file?debug=1", pid: 1)
    #expect(unix.sibling("goroutine").map { "\($0)" } == "unix:/a.sock:/x/debug/pprof/goroutine")
    #expect(try ProfileAddress(parsing: "http://h:1/profile", pid: 1).sibling("goroutine") == nil)
  }

  private let listeners: Set<Listener> = [
    .init(inode: 1, address: "127.0.0.1:6060", isUnix: false), .init(inode: 2, address: "0.0.0.0:7070", isUnix: false),
    .init(inode: 3, address: "/run/app.sock", isUnix: true), .init(inode: 4, address: "[::]:9090", isUnix: false),
  ]

  @Test(arguments: [
    ("http://127.0.0.1:6060/x/pprof/file", true), ("http://localhost:7070/p", true), ("http://[::1]:9090/p", true),
    ("unix:/run/app.sock:/p", true), ("http://127.0.0.1:22/p", false), ("http://10.0.0.1:6060/p", false),
    ("http://evil.example/p", false),
    ("unix:/run/docker.sock:/p", false), ("http://127.evil.example:6060/p", false),
    ("http://127.0.0.2:6060/p", false), ("http://127.0.0.2:7070/p", true), ("http://[::1]:7070/p", false),
    ("http://app.example:6060/p", false), ("http://127.0.0.1/p", false), ("unix:/run/app.sock2:/p", false),
  ]) func `that a process names is asked only if it listens there itself`(text: String, isServed: Bool) throws {
    #expect(try ProfileAddress(parsing: text, pid: 1).isServed(by: listeners) == isServed)
  }
}

@Suite struct `A URL` {
  @Test(arguments: [
    ("http://127.0.0.1:6060/a?b=c&d", "http://127.0.0.1:6060/a?b=c&d"), ("http://127.0.0.1:80/", "http://127.0.0.1/"),
    ("https://h:443/x", "https://h/x"), ("http://h:443/x", "http://h:443/x"),
    ("http://EXAMPLE.org/A", "http://example.org/A"),
    ("http://[::1]:1/", "http://[::1]:1/"), ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
    ("http://localhost:65535", "http://localhost:65535/debug/pprof/"),
    ("http://127.evil.example/", "http://127.evil.example/"),
    ("http://a_b-c.example/@x:y[z]", "http://a_b-c.example/@x:y[z]"), ("http://h/../x/./y", "http://h/../x/./y"),
  ]) func `is taken apart and put together`(text: String, meaning: String) throws {
    #expect("\(try ProfileAddress(parsing: text, pid: 1))" == meaning)
  }

  /// What one parser takes for a port or a user, and another for a fragment or a host.
  @Test(arguments: [
    ("http://127.0.0.1:1234#:80/", "fragment"), ("http://127.0.0.1:1234\\@h:80/", "backslash"),
    ("http://u@127.0.0.1:80/", "names a user"), ("http://u:p@127.0.0.1/", "names a user"),
    ("http://127.0.0.1:80@h/", "names a user"),
    ("http://@/", "names a user"), ("http:///x", "no host"), ("http://", "no host"), ("http://:80/", "is not a host"),
    ("http://127.0.0.1:/", "port"), ("http://127.0.0.1:0/", "port"), ("http://127.0.0.1:65536/", "port"),
    ("http://127.0.0.1:080/", "port"), ("http://127.0.0.1:+80/", "port"), ("http://127.0.0.1:80:90/", "port"),
    ("http://127.0.0.1:99999999999999999999/", "port"), ("http://127.0.0.1:8\u{0664}/", "ASCII"),
    ("http://127.1/", "four numbers"), ("http://2130706433/", "four numbers"), ("http://0x7f000001/", "four numbers"),
    ("http://127.0.0.0x1/", "four numbers"), ("http://0177.0.0.1/", "four numbers"),
    ("http://127.0.0.01/", "four numbers"),
    ("http://127.0.0.1./", "is not a host"), ("http://a..b/", "is not a host"), ("http://a%41/", "is not a host"),
    ("http://::1/", "is not a host"), ("http://[::1/", "bracket"), ("http://[127.0.0.1]/", "not an IPv6 address"),
    ("http://[fe80::1%25eth0]/", "not an IPv6 address"), ("http://[::ffff:127.0.0.1]/", "is an IPv4 address"),
    ("http://[::1]x/", "port"), ("http://[::1]80/", "port"), ("http://h?x/", "is not a host"), ("http://h /", "blanks"),
    ("http://h/a b", "blanks"), ("http://h/\u{e4}", "ASCII"), ("http://bücher/", "ASCII"),
    ("HTTP://h/", "begins with none"), ("http:/h/", "begins with none"), ("http:h", "begins with none"),
  ]) func `that can be read in two ways is refused with a reason`(text: String, reason: String) throws {
    let error = try #require(throws: ProfileError.self) { try ProfileAddress(parsing: text, pid: 1) }
    #expect("\(error)".contains(reason), "\(error)")
  }

  @Test func `of any bytes has an answer`() throws {
    var generator = SystemRandomNumberGenerator()
    let pieces = [
      "http://", "https://", "unix:", "http+unix://", "[", "]", ":", "@", "#", "/", "\\", "%", "%2F", "127.0.0.1",
      "::1",
      "localhost", "0x", "65536", ".", "..", " ", "\0", "\r\n", "\u{202e}", "{pid}", "?", "a", "ß", "🧵",
    ]
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 0...8, using: &generator)).map { _ in pieces.randomElement() ?? "" }.joined()
      guard let address = try? ProfileAddress(parsing: text, pid: 7) else { continue }
      _ = (address.isIndex, address.profileName, address.sibling("x"))
      // What it was taken for is what its text says again.
      guard case .tcp = address.place else { continue }
      #expect(try ProfileAddress(parsing: "\(address)", pid: 7) == address, "\(text.debugDescription)")
    }
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in UInt8.random(in: .min ... .max) }
      _ = try? ProfileAddress(parsing: "http://" + String(decoding: bytes, as: UTF8.self), pid: 7)
    }
  }

  @Test(arguments: ["a#b", "a\\b", "a b", "ä", "a\u{1}", "\0"])
  func `takes no name from a page that cannot stand in it`(
    name: String
  ) throws {
    #expect(try ProfileAddress(parsing: "http://h/debug/pprof/", pid: 1).sibling(name) == nil)
    #expect(try ProfileAddress(parsing: "unix:/a:/debug/pprof/", pid: 1).sibling(name) == nil)
  }
}
