// SPDX-License-Identifier: Apache-2.0
// fdwatch silence UNIT: what nobody wants to hear of for a while. fdwatch test-alert: whether anybody hears.

import Alerts
import ArgumentParser
import Daemon
import Descriptors
import FoundationEssentials
import Linux

struct SilenceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "silence",
    abstract: "Keep the alerts of a unit silent for a while.",
    discussion: """
      They are still shown by fdwatch status, and stand in the journal with priority 6; no hook runs. When the time is \
      over, what goes on is told. The end of what was told before is told at once.

      Examples:
        fdwatch silence orders.service --for 7d --reason "known, #4711"
        fdwatch silence 'batch-*' --for 12h --reason "migration"
        fdwatch silence orders.service --off
      """
  )

  @OptionGroup var place: DaemonPlace

  @Argument(help: "A unit, or the name of a command outside of units; * stands for anything.")
  var unit: String

  @Option(name: .customLong("for"), help: ArgumentHelp("How long, such as 12h or 7d.", valueName: "time"))
  var span: TimeSpan?

  @Option(help: ArgumentHelp("Why: whoever looks next wants to know.", valueName: "text"))
  var reason: String?

  @Flag(help: "Tell them again from now on.")
  var off = false

  func validate() throws {
    if off, span != nil { throw ValidationError("--off ends a silence: it takes no --for.") }
    if !off, span == nil { throw ValidationError("Say for how long: --for 7d.") }
    if !off, (reason ?? "").isEmpty { throw ValidationError("Say why: --reason \"…\".") }
    if unit.isEmpty { throw ValidationError("Say which unit.") }
  }

  func run() throws {
    let silence = Silence(
      subject: unit, until: off ? 0 : WallClock.now + (span?.duration.seconds ?? 0), reason: reason ?? "",
      by: Host.environment("SUDO_USER") ?? Host.userName(Host.effectiveUser))
    let body = String(decoding: try JSONEncoder().encode(silence), as: UTF8.self)
    let answer = try asking { () throws(ControlError) in try place.client.post("/silence", body) }
    let words = String(decoding: answer, as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
    emit(off ? words : "\(unit.printable) is silent until \(WallClock.local(silence.until)); \(words)")
  }
}

struct TestAlertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test-alert",
    abstract: "Send a marked alert all the way: to the journal and to every hook.",
    discussion: "Nothing has happened then, and the alert says so. How the hooks came out: journalctl -u fdwatch"
  )

  @OptionGroup var place: DaemonPlace

  func run() throws {
    let answer = try asking { () throws(ControlError) in try place.client.post("/test-alert", "") }
    Output.write(String(decoding: answer, as: UTF8.self))
  }
}
