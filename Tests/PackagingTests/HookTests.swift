// SPDX-License-Identifier: Apache-2.0
// The hooks that are shipped, run as the daemon runs them: arguments, environment, one JSON object on standard input.

import Foundation
import TestSupport
import Testing

/// What a stranger may call a process.
private let hostile = "a\"b'$(touch pwned)`touch pwned`;touch pwned\nBcc: evil@example.org\n.\n-rf /"
private let json = #"{"schema":1,"event":"alert","id":"4711-88-1","message":"läuft\nvoll"}"# + "\n"

private func run(
  _ hook: String, _ arguments: [String] = [], event: String = "alert", id: String = "4711-88-1",
  environment: [String: String] = [:]
) throws -> ChildProcess.Outcome {
  let variables = [
    "FDWATCH_EVENT": event, "FDWATCH_TYPE": "leak", "FDWATCH_ALERT_ID": id, "FDWATCH_UNIT": "shop.service",
    "FDWATCH_PID": "\(getpid())", "FDWATCH_COMM": hostile, "FDWATCH_KIND": "tcp", "FDWATCH_PRIORITY": "4",
    "FDWATCH_MESSAGE": "\(hostile) leaks",
  ]
  return try ChildProcess.run(
    [Repository.path("packaging/hooks/\(hook)")] + arguments + [event, id], input: json,
    environment: variables.merging(environment) { $1 })
}

/// A command that keeps what it is given, and ends with a status of the test's choice.
private struct Recorder {
  let directory: TemporaryDirectory
  let name: String

  init(_ name: String, status: Int = 0) throws {
    directory = try TemporaryDirectory()
    self.name = name
    let script = "#!/bin/sh\nprintf '%s\\n' \"$@\" >'\(directory.path)/words'\n"
    let input = name == "sendmail" ? "cat >'\(directory.path)/input'\n" : ""
    // Written by a child: a program that is open for writing cannot be run, and children that other tests start just
    // then inherit what this process has open.
    let made = try ChildProcess.run(
      ["sh", "-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh", directory.path + "/" + name],
      input: script + input + "exit \(status)\n")
    guard made.status == .exited(0) else { throw TestFailure("no stand-in for \(name): \(made.errors)") }
  }

  var path: String { directory.path + "/" + name }
  var searchPath: [String: String] { ["PATH": directory.path + ":/usr/sbin:/usr/bin:/sbin:/bin"] }
  var words: [String]? {
    (try? String(contentsOfFile: directory.path + "/words", encoding: .utf8))?.split(separator: "\n").map(String.init)
  }
  var input: String { (try? String(contentsOfFile: directory.path + "/input", encoding: .utf8)) ?? "" }
}

@Suite struct `The hook mail` {
  @Test func `sends one mail, whatever the process is called`() throws {
    let sendmail = try Recorder("sendmail")
    let outcome = try run("mail", ["root", "oncall@example.org"], environment: ["SENDMAIL": sendmail.path])
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    #expect(sendmail.words == ["-t", "-i"])
    let parts = sendmail.input.split(separator: "\n\n", maxSplits: 1).map(String.init)
    let headers = try #require(parts.first).split(separator: "\n")
    #expect(headers.contains("To: root, oncall@example.org"))
    #expect(headers.count { $0.hasPrefix("Subject: [fdwatch] ") } == 1)
    // What follows a line break in a name is not a header of its own.
    #expect(!headers.contains { $0.hasPrefix("Bcc") })
    #expect(headers.allSatisfy { $0.utf8.allSatisfy { (32..<127).contains($0) } })
    #expect(parts.last?.contains(json) == true)
    #expect(!FileManager.default.fileExists(atPath: "pwned"))
  }

  @Test(arguments: [(0, 0), (75, 75), (71, 75), (69, 75), (1, 1), (64, 1)])
  func `ends with`(sendmailStatus: Int, status: Int32) throws {
    let sendmail = try Recorder("sendmail", status: sendmailStatus)
    #expect(try run("mail", ["root"], environment: ["SENDMAIL": sendmail.path]).status == .exited(status))
  }

