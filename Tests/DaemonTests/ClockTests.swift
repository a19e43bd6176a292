// SPDX-License-Identifier: Apache-2.0
// A clock on the wall that jumps, for the whole daemon: a library that stands before the C library's says what time it is,
// as the clock itself is that of all who run on this machine.

import Foundation
import TestSupport
import Testing

@Suite struct `A daemon whose clock jumps` {
  private static let source = """
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    static volatile long long *shift;
    __attribute__((constructor)) static void begin(void) {
      int file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
      void *memory = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
      close(file);
      if (memory != MAP_FAILED) shift = memory;
    }
    int clock_gettime(clockid_t clock, struct timespec *now) {
      int result = (int)syscall(SYS_clock_gettime, clock, now);
      if (result == 0 && clock == CLOCK_REALTIME && shift) now->tv_sec += *shift;
      return result;
    }
    """

  private struct Clock {
    let directory: TemporaryDirectory
    var launcher: [String] {
      ["env", "LD_PRELOAD=\(directory.path)/clock.so", "CLOCK_SHIFT=\(directory.path)/shift"]
    }

    init() throws {
      directory = try TemporaryDirectory()
      try Data(count: 8).write(to: URL(filePath: directory.path + "/shift"))
      let compiler = try ChildProcess(["cc", "-shared", "-fPIC", "-o", directory.path + "/clock.so", "-x", "c", "-"])
      try compiler.write(source)
      compiler.closeInput()
      let outcome = try compiler.finish()
      try #require(outcome.status == .exited(0), "\(outcome.errors)")
    }

    func jump(to seconds: Int64) throws {
      let file = try FileHandle(forWritingTo: URL(filePath: directory.path + "/shift"))
      try file.write(contentsOf: Data((0..<8).map { UInt8(truncatingIfNeeded: seconds >> ($0 * 8)) }))
      try file.close()
    }
  }

  @Test func `by a day, ahead and back, finds a leak once, and its end`() throws {
    let clock = try Clock()
    let child = try leakingChild(named: "dt-clock")
    let place = try RunningDaemon.Place()
    try place.configure(RunningDaemon.watching("dt-clock"))
    var daemon = try RunningDaemon(place, launcher: clock.launcher)
    let day: Int64 = 86400
    func goesOn() throws {
      let before = try #require(try daemon.metric("fdwatch_polls_total"))
      try daemon.eventually { try daemon.metric("fdwatch_polls_total") ?? 0 > before + 4 }
    }
    /// An hour from now by the true clock: whether that has passed shows that the daemon believes the other one.
    func silence(_ answer: String) throws {
      let outcome = try daemon.ask("silence", ["other", "--for", "1h", "--reason", "a test"])
      #expect(outcome.output.hasSuffix(answer + "\n"), "\(outcome.output)")
    }

    try daemon.waitUntilItListens()
    try goesOn()
    try clock.jump(to: day)
    try silence("there is no silence of other")
    try goesOn()
    try clock.jump(to: -day)
    try silence("it covers nothing now")
    try daemon.waitFor("dt-clock[\(child.pid)] leaks eventfd")
    try clock.jump(to: day)
    try goesOn()
    let alert = try #require(try daemon.alerts.first)

    // Another one, for whom it is two days earlier, knows what this one knew.
    var said = daemon.said
    #expect(try daemon.terminate().status == .exited(0))
    try clock.jump(to: -day)
    daemon = try RunningDaemon(place, launcher: clock.launcher)
    try daemon.waitUntilItListens()
    try goesOn()
    let same = try #require(try daemon.alerts.first)
    #expect(same["id"] as? String == alert["id"] as? String)
    #expect(same["first_seen"] as? String == alert["first_seen"] as? String)
    try clock.jump(to: day)
    try child.exit()
    try daemon.waitFor("dt-clock[\(child.pid)] leaked eventfd: over, the process exited")
    #expect(try daemon.terminate().status == .exited(0))
    said += daemon.said
    #expect(said.components(separatedBy: "fdwatch: dt-clock[\(child.pid)] leaks eventfd").count == 2, "\(said)")
  }
}
