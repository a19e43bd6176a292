// SPDX-License-Identifier: Apache-2.0
// How many descriptors are open: by the size of fd/, by its listing, by a census. All must agree with the child.

import Descriptors
import Procfs
import TestSupport
import Testing

@Suite struct `The count of a process` {
  @Test(arguments: [Procfs.Counting?.none, .byListing]) func `is what it has open`(counting: Procfs.Counting?) throws {
    let child = try FDFactory()
    var watched = try Watched(child, counting: counting)
    #expect(try watched.directory.count() == 3)
    let files = try child.open("file", 5)
    try child.open("unix-connected", 8)
    #expect(try watched.directory.count() == child.count)
    #expect(try watched.census().count == child.count)
    try child.close(Array(files.prefix(2)))
    #expect(try watched.directory.count() == child.count)
    let poll = try watched.census()
    #expect(poll.count == child.count)
    #expect(poll.closed == Array(files.prefix(2)))
  }

  @Test(.enabled(if: Machine.countsBySize, "the size of fd/ says nothing before Linux 6.2"))
  func `is the size of the directory where the kernel is new enough`() throws {
    guard case .bySize = try Procfs().counting else {
      Issue.record("counted by listing")
      return
    }
  }

  @Test(.enabled(if: Machine.hardLimit >= 19_100, "the hard limit of descriptors is below 19,100"))
  func `of 19,000 is exact`() throws {
    let child = try FDFactory()
    try child.limit(soft: 19_100)
    let numbers = try child.open("eventfd", 19_000)
    var watched = try Watched(child)
    let poll = try watched.census()
    #expect(poll.count == 19_003)
    #expect(poll.openedNumbers.suffix(19_000) == numbers.sorted()[...])
    #expect(poll.opened.suffix(19_000).allSatisfy { $0.kind == .eventfd })
    #expect(try watched.directory.count() == 19_003)
    try child.close(Array(numbers.suffix(9_000)))
    #expect(try watched.census().closed == Array(numbers.suffix(9_000)).sorted())
  }

  @Test func `and its limits are read as they change`() throws {
    let child = try FDFactory()
    let watched = try Watched(child)
    let before = try watched.directory.limits()
    try child.limit(soft: 77)
    #expect(try watched.directory.limits() == Limits(soft: 77, hard: before.hard))
  }
}
