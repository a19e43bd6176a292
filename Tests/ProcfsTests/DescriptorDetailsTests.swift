// SPDX-License-Identifier: Apache-2.0
// fdinfo, form by form. The forms are those of the kernel's Documentation/filesystems/proc.rst, section 3.8.

import TestSupport
import Testing

@testable import Procfs

private func details(_ text: String) -> DescriptorDetails { DescriptorDetails(fdinfo: Array(text.utf8)) }

/// The lines that all kinds have.
private let head = "pos:\t0\nflags:\t0100002\nmnt_id:\t9\nino:\t63107\n"

@Suite struct `An fdinfo` {
  @Test func `begins with what all have`() {
    var wanted = DescriptorDetails()
    (wanted.position, wanted.flags, wanted.mountID, wanted.inode) = (8192, 0o100002, 19, 63107)
    #expect(details("pos:\t8192\nflags:\t0100002\nmnt_id:\t19\nino:\t63107\n") == wanted)
  }

  @Test func `of a kernel before 5.14 has no inode`() {
    let found = details("pos:\t0\nflags:\t02\nmnt_id:\t19\n")
    #expect(found.inode == nil && found.mountID == 19 && found.unknown.isEmpty)
  }

  @Test func `of an eventfd has its count and id`() {
    let found = details(head + "eventfd-count:               5a\neventfd-id: 16\neventfd-semaphore: 0\n")
    #expect(found.eventfdCount == 0x5a && found.eventfdID == 16)
    #expect(found.unknown == ["eventfd-semaphore: 0"])
  }

  @Test func `of a signalfd has its mask`() {
    #expect(details(head + "sigmask:\t0000000000000200\n").signalMask == 0x200)
  }

  @Test func `of an epoll instance has a line for each watch`() {
    let found = details(
      head + "tfd:        5 events:       1d data: ffffffffffffffff pos:0 ino:61af sdev:7\n"
        + "tfd:       17 events: 80000001 data:               11  pos:0 ino:3 sdev:d\n")
    #expect(
      found.epollTargets == [
        .init(descriptor: 5, events: 0x1d, data: .max, inode: 0x61af),
        .init(descriptor: 17, events: 0x8000_0001, data: 0x11, inode: 3),
      ])
  }

  @Test func `of an epoll instance before 4.10 has watches without inode`() {
    let found = details(head + "tfd:        5 events:       1d data: ffffffffffffffff\n")
    #expect(found.epollTargets == [.init(descriptor: 5, events: 0x1d, data: .max, inode: nil)])
  }

  @Test func `of an inotify instance has its watches`() {
    let found = details(
      head + "inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 "
        + "f_handle:7e9e0000640d1b6d\n")
    #expect(
      found.inotifyWatches == [.init(descriptor: 3, inode: 0x9e7e, device: 0x800013, mask: 0x800afce)])
    #expect(found.unknown.isEmpty)
  }

  @Test func `of a pidfd has its process`() {
    #expect(details(head + "Pid:\t4711\nNSpid:\t4711\t3\n").pidfdProcess == 4711)
    #expect(details(head + "Pid:\t-1\nNSpid:\t-1\n").pidfdProcess == -1)
  }

  @Test func `of a timerfd has its timer`() {
    let found = details(
      head + "clockid: 1\nticks: 7\nsettime flags: 01\nit_value: (0, 49406829)\nit_interval: (1, 500000000)\n")
    #expect(
      found.timer
        == .init(
          clock: 1, ticks: 7, settimeFlags: 1, value: .nanoseconds(49_406_829), interval: .milliseconds(1500)))
  }

  @Test(arguments: [
    "fanotify flags:10 event-flags:0", "fanotify mnt_id:12 mflags:40 mask:38 ignored_mask:40000003",
    "lock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF", "scm_fds: 0", "size:\t32768", "exp_name:  system-heap",
    "vfio-device-syspath: /sys/devices/pci0000:e0", "SqThread:\t-1", "prog_tag:\t0123456789abcdef", "", "no colon",
    ":", ": 5", "pos", "pos:", "pos:\t", "pos:\t0x10", "pos: 99999999999999999999", "flags:\t9",
    "flags:\t77777777777777",
    "mnt_id: 4294967296", "ino:\t-3", "eventfd-count: xyz", "eventfd-id: ", "tfd:", "tfd: x events: 1 data: 1",
    "tfd: 5 events:", "tfd: 5 events: 1", "inotify", "inotify ", "inotify wd:1", "inotify wd:1 ino:2 sdev:3",
    "sigmask:\tg", "it_value: (0)", "it_value: 0, 0", "it_value: (0, 0", "it_value: (,)", "clockid: 99999999999",
    "Pid:\tnone", "\u{1b}[31mpos:\t1", "ticks: -1",
  ]) func `keeps the line that it cannot understand`(line: String) {
    let found = details(head + line + "\n")
    #expect(found.unknown == (line.isEmpty ? [] : [line]))
    #expect(found.inode == 63107)
  }

  @Test func `that is cut off anywhere has an answer`() {
    let whole = Array(
      (head + "tfd:        5 events:       1d data: ffffffffffffffff pos:0 ino:61af sdev:7\n"
        + "inotify wd:3 ino:9e7e sdev:800013 mask:800afce\nit_value: (0, 49406829)\n").utf8)
    for count in whole.indices {
      let found = DescriptorDetails(fdinfo: Array(whole[..<count]))
      #expect(found.epollTargets.count <= 1 && found.unknown.count <= 1)
    }
  }

  @Test func `of any bytes has an answer`() {
    var random = SystemRandomNumberGenerator()
    for length in 0..<300 {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      let found = DescriptorDetails(fdinfo: bytes)
      #expect(found.unknown.count <= length)
    }
    #expect(DescriptorDetails(fdinfo: [0xff, 0xfe, 0x0a]).unknown == ["\u{fffd}\u{fffd}"])
  }

  @Test func `with 20,000 watches is read to the end`() {
    let found = details(
      head + (1...20_000).map { "tfd: \($0) events: 1 data: \($0) pos:0 ino:1 sdev:7\n" }.joined())
    #expect(found.epollTargets.count == 20_000 && found.epollTargets.last?.descriptor == 20_000)
  }

  @Test func `times may be as long as the numbers hold`() {
    #expect(details(head + "it_value: (9223372036854775807, 999999999)\n").timer?.value ?? .zero > .seconds(1 << 62))
  }
}

@Suite struct `The fdinfo of a live child` {
  @Test func `is understood to the last line`() throws {
    let child = try FDFactory()
    let watched = try Watched(child)
    for kind in ["file", "pipe", "timerfd", "signalfd", "eventpoll", "tcp-listen", "memfd"] {
      let number = try child.openOne(kind)
      let found = try #require(try watched.directory.details(of: number))
      #expect(found.mountID != nil)
      #expect((kind == "timerfd") == (found.timer != nil))
      #expect((kind == "signalfd") == (found.signalMask != nil))
      try child.close([number])
      #expect(try watched.directory.details(of: number) == nil)
    }
  }

  @Test func `tells eventfds apart`() throws {
    let child = try FDFactory()
    let watched = try Watched(child)
    let ids = try child.open("eventfd", 3).map { try watched.directory.details(of: $0)?.eventfdID }
    #expect(Set(ids).count == 3 && !ids.contains(nil))
  }
}
