// SPDX-License-Identifier: Apache-2.0
// The built binary as a user calls it: arguments, output, exit code.

import TestSupport
import Testing

/// One call, and what has to come of it.
struct Call: Sendable, CustomTestStringConvertible {
  var arguments: [String]
  var status: Int32
  var output: [String] = []
  var errors: [String] = []
  var testDescription: String { (["fdwatch"] + arguments).joined(separator: " ") }

  /// A number that no process has: above the kernel's highest.
  static let nobody = "4194399"

  static let all: [Call] = [
    Call(
      arguments: ["--help"], status: 0,
      output: [
        // What it is for, examples to copy, and the exit codes; each command has its options.
        "Finds file descriptor leaks", "fdwatch 4711 ", "--until-leak", "--for", "--once", "Exit status: 0 no leak",
        "SUBCOMMANDS", "watch (default)",
      ]),
    Call(
      arguments: ["watch", "--help"], status: 0,
      output: ["--comm", "--unit", "--format", "--interval", "--for", "--once", "--until-leak", "--journal"]),
    Call(arguments: ["--version"], status: 0, output: ["0."]),
    Call(arguments: [], status: 64, errors: ["Say which process: a PID, --comm NAME or --unit NAME."]),
    Call(arguments: ["nginx"], status: 64, errors: ["'nginx'"]),
    Call(arguments: ["--", "-5"], status: 64, errors: ["-5 is not the number of a process"]),
    Call(arguments: ["0"], status: 64, errors: ["0 is not the number of a process"]),
    Call(arguments: ["99999999999999999999"], status: 64, errors: ["99999999999999999999"]),
    Call(arguments: ["--nonsense", "1"], status: 64, errors: ["--nonsense"]),
    Call(arguments: ["--interval", "soon", "1"], status: 64, errors: ["soon"]),
    Call(arguments: ["--interval", "1ms", "1"], status: 64, errors: ["The shortest --interval is 10ms."]),
    Call(arguments: ["--for", "-1s", "1"], status: 64, errors: ["--for"]),
    Call(arguments: ["--format", "xml", "1"], status: 64, errors: ["xml"]),
    Call(arguments: [nobody], status: 2, errors: ["fdwatch: no process \(nobody)\n"]),
    Call(arguments: ["--once", nobody], status: 2, errors: ["no process \(nobody)"]),
    Call(arguments: ["--comm", "no such name"], status: 2, errors: ["no process is named \"no such name\""]),
    Call(arguments: ["--comm", "a\u{1b}[2Jb"], status: 2, errors: ["named \"a\\x1b[2Jb\""]),
    Call(
      arguments: ["--unit", "no-such.service"], status: 2, errors: ["no process belongs to the unit no-such.service"]),
    Call(
      arguments: ["--procfs", "/no-such-tree", "1"], status: 2, errors: ["cannot open /no-such-tree: No such file"]),
  ]
}

@Suite struct `fdwatch called` {
  @Test(arguments: Call.all) func `answers as it says`(call: Call) throws {
    let outcome = try BuiltBinary.run(call.arguments)
    #expect(outcome.status == .exited(call.status))
    for part in call.output { #expect(outcome.output.contains(part)) }
    for part in call.errors { #expect(outcome.errors.contains(part)) }
    // Help is no error, and an error no output.
    #expect(outcome.errors.isEmpty == call.errors.isEmpty)
    #expect(outcome.output.isEmpty == call.output.isEmpty)
    #expect(!(outcome.outputBytes + outcome.errorBytes).contains(0x1b))
  }
}
