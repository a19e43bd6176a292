// SPDX-License-Identifier: Apache-2.0
// Starting units and seeing how they end. See org.freedesktop.systemd1(5), systemd.service(5), systemd.exec(5).

import Glibc
import Linux

/// A command to be run as a unit of its own, with its own limits.
///
/// It stays known to the manager until ``Bus/collect(_:)``, so that its exit code can be read: a success as
/// `active (exited)`, all else as `failed`. Whatever it has left running ends with it.
package struct TransientService: Sendable, Equatable {
  /// Such as `fdwatch-hook-mail-17.service`.
  package var name: String
  package var description = ""
  /// An absolute path and its arguments, taken as they are: nothing in them is expanded.
  package var command: [String]
  /// `NAME=value`.
  package var environment: [String] = []
  package var standardInput: [UInt8] = []
  /// `nil`: root.
  package var user: String?
  package var slice: String?
  /// What its output is called in the journal.
  package var identifier = ""
  /// After that it is told to end, and after ``stopTimeout`` more it is killed.
  package var timeout = Duration.seconds(30)
  package var stopTimeout = Duration.seconds(5)
  package var memoryMax: UInt64? = 256 << 20
  package var tasksMax: UInt64? = 128
  package var noNewPrivileges = true

  package init(name: String, command: [String]) { (self.name, self.command) = (name, command) }

  fileprivate func write(to body: inout BusWriter) {
    body.property("Description", description.isEmpty ? name : description)
    // Not oneshot: RuntimeMaxSec= has no effect there. exec: that it cannot be executed is a failure of the start.
    body.property("Type", "exec")
    body.property("RemainAfterExit", true)
    body.property("CollectMode", "inactive")
    body.property("KillMode", "control-group")
    body.property("RuntimeMaxUSec", timeout)
    body.property("TimeoutStartUSec", timeout)
    body.property("TimeoutStopUSec", stopTimeout)
    body.property("StandardOutput", "journal")
    body.property("StandardError", "journal")
    body.property("StandardInput", standardInput.isEmpty ? "null" : "data")
    if !standardInput.isEmpty { body.property("StandardInputData", "ay") { $0.bytes(standardInput) } }
    if !identifier.isEmpty { body.property("SyslogIdentifier", identifier) }
    if !environment.isEmpty { body.property("Environment", "as") { $0.strings(environment) } }
    if let user { body.property("User", user) }
    if let slice { body.property("Slice", slice) }
    if let memoryMax { body.property("MemoryMax", memoryMax) }
    if let tasksMax { body.property("TasksMax", tasksMax) }
    body.property("NoNewPrivileges", noNewPrivileges)
    // ExecStart= would expand $NAME in the arguments, with the values of strangers in a shell's words.
    body.property("ExecStartEx", "a(sasas)") { commands in
      commands.array(of: "(sasas)") { list in
        list.structure("sasas") {
          $0.string(command.first ?? "")
          $0.strings(command)
          $0.strings(["no-env-expand"])
        }
      }
    }
  }
}

/// What the manager says of a unit. See systemctl(1).
package struct UnitState: Sendable, Equatable {
  /// `loaded`, `not-found`, `masked` …
  package var load: String
  /// `active`, `inactive`, `activating`, `deactivating`, `failed`.
  package var active: String
  /// `running`, `exited`, `dead` …
  package var sub: String
  /// `success`, `exit-code`, `signal`, `core-dump`, `timeout`, `oom-kill`, `resources` …; for services.
  package var result: String
  /// How its main process ended: waitid(2)'s `si_code`, 0 where it has not, and `si_status`.
  package var exitCode: Int32
  package var exitStatus: Int32
  /// Whether it has been active: before, a service of `Type=exec` is what the manager itself does to start it.
  package var hasStarted: Bool

  package init(
    load: String, active: String, sub: String, result: String, exitCode: Int32, exitStatus: Int32,
    hasStarted: Bool = true
  ) {
    (self.load, self.active, self.sub) = (load, active, sub)
    (self.result, self.exitCode, self.exitStatus) = (result, exitCode, exitStatus)
    self.hasStarted = hasStarted
  }

  package enum Outcome: Sendable, Equatable {
    case running
    case exited(Int32)
    /// The manager could not start it, for a reason of systemd.exec(5), "PROCESS EXIT CODES".
    case notStarted(StartFailure)
    case killed(signal: Int32)
    /// It took longer than allowed.
    case timedOut
    /// It ended otherwise, by the manager's word for it.
    case failed(String)
    /// The manager does not know it.
    case gone
  }

  package enum StartFailure: Sendable, Equatable {
    case noCommand, noUser, noGroup
    case other(Int32)

    init(_ status: Int32) {
      switch status {
      case 203: self = .noCommand  // EXIT_EXEC
      case 216: self = .noGroup  // EXIT_GROUP
      case 217: self = .noUser  // EXIT_USER
      default: self = .other(status)
      }
    }
  }

  package var outcome: Outcome {
    if load == "not-found" { return .gone }
    switch active {
    // Its job has yet to run: what has run left an exit code, or has failed.
    case "inactive" where result == "success" && exitCode == 0: return .running
    case "failed", "inactive": break
    case "active" where sub == "exited": break
    default: return .running
    }
    switch (result, exitCode) {
    case ("timeout", _): return .timedOut
    case ("success", 0): return .exited(0)
    // CLD_EXITED, CLD_KILLED, CLD_DUMPED.
    case ("exit-code", 1) where !hasStarted && (200..<300).contains(exitStatus):
      return .notStarted(StartFailure(exitStatus))
    case ("success", 1), ("exit-code", 1): return .exited(exitStatus)
    case ("signal", 2), ("core-dump", 3): return .killed(signal: exitStatus)
    default: return .failed(result)
    }
  }
}

