// SPDX-License-Identifier: Apache-2.0
// The daemon as it ships beside prometheus-process-exporter, over a thousand processes, in one run.

import Foundation
import Glibc

/// CPU time of another process, in seconds. See proc(5), stat.
private func cpuSeconds(of pid: Int32) throws -> Double {
  let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
  let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
  guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
    throw BenchError("no CPU time of \(pid)")
  }
  return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
}

private func start(_ path: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Process {
  let process = Process()
  process.executableURL = URL(filePath: path)
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  process.standardOutput = FileHandle.nullDevice
  process.standardError = FileHandle.nullDevice
  try process.run()
  return process
}

/// A thousand processes with a hundred descriptors each, of which some come and go.
private func herd(in folder: String) throws -> Process {
  let herd = Process()
  let output = Pipe()
  herd.executableURL = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
    .appending(path: "herd")
  herd.arguments = ["1000", "100", folder]
  herd.standardOutput = output
  try herd.run()
  guard let word = try output.fileHandleForReading.read(upToCount: 6), word == Data("ready\n".utf8) else {
    throw BenchError("the herd is not ready")
  }
  return herd
}

/// Starts the daemon and waits for its READY=1, as systemd does. Returns it, and the milliseconds that took.
private func startDaemon(_ binary: String, in folder: String) throws -> (Process, Double) {
  let path = folder + "/notify"
  let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
  defer { close(socket) }
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
  let bound = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
  }
  guard bound == 0 else { throw BenchError("cannot bind \(path)") }
  let clock = ContinuousClock()
  let began = clock.now
  let daemon = try start(
    binary, ["daemon", "--runtime-dir", folder + "/run", "--state-dir", folder + "/state"],
    environment: ["NOTIFY_SOCKET": path])
  var buffer = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = recv(socket, &buffer, buffer.count, 0)
    guard count > 0 else { throw BenchError("the daemon is not ready") }
    if String(decoding: buffer.prefix(count), as: UTF8.self).contains("READY=1") { break }
  }
  return (daemon, (clock.now - began) / .milliseconds(1))
}

func daemon(_ results: inout Results) throws {
  guard let binary = ProcessInfo.processInfo.environment["FDWATCH"] else { throw BenchError("run it by run.sh") }
  let folder = FileManager.default.temporaryDirectory.appending(path: "fdwatch-bench-\(getpid())").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  let herd = try herd(in: folder)
  defer { herd.terminate() }
  let (daemon, ready) = try startDaemon(binary, in: folder)
  defer { daemon.terminate() }
  results.add(
    "start to READY, 1,000 processes", String(format: "%.0f ms", ready), "", "", bar: "< 200 ms", holds: ready < 200)

  // All processes of one name are one group, as is usual with it.
  let exporterPath = "/usr/bin/prometheus-process-exporter"
  var exporter: Process?
  if FileManager.default.isExecutableFile(atPath: exporterPath) {
    let names = folder + "/exporter.yml"
    try "process_names:\n  - name: \"{{.Comm}}\"\n    cmdline: ['.+']\n".write(
      toFile: names, atomically: true, encoding: .utf8)
    exporter = try start(exporterPath, ["-config.path", names, "-web.listen-address", "127.0.0.1:19256"])
  }
  defer { exporter?.terminate() }
  func scrape() throws {
    if exporter != nil { try start("/usr/bin/curl", ["-s", "http://127.0.0.1:19256/metrics"]).waitUntilExit() }
    try start("/usr/bin/curl", ["-s", "--unix-socket", folder + "/run/fdwatch.sock", "http://x/metrics"])
      .waitUntilExit()
  }
  // What the start costs is over by then, and what was learned in the first minute has come to bear.
  for _ in 0..<9 {
    try scrape()
    Thread.sleep(forTimeInterval: 10)
  }
  let before = (
    try cpuSeconds(of: daemon.processIdentifier), try exporter.map { try cpuSeconds(of: $0.processIdentifier) }
  )
  let clock = ContinuousClock()
  let began = clock.now
  for _ in 0..<12 {
    try scrape()
    Thread.sleep(forTimeInterval: 10)
  }
  let seconds = (clock.now - began) / .seconds(1)
  let own = (try cpuSeconds(of: daemon.processIdentifier) - before.0) / seconds * 100
  let peer = try exporter.map { (try cpuSeconds(of: $0.processIdentifier) - (before.1 ?? 0)) / seconds * 100 }
  results.add(
    "daemon, 1,000 busy processes of 100: CPU", String(format: "%.2f %% of a core", own),
    peer.map { String(format: "process-exporter %.2f %%", $0) } ?? "prometheus-process-exporter is not here",
    peer.map { times($0 / own) } ?? "", bar: "< 0.5 %", holds: own < 0.5)
  let resident = try megabytes("VmRSS", of: daemon.processIdentifier)
  let peerResident = try exporter.map { try megabytes("VmRSS", of: $0.processIdentifier) }
  results.add(
    "daemon, 1,000 busy processes of 100: resident",
    String(
      format: "%.1f MB, of which RssAnon %.1f MB; highest %.1f MB", resident,
      try megabytes("RssAnon", of: daemon.processIdentifier), try megabytes("VmHWM", of: daemon.processIdentifier)),
    peerResident.map { String(format: "process-exporter %.1f MB", $0) } ?? "",
    peerResident.map { times($0 / resident) } ?? "",
    bar: "≤ 20 MB", holds: resident <= 20)
}
