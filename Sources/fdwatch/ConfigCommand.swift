// SPDX-License-Identifier: Apache-2.0
// fdwatch config: what the daemon's files come to, and where each value came from.

import ArgumentParser
import Config
import Descriptors

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config",
    abstract: "Print the daemon's configuration as it is merged from all files.",
    discussion: """
      Reads /etc/fdwatch/fdwatch.toml and the drop-ins fdwatch.d/*.toml below /etc/fdwatch, /run/fdwatch and \
      /usr/lib/fdwatch. Behind each value stands its file and line, or "default". What is printed is a configuration file \
      itself. Exits with 1 where a file has a mistake: the daemon would refuse it.
      """
  )

  @Option(help: "What to print: text (TOML), or json.")
  var format = OutputFormat.text

  @OptionGroup var files: ConfigArguments

  func run() throws {
    let loaded = files.load()
    for problem in loaded.problems { complain("\(problem)") }
    guard loaded.isValid else { throw ExitCode(1) }
    switch format {
    case .text: Output.write(loaded.toml)
    case .json: Output.write(loaded.json)
    }
    try Output.check()
  }
}

/// Where the files of the daemon are.
struct ConfigArguments: ParsableArguments {
  @Option(help: ArgumentHelp("The main file, in the place of /etc/fdwatch/fdwatch.toml.", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("What to put before all paths: for a system that is not running.", valueName: "folder"))
  var root = ""

  func load() -> LoadedConfiguration {
    let root = root.hasSuffix("/") ? String(root.dropLast()) : root
    return Configuration.load(root: root, main: config)
  }
}