  @Test(arguments: [[], ["-oQ/tmp"], ["a b"], ["root\nBcc: x@example.org"], [""]])
  func `refuses what is no address`(arguments: [String]) throws {
    let sendmail = try Recorder("sendmail")
    #expect(try run("mail", arguments, environment: ["SENDMAIL": sendmail.path]).status == .exited(64))
    #expect(sendmail.words == nil)
  }
}

@Suite(.enabled(if: Machine.canRun("curl", "--version"), "needs curl (Debian: curl)")) struct `The hook webhook` {
  private func deliver(_ status: String, headers: [String] = []) throws -> (ChildProcess.Outcome, [String]) {
    let server = try HTTPServer { request, connection in
      // What it was sent comes back as the answer, so that the test need not share it.
      connection.answer(Array(connection.body(of: request).utf8), status: status)
      return false
    }
    return (try run("webhook", ["http://127.0.0.1:\(server.port)/hook"] + headers), server.requests)
  }

  @Test func `posts the object with the headers that it is given`() throws {
    let file = TemporaryFile("Authorization: Bearer secret\n")
    let (outcome, requests) = try deliver("200 OK", headers: ["X-Team: web", "@\(file.path)"])
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    let request = try #require(requests.first)
    #expect(request.hasPrefix("POST /hook HTTP/1.1\r\n"))
    for header in ["X-Team: web", "Authorization: Bearer secret", "Content-Type: application/json"] {
      #expect(request.contains("\r\n\(header)\r\n"), "\(header)")
    }
    #expect(request.contains("Content-Length: \(json.utf8.count)\r\n"))
  }

  @Test(
    arguments: [
      ("204 No Content", 0), ("500 Oops", 75), ("503 Later", 75), ("429 Too Many", 75), ("404 Not Found", 1),
      ("401 Who", 1), ("302 Found", 1),
    ] as [(String, Int32)])
  func `ends with`(answer: String, status: Int32) throws {
    #expect(try deliver(answer).0.status == .exited(status))
  }

  @Test func `posts every byte`() throws {
    // It is told in what the hook says of an answer that it does not like.
    let (outcome, _) = try deliver("404 Not Found")
    #expect(outcome.errors.contains(json.trimmingCharacters(in: .newlines)))
  }

  @Test func `may be tried again where nobody listens`() throws {
    let listener = try Loopback.listener()
    let port = try Loopback.port(of: listener)
    close(listener)
    #expect(try run("webhook", ["http://127.0.0.1:\(port)/"]).status == .exited(75))
  }

  @Test(arguments: [[], ["file:///etc/passwd"], ["-K/etc/passwd"], ["http://127.0.0.1/", "no header"]])
  func `refuses what is no address`(arguments: [String]) throws {
    #expect(try run("webhook", arguments).status == .exited(64))
  }
}

@Suite struct `The hook restart-unit` {
  @Test(arguments: ["alert", "escalated"]) func `restarts the unit`(event: String) throws {
    let systemctl = try Recorder("systemctl")
    let outcome = try run("restart-unit", event: event, environment: systemctl.searchPath)
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    #expect(systemctl.words == ["--no-ask-password", "try-restart", "--", "shop.service"])
  }

  @Test(arguments: ["resolved", "reminder", "report", "test"]) func `does nothing at`(event: String) throws {
    let systemctl = try Recorder("systemctl")
    #expect(try run("restart-unit", event: event, environment: systemctl.searchPath).status == .exited(0))
    #expect(systemctl.words == nil)
  }

  @Test(
    arguments: [
      "", "fdwatch.service", "dbus.service", "systemd-journald.service", "user@1000.service", "session-1.scope",
      "-M.service", "a b.service", "../x.service", "a;reboot.service",
    ])
  func `refuses the unit`(unit: String) throws {
    let systemctl = try Recorder("systemctl")
    let environment = systemctl.searchPath.merging(["FDWATCH_UNIT": unit]) { $1 }
    #expect(try run("restart-unit", environment: environment).status == .exited(1))
    #expect(systemctl.words == nil)
  }

