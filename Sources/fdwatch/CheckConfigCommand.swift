// SPDX-License-Identifier: Apache-2.0
// fdwatch check-config: every mistake at once.

import ArgumentParser
import Config
import Daemon
import Descriptors
import Linux

struct CheckConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-config",
    abstract: "Check the daemon's configuration.",
    discussion: """
      Tells every mistake with its file, line and column, and what is expected there. Exits with 1 if there is one. \
      Warnings, such as of a key that is not known, do not count. Of the daemon's own files it also checks that the \
      commands and the users of hooks exist.
      """
  )

  @Argument(
    help: "Files to check, as though they were the main file and its drop-ins. Without any: those of the daemon.")
  var file: [String] = []

  @OptionGroup var files: ConfigArguments

  func validate() throws {
    if !file.isEmpty, files.config != nil || !files.root.isEmpty {
      throw ValidationError("Files that are named stand for themselves: --config and --root do not go with them.")
    }
  }

  func run() throws {
    var loaded = file.isEmpty ? files.load() : Configuration.load(files: file)
    // MAINPID: it is run as the reload of fdwatch.service, in whose sandbox hooks are not, see systemd.exec(5).
    if file.isEmpty, Host.environment("MAINPID") == nil { loaded.problems += loaded.hookMistakes(root: files.root) }
    // As a compiler prints them: editors find the place by it.
    for problem in loaded.problems { emit("\(problem)") }
    if file.isEmpty, files.root.isEmpty, let problem = Self.parserProblem { emit("warning: \(problem)") }
    if loaded.isValid { emit("ok: \(Self.summary(of: loaded))") }
    try Output.check()
    if !loaded.isValid { throw ExitCode(1) }
  }

  /// A daemon that systemd runs reads profiles by a helper that systemd starts.
  private static var parserProblem: String? {
    let paths = DaemonPaths()
    // Its own socket is there, and the other is not.
    guard (try? Descriptor(path: paths.socket)) != nil, (try? Descriptor(path: "/run/systemd/system")) != nil,
      (try? Descriptor(path: paths.parserSocket)) == nil
    else { return nil }
    return
      "the daemon reads no profiles, as fdwatch-parse.socket does not run: systemctl enable --now fdwatch-parse.socket"
  }

  private static func summary(of loaded: LoadedConfiguration) -> String {
    let configuration = loaded.configuration
    let read =
      loaded.files.isEmpty ? "no file, all is as by default" : loaded.files.map(\.printable).joined(separator: ", ")
    let masked = loaded.masked.isEmpty ? "" : "; masked: \(loaded.masked.map(\.printable).joined(separator: ", "))"
    let tables = [
      ("[[watch]]", configuration.watch.count), ("[[ignore]]", configuration.ignore.count),
      ("[[hook]]", configuration.hooks.count),
    ].filter { $0.1 > 0 }.map { "\($0.1) \($0.0)" }
    return read + (tables.isEmpty ? "" : "; " + tables.joined(separator: ", ")) + masked
  }
}
