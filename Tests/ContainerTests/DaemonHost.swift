// SPDX-License-Identifier: Apache-2.0
// A host as people have one: the package installed, the daemon running, and services of which some leak.

import Foundation
import Synchronization
import TestSupport

/// A container with the daemon and leaking services.
///
/// Every service leaks from the beginning, so that all are told of after the same twenty seconds.
final class DaemonHost {
  let container: SystemdContainer
  static let hasGo = Machine.canRun("go", "version")

  fileprivate func restore() throws {
    // A daemon that is stopped or stuck answers nobody, and one that answers may be about to end.
    try container.shell(
      #"""
      all="fdwatch.service fdwatch.socket fdwatch-report.socket"
      is_well() {
        [ "$(systemctl is-active $all | sort -u)" = active ] &&
        curl --silent --fail --max-time 20 --unix-socket /run/fdwatch/fdwatch.sock http://fdwatch/healthz >/dev/null
      }
      changed=$(ls -d /etc/fdwatch/fdwatch.d/2*.toml /run/systemd/system/fdwatch*.d 2>/dev/null || :)
      rm -rf $changed
      systemctl daemon-reload
      systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service
      systemctl start leaky.service pool.service
      [ ! -e /usr/local/bin/goleak ] || systemctl start orders.service faraway.service
      if [ -z "$changed" ] && is_well; then exit 0; fi
      systemctl kill --signal=KILL fdwatch.service || :
      systemctl stop $all
      rm -rf /var/lib/fdwatch/*
      tries=0
      until systemctl reset-failed $all; systemctl start $all && is_well; do
        # A trigger limit holds for two seconds.
        sleep 1
        if [ $((tries += 1)) -gt 60 ]; then exit 1; fi
      done
      """#)
  }

  fileprivate init() throws {
    container = try SystemdContainer()
    try container.shell(Self.files)
    if Self.hasGo { try container.copy(try GoProgram.build(), to: "/usr/local/bin/goleak") }
    try container.install(try DebianPackage())
    try container.shell("systemctl start leaky.service pool.service")
    if Self.hasGo { try container.shell("systemctl start orders.service faraway.service") }
  }

  /// In `bash`, for it is everywhere: `read` waits where `sleep` would be one process after the other.
  private static let files = #"""
    mkdir -p /etc/fdwatch/fdwatch.d /srv/spool
    put() { cat >"$1"; chmod "${2:-644}" "$1"; }
    put /usr/local/bin/leak 755 <<'END'
    #!/bin/bash
    # leak FILE [WORKERS]: each opens it twenty times in a second, and forgets it; later once in a second, so that the
    # limit, which is near at first, is never reached.
    for ((n = 1; n < ${2:-1}; n++)); do "$0" "$1" & done
    exec 3<> <(:)
    while exec {fd}<>"$1"; do if ((++opened < 500)); then read -rt 0.05 -u 3; else read -rt 1 -u 3; fi; done
    END
    for name in leaky pool; do
      put /etc/systemd/system/$name.service <<END
    [Service]
    ExecStart=/usr/local/bin/leak /srv/spool/$name $([ $name = pool ] && echo 3)
    LimitNOFILE=1024
    END
    done
    # Its standard input stays open as long as it lives. The one that leaks stops before it could not serve its profile
    # any more.
    for name in orders faraway; do
      put /etc/systemd/system/$name.service <<END
    [Service]
    RuntimeDirectory=$name
    ExecStartPre=mkfifo /run/$name/input
    LimitNOFILE=600
    END
    done
    cat >>/etc/systemd/system/orders.service <<'END'
    ExecStart=sh -c 'exec goleak -listen /run/orders/pprof -leak a=10 -most 540 -load 2 <>/run/orders/input'
    [X-Fdwatch]
    Profile=unix:/run/orders/pprof:/debug/pprof/file
    END
    cat >>/etc/systemd/system/faraway.service <<'END'
    ExecStart=sh -c 'exec goleak -listen 127.0.0.1:7070 -load 2 <>/run/faraway/input'
    [X-Fdwatch]
    Profile=http://127.0.0.1:7070/debug/pprof/file
    END
    put /etc/fdwatch/fdwatch.d/10-quick.toml <<'END'
    interval = "500ms"
    sensitivity = "high"
    cpu_budget = 50
    labels = { team = "web" }
    [[hook]]
    name = "file"
    command = ["/usr/local/bin/told", "a word"]
    [[hook]]
    name = "refusing"
    command = ["/bin/false"]
    events = ["alert"]
    [[hook]]
    name = "template"
    unit = "fdwatch-alert@.service"
    events = ["alert"]
    END
    # Places that the daemon itself may not write to, or cannot see.
    put /usr/local/bin/told 755 <<'END'
    #!/bin/sh
    cat >"/srv/$3-$2.json"
    echo "$#:$1:$FDWATCH_EVENT:$FDWATCH_UNIT" >"/root/$3-$2"
    echo "the hook was told of $3"
    END
    """#
}

/// The host of a suite, for its tests in turn: a leak takes its time to be sure of.
final class HostKeeper: Sendable {
  /// The suite is serialized: its tests are one after the other.
  private struct Kept: @unchecked Sendable { let host: DaemonHost }
  private let kept = Mutex<Kept?>(nil)

  /// The host in a known state: the daemon as it was installed and started, whatever the test before has done to it or
  /// left undone. What is mended costs the time in which leaks are found anew; what cannot be mended is replaced.
  func ready() throws -> DaemonHost {
    if let host = kept.withLock({ $0?.host }) {
      do {
        try host.restore()
        return host
      } catch {
        // One that takes no commands any more.
        kept.withLock { $0 = nil }
      }
    }
    let host = try DaemonHost()
    kept.withLock { $0 = Kept(host: host) }
    return host
  }
}

/// An entry of the journal: names, and values as text.
typealias Entry = [String: String]

extension DaemonHost {
  /// The first entry that fits, of those that are there and those that come.
  /// - Parameter matches: see journalctl(1).
  func entry(_ matches: String..., where fits: (Entry) -> Bool = { _ in true }) throws -> Entry {
    let journal = try container.start(
      ["journalctl", "--follow", "--lines=all", "--output=json", "--all"] + matches)
    // It does not end by itself.
    defer { journal.send(SIGTERM) }
    while let line = try journal.readLine() {
      let entry = try Self.entry(line)
      if fits(entry) { return entry }
    }
    throw TestFailure("the journal ended before there was such an entry: \(matches)")
  }

  /// What is there of entries.
  /// - Parameter cursor: those after it only.
  func entries(_ matches: String..., after cursor: String? = nil) throws -> [Entry] {
    let later = cursor.map { ["--after-cursor=\($0)"] } ?? []
    let outcome = try container.run(["journalctl", "--output=json", "--all", "--quiet"] + later + matches)
    return try outcome.output.split(separator: "\n").map { try Self.entry(String($0)) }
  }

  private static func entry(_ line: String) throws -> Entry {
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
    // Several values of one field are a list.
    return object.mapValues { ($0 as? [Any])?.map { "\($0)" }.joined(separator: "\n") ?? "\($0)" }
  }

  /// The alert of a unit's leak that goes on, when it is told. What the journal has of earlier ones is another test's.
  func alert(of unit: String) throws -> Entry {
    var id: String?
    try eventually("\(unit) is known to leak") {
      id = try status().alert(of: unit)?.id
      return id != nil
    }
    return try entry("MESSAGE_ID=f80c5fad4bca4abfab75624beaafb344", "FDWATCH_ALERT_ID=\(id ?? "")")
  }

  /// Where the journal ends now: for entries that come later.
  func journalEnd() throws -> String {
    let lines = try container.output(of: "journalctl", "--quiet", "--lines=1", "--show-cursor", "--output=cat")
    guard let cursor = lines.split(separator: "\n").last?.split(separator: " ").last else {
      throw TestFailure("the journal has no cursor: \(lines)")
    }
    return String(cursor)
  }

  /// A property of the service, as `systemctl show` has it.
  func property(_ name: String) throws -> String {
    try container.output(of: "systemctl", "show", "--value", "--property=\(name)", "fdwatch.service")
      .trimmingCharacters(in: .newlines)
  }

  /// What the daemon answers.
  func get(_ path: String) throws -> String {
    try container.output(
      of: "curl", "--silent", "--fail", "--unix-socket", "/run/fdwatch/fdwatch.sock", "http://fdwatch\(path)")
  }

  func status() throws -> Status { try JSONDecoder().decode(Status.self, from: Data(try get("/status").utf8)) }

  /// `fdwatch status --format json`, as far as it matters here.
  struct Status: Decodable {
    var pid: Int32
    var configuration_problem: String?
    var alerts: [Alert]
    struct Alert: Decodable {
      var id: String
      var unit: String?
      var leaked: Int?
      var process_count: Int?
    }

    func alert(of unit: String) -> Alert? { alerts.first { $0.unit == unit } }
  }

  /// What a person sees. It ends with 1 where there is an alert.
  func statusTable() throws -> String {
    let outcome = try container.run(["fdwatch", "status"])
    guard [.exited(0), .exited(1)].contains(outcome.status) else {
      throw TestFailure("fdwatch status: \(outcome.status): \(outcome.errors)")
    }
    return outcome.output
  }

  /// Asks until the answer is as it shall be.
  func eventually(_ what: String, _ isSo: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(300)
    // While it starts it gives no answer.
    while !((try? isSo()) ?? false) {
      if ContinuousClock.now > deadline {
        throw TestFailure("it never comes to pass: \(what); the daemon says: \((try? get("/status")) ?? "nothing")")
      }
    }
  }
}
