// SPDX-License-Identifier: Apache-2.0
// What the text of a link tells, form by form. That live kernels write these forms is tested with Procfs.

import Descriptors
import Testing

@Suite struct `The kind of a target` {
  @Test(
    arguments: [
      ("/var/log/orders.log", .file), ("/var/log/orders.log (deleted)", .file), ("/", .file), ("/devices", .file),
      ("/dev/null", .device), ("/dev/shm/ring", .file), ("/dev/mqueue/q", .file), ("/dev/hugepages/x", .file),
      ("/dev/ptmx", .pty), ("/dev/pts/3", .pty), ("/dev/ptsx", .device), ("/memfd:buffer (deleted)", .memfd),
      ("/memfd", .file), ("socket:[88123]", .socket), ("pipe:[4]", .pipe), ("pidfd:[4026]", .pidfd),
      ("anon_inode:[eventfd]", .eventfd), ("anon_inode:eventfd", .eventfd), ("anon_inode:[eventpoll]", .eventpoll),
      ("anon_inode:[timerfd]", .timerfd), ("anon_inode:[signalfd]", .signalfd), ("anon_inode:inotify", .inotify),
      ("anon_inode:[inotify]", .inotify), ("anon_inode:[fanotify]", .fanotify), ("anon_inode:[pidfd]", .pidfd),
      ("anon_inode:[io_uring]", .ioUring), ("anon_inode:[userfaultfd]", .userfaultfd),
      ("anon_inode:[perf_event]", .perfEvent), ("anon_inode:bpf-map", .bpf), ("anon_inode:bpf-prog", .bpf),
      ("anon_inode:bpf_link", .bpf), ("anon_inode:btf", .bpf), ("anon_inode:kvm-vcpu:0", .anon),
      ("anon_inode:[]", .anon), ("anon_inode:[", .anon), ("anon_inode:", .anon), ("net:[4026531840]", .anon),
      ("", .anon),
      ("\u{fffd}", .anon),
    ] as [(String, Kind)]) func `follows from its text`(target: String, kind: Kind)
  {
    #expect(Kind(target: target) == kind)
  }

  @Test func `is a directory by its flag, but not a temporary file`() {
    let directory = Kind.directoryFlag
    #expect(Kind(target: "/srv", flags: directory | 0o2_000_000) == .directory)
    #expect(Kind(target: "/dev/input", flags: directory) == .directory)
    // O_TMPFILE holds the bit of O_DIRECTORY.
    #expect(Kind(target: "/tmp/#1234 (deleted)", flags: directory | 0o20_000_002) == .file)
  }

  @Test func `has a word of its own`() {
    #expect(Set(Kind.allCases.map(\.rawValue)).count == Kind.allCases.count)
    #expect(Kind(rawValue: "io_uring") == .ioUring && Kind(rawValue: "perf_event") == .perfEvent)
    #expect(Kind.allCases.filter(\.isSocket) == [.tcp, .udp, .unix, .netlink, .socket])
  }
}
