// SPDX-License-Identifier: Apache-2.0
// What watching costs ourselves: no descriptor and no memory is left behind.

import Descriptors
import Foundation
import Procfs
import TestSupport
import Testing

/// Descriptors and anonymous memory of this process.
private struct Footprint {
  var descriptors: Int
  var anonymousKiB: Int

  /// The page tables are walked for `Anonymous:`, while the counters of `status` may lag behind by 64 pages a processor.
  static func measure() throws -> Footprint {
    let text = try String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Anonymous:") }),
      let kib = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { throw TestFailure("no Anonymous: in smaps_rollup") }
    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    return Footprint(descriptors: open, anonymousKiB: kib)
  }
}

@Suite struct `Our own process` {
  @Test func `neither grows nor opens anything in 10,000 polls`() async {
    // In a process of its own: the tests beside it open, close and allocate in this one.
    await #expect(processExitsWith: .success) {
      // In a network namespace of its own: the tables that we read would grow with the sockets of the tests beside it.
      let child = try FDFactory(launcher: Machine.hasNetworkNamespaces ? Machine.inNetworkNamespace : [])
      for made in ["file", "eventfd", "pipe", "tcp-listen", "timerfd", "unix"] { try child.open(made, 4) }
      var watched = try Watched(child)
      func poll(_ times: Int) throws {
        for round in 0..<times {
          let count = try watched.directory.count()
          guard count == 27 else { throw TestFailure("counted \(count)") }
          switch round % 40 {
          case 0: _ = try watched.census(.deep)
          case 10: _ = try watched.census(.links)
          case 20: _ = try watched.census(.none)
          case 30 where round % 400 == 30: _ = try watched.censusWithSockets()
          default: break
          }
        }
      }
      // The measure sees a leak of both.
      let empty = try Footprint.measure()
      let leaked = (0..<5).map { _ in unsafe open("/dev/null", O_RDONLY) }
      let block = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      _ = unsafe block.initializeMemory(as: UInt8.self, repeating: 1, count: 1 << 20)
      let fed = try Footprint.measure()
      try #require(fed.descriptors == empty.descriptors + 5, "the count of descriptors is blind")
      try #require(fed.anonymousKiB >= empty.anonymousKiB + 1_000, "the measure of memory is blind")
      for descriptor in leaked { close(descriptor) }
      unsafe block.deallocate()

      try poll(2_000)
      _ = try Footprint.measure()
      let before = try Footprint.measure()
      try poll(10_000)
      let after = try Footprint.measure()
      #expect(after.descriptors == before.descriptors)
      #expect(after.anonymousKiB <= before.anonymousKiB + 8, "from \(before.anonymousKiB) to \(after.anonymousKiB) KiB")
    }
  }
}
