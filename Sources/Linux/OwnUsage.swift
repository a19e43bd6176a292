// SPDX-License-Identifier: Apache-2.0
// What this process itself takes. See getrusage(2), proc(5).

import CLinux
import Glibc

package struct OwnUsage: Sendable {
  package var cpuSeconds: Double
  package var residentBytes: UInt64
  package var openDescriptors: Int
  package var softLimit: UInt64
  /// Seconds since 1970.
  package var startTime: Double

  /// `nil` where /proc is not there.
  package static var now: OwnUsage? {
    var usage = rusage()
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0,
      let own = try? Descriptor(path: "/proc/self"),
      let statm = try? own.contents(of: "statm", limit: 4096), let stat = try? own.contents(of: "stat", limit: 4096)
    else { return nil }
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    let pages = statm.split(separator: UInt8(ascii: " "))
    let fields = (stat.split(separator: UInt8(ascii: ")")).last ?? []).split(separator: UInt8(ascii: " "))
    let start = fields.count > 19 ? Double(String(decoding: fields[19], as: UTF8.self)) ?? 0 : 0
    let uptime = Double(Instant.read(CLOCK_BOOTTIME)) / 1e9
    return OwnUsage(
      cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
      residentBytes: (pages.count > 1 ? UInt64(String(decoding: pages[1], as: UTF8.self)) ?? 0 : 0)
        * UInt64(sysconf(CInt(_SC_PAGESIZE))),
      openDescriptors: Self.openDescriptors(own),
      softLimit: fdwatch_descriptor_limit(),
      startTime: WallClock.now - uptime + start / Double(sysconf(CInt(_SC_CLK_TCK))))
  }

  private static func openDescriptors(_ own: borrowing Descriptor) -> Int {
    var numbers: [Int32] = []
    do {
      try NumberedDirectory("fd", in: own).list(into: &numbers)
    } catch {
      return 0
    }
    // One of them is the list itself.
    return max(0, numbers.count - 1)
  }
}