extension Bus {
  /// Starts a command as a unit. Returns when the manager has taken it over, which is before it runs.
  package func start(_ service: TransientService) throws(BusError) {
    try call("StartTransientUnit", about: service.name) { body in
      body.string(service.name)
      body.string("fail")
      body.array(of: "(sv)") { service.write(to: &$0) }
      // Other units to be made along with it: none.
      body.array(of: "(sa(sv))") { _ in }
    } reply: { _ in
    }
  }

  /// Starts a unit that the manager has a file for.
  package func startUnit(_ name: String) throws(BusError) {
    try job("StartUnit", name)
  }

  package func stop(_ name: String) throws(BusError) { try job("StopUnit", name) }

  private func job(_ method: String, _ name: String) throws(BusError) {
    try call(method, about: name) { body in
      body.string(name)
      body.string("replace")
    } reply: { _ in
    }
  }

  package func resetFailed(_ name: String) throws(BusError) {
    try call("ResetFailedUnit", about: name, { $0.string(name) }, reply: { _ in })
  }

  /// Lets go of a transient unit that has ended: what it left running is ended, and the manager forgets it.
  package func collect(_ name: String) throws(BusError) {
    for act in [stop, resetFailed] {
      do {
        try act(name)
      } catch  where error.isNoSuchUnit {
        return
      } catch {
        throw error
      }
    }
  }

  package func state(of name: String) throws(BusError) -> UnitState {
    guard let path = Self.path(of: name) else { throw .failed(call: "state", unit: name, errno: EINVAL) }
    let unit = "org.freedesktop.systemd1.Unit"
    let service = "org.freedesktop.systemd1.Service"
    let isService = name.hasSuffix(".service")
    return UnitState(
      load: try string("LoadState", of: name, path: path, interface: unit),
      active: try string("ActiveState", of: name, path: path, interface: unit),
      sub: try string("SubState", of: name, path: path, interface: unit),
      result: isService ? try string("Result", of: name, path: path, interface: service) : "success",
      exitCode: isService ? try number("ExecMainCode", of: name, path: path, interface: service) : 0,
      exitStatus: isService ? try number("ExecMainStatus", of: name, path: path, interface: service) : 0,
      hasStarted: try time("ActiveEnterTimestampMonotonic", of: name, path: path, interface: unit) > 0)
  }

  /// The names of the units that the manager knows, by globs: such as those that an earlier run of ours has left.
  package func units(matching patterns: [String]) throws(BusError) -> [String] {
    try call("ListUnitsByPatterns", about: patterns.joined(separator: " ")) { body in
      body.strings([])
      body.strings(patterns)
    } reply: { reader in
      var names: [String] = []
      reader.structures("ssssssouso") { if let name = $0.string() { names.append(name) } }
      return names
    }
  }
}

extension Unit {
  /// `fdwatch-alert@.service` and `17-4` make `fdwatch-alert@17-4.service`: `%i` in the unit is the instance as it is.
  /// What a name may not hold is written `\xNN`. See systemd.unit(5).
  package static func instance(of template: String, _ instance: String) -> String {
    guard let at = template.firstIndex(of: "@") else { return template }
    let allowed = instance.utf8.map { byte -> String in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"),
        UInt8(ascii: "."):
        String(UnicodeScalar(byte))
      default: "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
    return template[...at] + allowed.joined() + template[template.index(after: at)...]
  }
}
