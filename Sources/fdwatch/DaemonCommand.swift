// SPDX-License-Identifier: Apache-2.0
// fdwatch daemon: what the unit runs.

import ArgumentParser
import Config
import Daemon
import Linux
import Systemd

struct DaemonCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "daemon",
    abstract: "Watch all that the configuration names, and tell of leaks.",
    discussion: """
      Runs until SIGTERM; SIGHUP reads the configuration again. Without one it watches every process that it can see, and \
      is silent until something leaks. Alerts go to the journal, and to hooks.

      As a service: systemctl enable --now fdwatch
      What it sees: fdwatch status. What it has said: fdwatch alerts.
      """
  )

  @OptionGroup var place: DaemonPlace

  @Option(help: ArgumentHelp("The main configuration file.", valueName: "file"))
  var config: String?

  // What stands before the folders of drop-ins: for tests.
  @Option(help: .hidden) var root = ""

  func run() throws {
    var paths = place.paths
    paths.configuration = config
    paths.root = root
    let signals = try SignalQueue()
    do throws(DaemonError) {
      let daemon = try Daemon(paths: paths, version: FDWatch.configuration.version, sockets: .take())
      try daemon.run(signals)
    } catch {
      for line in error.description.split(whereSeparator: \.isNewline) { complain(String(line)) }
      // Of sysexits(3). fdwatch.service does not try again at these two.
      switch error {
      case .configuration: throw ExitCode(78)  // EX_CONFIG
      case .inUse: throw ExitCode(69)  // EX_UNAVAILABLE
      default: throw ExitCode(1)
      }
    }
  }
}

/// Where the daemon keeps its things, for those who run it and for those who ask it.
struct DaemonPlace: ParsableArguments {
  @Option(help: ArgumentHelp("The folder of its sockets.", valueName: "folder"))
  var runtimeDir: String?

  @Option(help: ArgumentHelp("The folder of what it remembers.", valueName: "folder"))
  var stateDir: String?

  @Option(name: .customLong("procfs"), help: .hidden)
  var procfs = "/proc"

  var paths: DaemonPaths {
    var paths = DaemonPaths(runtime: runtimeDir, state: stateDir)
    paths.procfs = procfs
    return paths
  }

  var client: ControlClient { ControlClient(socket: paths.socket) }
}

/// Asks the daemon, and ends with 2 where it does not answer.
func asking<Value>(_ body: () throws(ControlError) -> Value) throws -> Value {
  do throws(ControlError) { return try body() } catch {
    complain("\(error)")
    throw ExitCode(2)
  }
}
