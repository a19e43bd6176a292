// SPDX-License-Identifier: Apache-2.0
// Files whose times lie beyond all calendars: their owners may set them so.

import Foundation
import Glibc
import TestSupport
import Testing

@Suite struct `A file of a far time` {
  /// In a memfd they stay as they are; other file systems take the nearest that they can hold.
  private static let seconds = [99_999_999_999, -5000, -99_999_999_999, Int.max, Int.min]

  private func touch(_ path: String, _ seconds: Int) throws {
    let times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
    try #require(unsafe utimensat(AT_FDCWD, path, times, 0) == 0)
  }

  /// What LeakProfile's table is called, so that it is looked into.
  @Test(arguments: seconds) func `that a process holds does not end its watch`(seconds: Int) throws {
    let program = """
      import ctypes, os, sys
      class Time(ctypes.Structure): _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
      table = os.memfd_create("leakprofile", os.MFD_ALLOW_SEALING)
      os.ftruncate(table, 1 << 16)
      time = Time(int(sys.argv[1]), 0)
      if ctypes.CDLL(None).futimens(table, (Time * 2)(time, time)) != 0: sys.exit("futimens")
      print("ready", flush=True)
      sys.stdin.read()
      """
    let child = try ChildProcess(["python3", "-c", program, "\(seconds)"])
    #expect(try child.readLine() == "ready")
    let outcome = try BuiltBinary.run(["\(child.pid)", "--for", "2s", "--interval", "200ms", "--format", "json"])
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    #expect(outcome.output.contains("\"event\":\"end\""))
  }

  @Test(arguments: seconds) func `is read as a configuration, a drop-in and a profile`(seconds: Int) throws {
    let directory = try TemporaryDirectory()
    let (main, dropIn) = (directory.path + "/fdwatch.toml", directory.path + "/10.toml")
    let profile = directory.path + "/profile.txt"
    for (path, text) in [(main, "interval = \"2s\"\n"), (dropIn, "cpu_budget = 3\n"), (profile, "no profile\n")] {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      try touch(path, seconds)
    }
    let check = try BuiltBinary.run(["check-config", main, dropIn])
    #expect(check.status == .exited(0) && check.output.hasPrefix("ok"), "\(check.output)")
    let child = try FDFactory()
    let watch = try BuiltBinary.run([
      "\(child.pid)", "--profile", profile, "--for", "2s", "--interval", "200ms", "--format", "json",
    ])
    #expect(watch.status == .exited(0) && watch.output.contains("\"event\":\"end\""), "\(watch.errors)")
  }
}