  @Test func `restarts only what one of its globs matches`() throws {
    let systemctl = try Recorder("systemctl")
    for unit in ["shop.service", "", "dbus.service", "session-1.scope"] {
      let environment = systemctl.searchPath.merging(["FDWATCH_UNIT": unit]) { $1 }
      let outcome = try run("restart-unit", ["web-*", "api.service"], environment: environment)
      // A unit that does not concern the hook is no failure of the hook.
      #expect(outcome.status == .exited(0), "\(unit): \(outcome.errors)")
      #expect(outcome.errors.contains("'\(unit)' matches none of the globs"))
      #expect(systemctl.words == nil)
    }
    #expect(try run("restart-unit", ["web-*", "sh?p.service"], environment: systemctl.searchPath).status == .exited(0))
    #expect(systemctl.words?.last == "shop.service")
  }

  @Test func `may be tried again when systemd refuses`() throws {
    let systemctl = try Recorder("systemctl", status: 1)
    #expect(try run("restart-unit", environment: systemctl.searchPath).status == .exited(75))
  }
}

@Suite struct `The hook collect` {
  private func bundles(in directory: TemporaryDirectory) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
  }

  @Test func `keeps the event, the evidence, and what the process has open`() throws {
    let (directory, state) = (try TemporaryDirectory(), try TemporaryDirectory())
    let evidence = state.path + "/evidence/4711-88-1"
    try FileManager.default.createDirectory(atPath: evidence, withIntermediateDirectories: true)
    try Data("profile".utf8).write(to: URL(filePath: evidence + "/profile.pb.gz"))
    let child = try FDFactory()
    let outcome = try run(
      "collect", [directory.path], environment: ["FDWATCH_STATE_DIRECTORY": state.path, "FDWATCH_PID": "\(child.pid)"])
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    let name = try #require(try bundles(in: directory).first)
    #expect(name.hasSuffix("Z-alert-4711-88-1"))
    let bundle = directory.path + "/" + name
    #expect(try String(contentsOfFile: bundle + "/event.json", encoding: .utf8) == json)
    #expect(try String(contentsOfFile: bundle + "/evidence/profile.pb.gz", encoding: .utf8) == "profile")
    #expect(try String(contentsOfFile: bundle + "/descriptors.txt", encoding: .utf8).contains(" 0 -> "))
    #expect(try String(contentsOfFile: bundle + "/limits.txt", encoding: .utf8).contains("Max open files"))
    let mode = try FileManager.default.attributesOfItem(atPath: bundle)[.posixPermissions] as? Int
    #expect(mode == 0o700)
  }

  @Test(arguments: ["../../outside", "/etc/x", "..", "a\nb", "-rf", ""])
  func `never leaves its directory for an id`(id: String) throws {
    let parent = try TemporaryDirectory()
    let directory = parent.path + "/in"
    let outcome = try run("collect", [directory], id: id, environment: ["FDWATCH_PID": "none"])
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: parent.path) == ["in"])
    let made = try FileManager.default.contentsOfDirectory(atPath: directory)
    #expect(made.count == 1 && made[0].contains("Z-alert-"))
  }

  @Test func `keeps the newest, and what is not its own`() throws {
    let directory = try TemporaryDirectory()
    for name in ["20200101T000000Z-alert-1", "20210101T000000Z-alert-2", "20220101T000000Z-alert-3", "notes"] {
      try FileManager.default.createDirectory(
        atPath: directory.path + "/" + name, withIntermediateDirectories: false)
    }
    let outcome = try run("collect", [directory.path], environment: ["FDWATCH_COLLECT_KEEP": "2", "FDWATCH_PID": ""])
    #expect(outcome.status == .exited(0), "\(outcome.errors)")
    let left = try bundles(in: directory)
    #expect(left.count == 3)
    #expect(left.contains("notes") && left.contains("20220101T000000Z-alert-3"))
  }

  @Test func `may be tried again where it cannot write`() throws {
    let file = TemporaryFile("not a directory")
    #expect(try run("collect", [file.path + "/in"], environment: ["FDWATCH_PID": ""]).status == .exited(75))
    #expect(try run("collect", ["relative"]).status == .exited(64))
  }
}
