// SPDX-License-Identifier: Apache-2.0
// Arguments that several commands share.

import ArgumentParser
import Linux
import Procfs
import Watch

/// `500ms`, `1s`, `2m`, `1h`, `7d`; a bare number is seconds.
struct TimeSpan: ExpressibleByArgument, CustomStringConvertible {
  var duration: Duration
  var description: String

  init?(argument: String) {
    let units: [(suffix: String, seconds: Double)] = [
      ("ms", 0.001), ("s", 1), ("min", 60), ("m", 60), ("h", 3600), ("d", 86400), ("", 1),
    ]
    guard let unit = units.first(where: { argument.hasSuffix($0.suffix) }),
      let number = Double(argument.dropLast(unit.suffix.count)), number > 0, number * unit.seconds < 1e9,
      argument.first?.isNumber == true
    else { return nil }
    duration = .milliseconds(Int64((number * unit.seconds * 1000).rounded()))
    guard duration > .zero else { return nil }
    description = argument
  }

  init(_ description: String, _ duration: Duration) {
    self.duration = duration
    self.description = description
  }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case text, json
}

/// Which processes.
struct TargetArguments: ParsableArguments {
  @Argument(help: "Numbers of the processes.")
  var pid: [Int32] = []

  @Option(name: .long, help: ArgumentHelp("All processes of this name, as ps -o comm shows it.", valueName: "name"))
  var comm: [String] = []

  @Option(name: .long, help: ArgumentHelp("All processes of this systemd unit.", valueName: "name"))
  var unit: [String] = []

  // For a captured tree, as tests and bug reports have it.
  @Option(name: .customLong("procfs"), help: .hidden)
  var root = "/proc"

  var selectors: [TargetSelector] {
    pid.map { .pid($0) } + comm.map { .command($0) } + unit.map { .unit($0) }
  }

  func validate() throws {
    if selectors.isEmpty { throw ValidationError("Say which process: a PID, --comm NAME or --unit NAME.") }
    if let wrong = pid.first(where: { $0 <= 0 }) { throw ValidationError("\(wrong) is not the number of a process.") }
  }
}
