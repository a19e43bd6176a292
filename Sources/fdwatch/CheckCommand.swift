// SPDX-License-Identifier: Apache-2.0
// fdwatch check PID|UNIT: for monitoring systems. One line, performance data, and an exit code: the Monitoring Plugins
// Development Guidelines (monitoring-plugins.org), which Nagios, Icinga and Zabbix's agents read.

import ArgumentParser
import Daemon
import Descriptors
import Linux
import Procfs
import Systemd
import Watch

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "One line and an exit code for Nagios, Icinga, Zabbix.",
    discussion: """
      With a daemon running, its word on leaks counts; without one, only how full the tables of descriptors are.

      Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

      Examples:
        fdwatch check nginx.service
        fdwatch check 4711 --warning 70 --critical 90
      """
  )

  @OptionGroup var place: DaemonPlace

  @Argument(help: "A unit, or the number of a process.")
  var target: String

  @Option(name: .shortAndLong, help: ArgumentHelp("Percent of the soft limit.", valueName: "percent"))
  var warning = 80

  @Option(name: .shortAndLong, help: ArgumentHelp("Percent of the soft limit.", valueName: "percent"))
  var critical = 95

  func validate() throws {
    guard (0...100).contains(warning), (0...100).contains(critical), warning <= critical else {
      throw ValidationError("--warning and --critical are percents, and the first is not above the second.")
    }
  }

  func run() throws {
    let unit = Int32(target) == nil ? Unit.named(target) : nil
    do {
      let procfs = try Procfs(path: place.procfs)
      let pids = try procfs.processes(matching: unit.map { .unit($0) } ?? .pid(Int32(target) ?? 0))
      throw judge(pids, unit, procfs)
    } catch let error as SystemCallError {
      throw answer(3, "cannot list \(place.procfs): \(error.reason)")
    }
  }

  private func judge(_ pids: [Int32], _ unit: String?, _ procfs: borrowing Procfs) -> ExitCode {
    var open = 0
    var fullest: (percent: Int, name: String)?
    var seen = 0
    var limit: UInt64?
    var refusal: ProcfsError?
    for pid in pids {
      let (count, limits, name): (Int, Limits, String)
      do throws(ProcfsError) {
        var directory = try ProcessDirectory(pid: pid, in: procfs)
        (count, limits) = (try directory.countOrExplain(), try directory.limits())
        name = "\(((try? directory.command()) ?? "?").printable)[\(pid)]"
      } catch .gone {
        continue
      } catch {
        refusal = error
        continue
      }
      seen += 1
      open += count
      guard limits.soft > 0, limits.soft < 1 << 40 else { continue }
      limit = min(limit ?? limits.soft, limits.soft)
      let percent = Int(UInt64(count) * 100 / limits.soft)
      if percent > fullest?.percent ?? -1 { fullest = (percent, name) }
    }
    if seen == 0, let refusal { return answer(3, "\(refusal)".replacing("|", with: "/")) }
    if seen == 0 { return answer(3, "no process \(unit.map { "belongs to \($0.printable)" } ?? target)") }
    let percent = fullest?.percent ?? 0
    var usage = fullest.map { "\(open) open, fullest \($0.name) at \($0.percent) %" } ?? "\(open) open, no limit"
    var alert: DaemonStatus.AlertLine?
    var isUnknown = false
    do throws(ControlError) {
      alert = try daemonAlert(unit: unit)
    } catch .notRunning {
      usage += " (no daemon runs)"
    } catch {
      // Whether it leaks is what was asked for.
      usage = "\(error); \(usage)"
      isUnknown = true
    }
    let data =
      "|open=\(open);;;0 processes=\(seen);;;0 fullest=\(percent)%;\(warning);\(critical);0;100"
      + (limit.map { " soft_limit=\($0);;;0" } ?? "")
    let text = (alert?.message.printable ?? usage).replacing("|", with: "/")
    if alert.map({ $0.priority <= 2 }) == true || percent >= critical { return answer(2, text + data) }
    if isUnknown { return answer(3, text + data) }
    if alert != nil || percent >= warning { return answer(1, text + data) }
    return answer(0, text + data)
  }

  /// The most urgent alert of the target, if a daemon runs and knows one.
  private func daemonAlert(unit: String?) throws(ControlError) -> DaemonStatus.AlertLine? {
    let answer = try place.client.get("/status")
    guard let status = try? DaemonStatus(answer) else { return nil }
    return status.alerts.filter { alert in
      !alert.silenced && alert.type != "report"
        && (unit.map { alert.unit == $0 } ?? (alert.pids ?? []).contains(Int32(target) ?? -1))
    }.min { $0.priority < $1.priority }
  }

  private func answer(_ code: Int32, _ text: String) -> ExitCode {
    emit("FDWATCH \(["OK", "WARNING", "CRITICAL", "UNKNOWN"][Int(code)]) - \(text)")
    return ExitCode(code)
  }
}
