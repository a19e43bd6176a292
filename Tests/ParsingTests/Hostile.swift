// SPDX-License-Identifier: Apache-2.0
// Programs and profiles that are made to harm their reader, and a process that has them mapped.

import Foundation
import Linux
import Parsing
import Pprof
import Procfs
import TestSupport
import Testing

/// And not the daemon's.
typealias ChildProcess = TestSupport.ChildProcess

/// Runs a command, which has to end well.
func make(_ command: [String], in directory: String) throws {
  let child = try ChildProcess(
    command, environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""], workingDirectory: directory)
  child.closeInput()
  let outcome = try child.finish()
  if outcome.status != .exited(0) { throw TestFailure("\(command): \(outcome.errors)") }
}

/// A process that has loaded a library, and where its function `f` lies.
final class Loaded {
  let directory: TemporaryDirectory
  let process: ChildProcess
  let address: UInt64
  let library: String
  let key: ProcessKey

  /// - Parameters:
  ///   - assembly: of the library, which has a function `f`.
  ///   - prepare: changes the file once it is linked.
  init(_ assembly: String, options: [String] = [], prepare: (String) throws -> Void = { _ in }) throws {
    directory = try TemporaryDirectory()
    library = directory.path + "/library.so"
    try assembly.write(toFile: directory.path + "/library.s", atomically: false, encoding: .utf8)
    try make(["clang", "-shared", "-nostdlib", "-o", library, "library.s"] + options, in: directory.path)
    try prepare(library)
    try Self.loader.write(toFile: directory.path + "/loader.c", atomically: false, encoding: .utf8)
    try make(["clang", "-o", "loader", "loader.c", "-ldl"], in: directory.path)
    process = try ChildProcess([directory.path + "/loader", library])
    let line = try #require(try process.readLine())
    address = try #require(UInt64(line.dropFirst(2), radix: 16)) + 1
    key = try ProcessKey(living: process.pid)
  }

  private static let loader = """
    #include <dlfcn.h>
    #include <stdio.h>
    #include <unistd.h>
    int main(int count, char **arguments) {
      void *library = dlopen(arguments[1], RTLD_NOW);
      printf("%p\\n", library ? dlsym(library, "f") : 0);
      fflush(stdout);
      char byte;
      while (read(0, &byte, 1) > 0) {}
      return 0;
    }
    """

  /// A profile that has its function, many times over.
  func profile(addresses: Int = 1) -> [UInt8] {
    let places = (0..<addresses).map { "0x" + String(address + 1 + UInt64($0 % 32), radix: 16) }
    return Array("file profile: total 1\n1 @ \(places.joined(separator: " "))\n\n".utf8)
  }
}

enum Assembly {
  static let plain = function("f")

  static func function(_ name: String) -> String {
    """
    .text
    .globl f
    .type f,@function
    f:
    .globl \(name)
    .type \(name),@function
    \(name == "f" ? "" : name + ":")
    .fill 64,1,0x90
    ret
    .Lend_f:
    .size f,.-f
    .size \(name),.Lend_f-f

    """
  }

  /// By its debug data, `f` comes after a function with so many blocks within each other.
  static func nested(_ depth: Int) -> String {
    function("f") + """
      .globl e
      .type e,@function
      e:
      .fill 64,1,0x90
      ret
      .Lend_e:
      .size e,.-e
      .section .debug_abbrev,"",@progbits
      .uleb128 1, 0x11
      .byte 1
      .uleb128 0x11, 0x01, 0x12, 0x07, 0x03, 0x08
      .byte 0, 0
      .uleb128 2, 0x2e
      .byte 1
      .uleb128 0x03, 0x08, 0x11, 0x01, 0x12, 0x07
      .byte 0, 0
      .uleb128 3, 0x0b
      .byte 1
      .byte 0, 0
      .byte 0
      .section .debug_info,"",@progbits
      .long .Lend-.Lstart
      .Lstart:
      .value 4
      .long .debug_abbrev
      .byte 8
      .uleb128 1
      .quad f
      .quad .Lend_e-f
      .asciz "x.c"
      .uleb128 2
      .asciz "e"
      .quad e
      .quad .Lend_e-e
      .fill \(depth),1,3
      .fill \(depth),1,0
      .byte 0
      .uleb128 2
      .asciz "f"
      .quad f
      .quad .Lend_f-f
      .byte 0
      .byte 0
      .Lend:

      """
  }
}

extension Parser {
  /// Reads a profile of a process as a watch does: on a thread of the parser's.
  func read(
    _ bytes: [UInt8], of key: ProcessKey, owner: ProcessOwner = ProcessOwner(user: 65534, unit: nil),
    withNames: Bool = true
  ) throws -> Result<ParseAnswer, ParseFailure> {
    var request = ParseRequest(key, ParseJob(.bytes(bytes.count)))
    (request.bytes, request.withNames) = (bytes, withNames)
    return try parse(request, about: ProcessInputs(key))
  }
}
