// SPDX-License-Identifier: Apache-2.0
// fdwatch parse: what fdwatch runs to read foreign files. Nobody calls it by hand.

import ArgumentParser
import Linux
import Parsing

struct ParseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parse", abstract: "Read profiles for another fdwatch, on standard input.", shouldDisplay: false)

  func run() throws {
    do {
      // Before the first foreign byte.
      try Confinement().enter()
    } catch {
      // EX_OSERR of sysexits(3).
      throw ExitCode(71)
    }
    ParseHelper(owning: Descriptor(owning: 0)).run()
  }
}
