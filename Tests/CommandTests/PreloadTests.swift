// SPDX-License-Identifier: Apache-2.0
// Libraries that are preloaded and change the environment before anything of ours runs, as libfaketime does.

import Foundation
import TestSupport
import Testing

@Suite struct `A preloaded library that sets variables` {
  private static let library = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <stdio.h>
    #include <stdlib.h>
    __attribute__((constructor)) static void set(void) {
      char name[32];
      for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "PRELOADED_%d", i);
        setenv(name, "a value that takes its place", 1);
      }
    }
    // Swift's runtime reads /proc/self/maps before it looks for the arguments, in a constructor that comes before ours.
    FILE *fopen(const char *path, const char *mode) {
      set();
      return ((FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen"))(path, mode);
    }

    """

  private let directory: TemporaryDirectory
  private var environment: [String: String] { ["LD_PRELOAD": directory.path + "/preloaded.so"] }

  init() throws {
    directory = try TemporaryDirectory()
    try Self.library.write(toFile: directory.path + "/preloaded.c", atomically: true, encoding: .utf8)
    let compiler = try ChildProcess(
      ["cc", "-shared", "-fPIC", "-o", directory.path + "/preloaded.so", directory.path + "/preloaded.c", "-ldl"])
    compiler.closeInput()
    let outcome = try compiler.finish()
    try #require(outcome.status == .exited(0), "\(outcome.errors)")
  }

  @Test func `does not take the arguments away`() throws {
    let version = try BuiltBinary.run(["--version"], environment: environment)
    #expect(version.status == .exited(0) && version.output.hasPrefix("0.") && version.errors.isEmpty)

    try "interval = \"5 parsecs\"\n".write(toFile: directory.path + "/f.toml", atomically: true, encoding: .utf8)
    let check = try BuiltBinary.run(["check-config", directory.path + "/f.toml"], environment: environment)
    #expect(check.status == .exited(1) && (check.output + check.errors).contains("f.toml:1:"))
  }

  @Test func `does not take away those of a command`() throws {
    let child = try FDFactory()
    let once = try BuiltBinary.run(["--once", "--format", "json", "\(child.pid)"], environment: environment)
    #expect(once.status == .exited(0) && once.output.contains("\"pid\":\(child.pid)"))
  }
}
