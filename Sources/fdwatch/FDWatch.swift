// SPDX-License-Identifier: Apache-2.0
// The command line's root. One file per command.

import ArgumentParser

@main
struct FDWatch: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdwatch",
    abstract: "Finds file descriptor leaks of running processes.",
    discussion: """
      fdwatch PID watches a process and tells whether it leaks descriptors: which kind, to what, how fast, and when it \
      will reach its limit. It needs no change to the process and does not stop it.

      Examples:
        fdwatch 4711                          watch until it exits or Ctrl-C
        fdwatch --comm nginx --for 5m         all processes of that name, for five minutes
        fdwatch --unit nginx.service --once   what they have open now
        fdwatch 4711 --until-leak             beside a test: exit 1 as soon as it leaks
        fdwatch record 4711 -o busy.jsonl.gz  keep what was seen, to replay it elsewhere

      Exit status: 0 no leak was seen, 1 a leak, 2 a process could not be watched, 64 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [WatchCommand.self, RecordCommand.self, ReplayCommand.self],
    defaultSubcommand: WatchCommand.self
  )
}
