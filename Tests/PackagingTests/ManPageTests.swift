// SPDX-License-Identifier: Apache-2.0
// The manual pages: well formed, and complete.

import Foundation
import TestSupport
import Testing

private let pages = (try? Repository.files(in: "packaging/man")) ?? []

@Suite struct `The manual` {
  @Test(
    .enabled(if: Machine.canRun("sh", "-c", "command -v mandoc"), "needs mandoc (Debian: mandoc)"), arguments: pages)
  func `has pages that mandoc finds nothing in`(page: String) throws {
    let verdict = try ChildProcess.run(["mandoc", "-Tlint", "-Wwarning", Repository.path(page)])
    #expect(verdict.output + verdict.errors == "")
  }

  @Test func `names every command and every option`() throws {
    let page = try Repository.text(of: "packaging/man/fdwatch.1")
    let dump = try BuiltBinary.run(["--experimental-dump-help"])
    let program = try JSONDecoder().decode(Help.self, from: Data(dump.outputBytes)).command
    let commands = program.subcommands ?? []
    #expect(commands.count >= 4)
    for command in commands where command.commandName != "help" {
      #expect(page.contains(command.commandName), "\(command.commandName)")
      for argument in command.arguments ?? [] where argument.shouldDisplay {
        for name in argument.names ?? [] where name.kind == "long" && !["help", "version"].contains(name.name) {
          #expect(page.contains("Fl Fl \(name.name)"), "\(command.commandName) --\(name.name)")
        }
      }
    }
  }

  /// What ArgumentParser tells of a program, as far as it matters here.
  private struct Help: Decodable {
    var command: Command
    struct Command: Decodable {
      var commandName: String
      var arguments: [Argument]?
      var subcommands: [Command]?
    }
    struct Argument: Decodable {
      var shouldDisplay: Bool
      var names: [Name]?
    }
    struct Name: Decodable {
      var kind: String
      var name: String
    }
  }
}
