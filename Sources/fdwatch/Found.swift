// SPDX-License-Identifier: Apache-2.0
// From what a person named to the processes that are watched, and to words about those that cannot be.

import ArgumentParser
import Descriptors
import Linux
import Procfs
import Synchronization
import Systemd
import Watch

/// The processes that were named, ready to be watched, and a sentence for each that could not be.
struct Found {
  var processes: [WatchedProcess] = []
  var views: [ProcessView] = []
  var failures: [String] = []

  init(
    _ selectors: [TargetSelector], in procfs: borrowing Procfs, interval: Duration, profiling: Profiling = .none
  ) {
    Host.raiseDescriptorLimit()
    var seen: Set<Int32> = []
    for selector in selectors {
      do {
        let pids = try procfs.processes(matching: selector)
        if pids.isEmpty { failures.append("no process \(selector.inWords)\(Found.hint(procfs))") }
        for pid in pids where seen.insert(pid).inserted {
          add(pid, selector, in: procfs, interval: interval, profiling)
        }
      } catch {
        failures.append("cannot list \(procfs.path): \(error.reason)")
      }
    }
  }

  private mutating func add(
    _ pid: Int32, _ selector: TargetSelector, in procfs: borrowing Procfs, interval: Duration, _ profiling: Profiling
  ) {
    do {
      let process = try WatchedProcess(
        pid: pid, in: procfs, interval: interval, start: WallClock.now, profiling: profiling)
      let identity = process.identity
      let unit = Unit.name(of: pid)
      // The number may have been given to another since it was found by its name: then it is not meant.
      if case .command(let name) = selector, identity.command != name { return }
      if case .unit(let name) = selector, unit != Unit.named(name) { return }
      // Also fails if the number was given to another since the process was opened: the unit is its own.
      try process.checkAccess()
      processes.append(process)
      var view = ProcessView(
        identity: identity, userName: Host.userName(identity.user), unit: unit, count: process.count,
        limits: process.limits)
      view.commandLine = process.commandLine
      views.append(view)
    } catch .gone {
      failures.append("no process \(pid)\(Found.hint(procfs))")
    } catch .zombie {
      failures.append("process \(pid) has exited: only its entry is left, until its parent collects it")
    } catch .denied(let file, let missing) {
      failures.append(Found.denied(pid, file: file, missing: missing, in: procfs))
    } catch {
      failures.append("process \(pid): \(error)")
    }
  }

  private static func hint(_ procfs: borrowing Procfs) -> String {
    procfs.hidesProcesses && !Host.has(.sysPtrace)
      ? " that we may see (\(procfs.path) hides those of others: needs \(Capability.sysPtrace.name))" : ""
  }

  private static func denied(_ pid: Int32, file: String, missing: [Capability], in procfs: borrowing Procfs) -> String {
    let identity = try? ProcessDirectory(pid: pid, in: procfs).identity()
    let who = identity.map { " (\($0.command.printable), user \(Host.userName($0.user)))" } ?? ""
    let needs = missing.map(\.name).joined(separator: " and ")
    let what = "may not look into process \(pid)\(who): \(file) is closed to us."
    return missing.isEmpty ? what : "\(what) It takes \(needs): run as root (sudo fdwatch \(pid))."
  }
}

extension TargetSelector {
  var inWords: String {
    switch self {
    case .pid(let pid): "\(pid)"
    case .command(let name): "is named \"\(name.printable)\""
    case .unit(let name): "belongs to the unit \(name.printable)"
    }
  }
}

func openProcfs(_ root: String) throws -> Procfs {
  do {
    return try Procfs(path: root)
  } catch {
    complain("cannot open \(root): \(error.reason)")
    throw ExitCode(2)
  }
}

/// A line on standard error, headed by our name as is the custom.
func complain(_ text: String) { try? Terminal.write("fdwatch: \(text)\n", to: 2) }

/// A line on standard output, now and not when a buffer is full.
func emit(_ text: String) { Output.write(text + "\n") }

/// Standard output. That it takes no more (a full disk) is said once, and does not end a watch: others listen, too.
enum Output {
  private static let failed = Mutex(false)

  static func write(_ text: String) { write(Array(text.utf8)) }

  static func write(_ bytes: [UInt8]) {
    do {
      try Terminal.write(bytes, to: 1)
    } catch {
      let isFirst = failed.withLock { before in
        defer { before = true }
        return !before
      }
      if isFirst { complain("cannot write to standard output: \(error.reason)") }
    }
  }

  /// To be called at the end: what was not written must not look like a success.
  static func check() throws {
    if failed.withLock({ $0 }) { throw ExitCode(2) }
  }
}

extension TextStyle {
  /// Colour on a terminal only, and none under `NO_COLOR`.
  static var forOutput: TextStyle {
    TextStyle(isOn: Terminal.isTerminal(1) && (Host.environment("NO_COLOR") ?? "").isEmpty)
  }
}
