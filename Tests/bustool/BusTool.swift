// SPDX-License-Identifier: Apache-2.0
// The Systemd module as a program, so that a test can have it run where a manager is, or as a service.
//
//   bustool notify ready|status TEXT... | reloading | stopping | watchdog | interval
//   bustool listen                      what sockets were handed in, twice
//   bustool start NAME [--user=U] [--input=TEXT] [--set=NAME=VALUE] [--timeout=MS] [--memory=BYTES] -- COMMAND...
//   bustool start-unit|state|wait|stop|reset|collect|units NAME
//
// BUSTOOL_SOCKET: the manager's socket, instead of the usual places. BUSTOOL_LIMIT: milliseconds for a call.

import Glibc
import Systemd

@main
struct BusTool {
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    do {
      switch words.first {
      case "notify": notify(Array(words.dropFirst()))
      case "listen": listen()
      case let verb? where words.count > 1: try ask(verb, words[1], Array(words.dropFirst(2)))
      default: exit(64)
      }
    } catch {
      print(error)
      exit(1)
    }
  }

  private static func notify(_ words: [String]) {
    switch words.first {
    case "ready": Notify.ready(status: words[1])
    case "status": Notify.status(words[1])
    case "reloading": Notify.reloading()
    case "stopping": Notify.stopping()
    case "watchdog": Notify.watchdog()
    default: break
    }
    print("wanted \(Notify.isWanted), watchdog \(Notify.watchdogInterval.map { "\($0)" } ?? "none")")
  }

  private static func listen() {
    for _ in 1...2 {
      let sockets = ListenSockets.take()
      let parts = sockets.all.map { "\($0.name)=\($0.descriptor) listens \(ListenSockets.listens($0.descriptor))" }
      print(parts.isEmpty ? "none" : parts.joined(separator: ", "))
    }
  }

  private static func ask(_ verb: String, _ name: String, _ words: [String]) throws(BusError) {
    let limit = environment("BUSTOOL_LIMIT").flatMap { Int($0) } ?? 2000
    let addresses = environment("BUSTOOL_SOCKET").map { [BusAddress.manager(path: $0)] } ?? BusAddress.usual
    let bus = Bus(addresses, limit: .milliseconds(limit))
    switch verb {
    case "start": try bus.start(service(name, words))
    case "start-unit": try bus.startUnit(name)
    case "stop": try bus.stop(name)
    case "reset": try bus.resetFailed(name)
    case "collect": try bus.collect(name)
    case "units": print(try bus.units(matching: [name]).sorted().joined(separator: " "))
    case "wait":
      // Each question takes the manager's answer: this is no idle spinning.
      var state = try bus.state(of: name)
      while state.outcome == .running { state = try bus.state(of: name) }
      print(state.outcome)
    case "state":
      let state = try bus.state(of: name)
      print(state.load, state.active, state.sub, state.result, state.exitCode, state.exitStatus, state.outcome)
    default: exit(64)
    }
  }

  private static func service(_ name: String, _ words: [String]) -> TransientService {
    let end = words.firstIndex(of: "--") ?? words.endIndex
    var service = TransientService(name: name, command: Array(words[end...].dropFirst()))
    service.identifier = "bustool"
    for word in words[..<end] {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      switch parts[0] {
      case "--user": service.user = parts[1]
      case "--input": service.standardInput = Array(parts[1].utf8)
      case "--set": service.environment.append(parts[1])
      case "--timeout": service.timeout = .milliseconds(Int(parts[1]) ?? 0)
      case "--memory": service.memoryMax = UInt64(parts[1])
      default: exit(64)
      }
    }
    return service
  }

  private static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }
}
