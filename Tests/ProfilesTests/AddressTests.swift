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
    "", "6060", "ftp://x/y", "http://", "unix:", "unix:/a:b c", "unix:@:/x", "http+unix://run/app.sock", "http://a/\nb",
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
    ("http://127.0.0.1:6060@evil.example/p", false), ("http://evil.example/p", false),
    ("unix:/run/docker.sock:/p", false),
  ]) func `that a process names is asked only if it listens there itself`(text: String, isServed: Bool) throws {
    #expect(try ProfileAddress(parsing: text, pid: 1).isServed(by: listeners) == isServed)
  }
}
