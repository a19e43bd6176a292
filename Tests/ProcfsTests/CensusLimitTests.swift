// SPDX-License-Identifier: Apache-2.0
// A process that has more open than a census may take in.

import Descriptors
import TestSupport
import Testing

@testable import Procfs

@Suite struct `A limited census` {
  @Test func `refuses a larger table, and goes on from where it was once that is smaller`() throws {
    let child = try FDFactory()
    var watched = try Watched(child)
    watched.table = DescriptorTable(limit: CensusLimit(descriptors: 10, targetBytes: .max))
    #expect(try watched.census().openedNumbers == [0, 1, 2])
    let events = try child.open("eventfd", 8)
    #expect(watched.failure() == .tooManyDescriptors(10))
    try child.close([events[7]])
    #expect(try watched.census().openedNumbers == Array(events.prefix(7)))
  }

  /// The kernel keeps something for each entry that was listed.
  @Test func `does not list all of a larger table`() throws {
    let child = try FDFactory()
    try child.open("eventfd", 5000)
    let directory = try ProcessDirectory(pid: child.pid, in: try Procfs())
    var numbers: [Int32] = []
    try directory.list(into: &numbers, most: 100)
    #expect((101..<2500).contains(numbers.count) && Array(numbers.prefix(101)) == Array(0...100))
    var links = 0
    try directory.forEachTarget(most: 100) { _, _ in
      links += 1
      return true
    }
    #expect(links == 100)
  }
}
