// SPDX-License-Identifier: Apache-2.0
// The command line's root. One file per command.

import ArgumentParser
import Linux

@main
struct FDWatch: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdwatch",
    abstract: "Finds file descriptor leaks of running processes.",
    usage: """
      fdwatch [--once] [--for <time>] [--until-leak] [--format json] <pid> ...
      fdwatch --comm <name> | --unit <name>
      fdwatch record <pid> -o <file>
      fdwatch replay [--explain] <file> ...
      fdwatch daemon
      fdwatch status | alerts [--since <time>] [--unit <glob>] [--follow]
      """,
    discussion: """
      Watches a process and tells whether it leaks descriptors: which kind, to \
      what, how fast, and when it will reach its limit. The process needs no \
      change and is not stopped.

      Examples:
        fdwatch 4711                        until it exits or Ctrl-C
        fdwatch --comm nginx --for 5m       all of that name, for 5 minutes
        fdwatch --unit nginx --once         what they have open now
        fdwatch 4711 --until-leak           beside a test: 1 if it leaks
        fdwatch record 4711 -o run.gz       keep what was seen
        fdwatch openers 4711 --for 10s      which code opened what stays open

      Exit status: 0 no leak was seen, 1 a leak, 2 a process could not be \
      watched, 64 wrong usage. record and replay end with 0 whatever leaks.

      All options of the watch: fdwatch help watch
      """,
    version: "0.1.0",
    subcommands: [
      WatchCommand.self, RecordCommand.self, ReplayCommand.self, OpenersCommand.self, DaemonCommand.self,
      StatusCommand.self, AlertsCommand.self, ExplainCommand.self, SilenceCommand.self, TestAlertCommand.self,
      CheckCommand.self, ConfigCommand.self, CheckConfigCommand.self, ReportCommand.self, ParseCommand.self,
    ],
    defaultSubcommand: WatchCommand.self
  )

  static func main() { main(Host.arguments) }
}
