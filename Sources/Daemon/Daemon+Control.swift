// SPDX-License-Identifier: Apache-2.0
// What the daemon answers, and what it is told: sockets, reload, silences, the test of its alerts.

import Alerts
import Config
import Descriptors
import Detection
import FoundationEssentials
import Linux
import Systemd
import Watch

extension Daemon {
  /// Sockets that systemd has opened, or our own.
  func openSockets() {
    attemptToListen(paths.socket) { () throws(SystemCallError) in
      let handed = handedIn.named("http")
      try Files.makeFolder(paths.runtime, mode: 0o755)
      if handed.isEmpty { server.listen(try Descriptor(listeningAt: paths.socket, mode: 0o660)) }
      for number in handed { server.listen(Descriptor(owning: number)) }
    }
    attemptToListen(paths.reportSocket) { () throws(SystemCallError) in
      let rate = loaded.configuration.reports.rate
      if let handed = handedIn.named("report").first {
        reports = ReportSocket(Descriptor(owning: handed), perSecond: rate)
      } else {
        reports = ReportSocket(try Descriptor(receivingAt: paths.reportSocket, mode: 0o666), perSecond: rate)
      }
    }
    listenOnNetwork()
  }

  private func listenOnNetwork() {
    guard let address = loaded.configuration.metrics.listen else { return }
    attemptToListen("\(address)") { () throws(SystemCallError) in
      server.listen(try Descriptor(listeningOn: address.host, port: address.port), isConfigured: true)
    }
  }

  /// To be asked is a service, to watch is the duty: without a socket it goes on.
  private func attemptToListen(_ place: String, _ body: () throws(SystemCallError) -> Void) {
    do throws(SystemCallError) { try body() } catch {
      sayOnce("cannot listen at \(place): \(error.reason); who asks there gets no answer", about: place)
    }
  }

  // MARK: Reload

  func reload() {
    Notify.reloading()
    defer { Notify.ready(status: statusLine) }
    let new = Configuration.load(root: paths.root, main: paths.configuration)
    let errors = new.problems.filter(\.isError)
    guard errors.isEmpty else {
      problem = errors.map { "\($0)" }.joined(separator: "\n")
      teller.log(
        "the new configuration is refused, the old one holds: \(errors.map { "\($0)" }.joined(separator: "; "))",
        priority: 3, id: .configRefused)
      return
    }
    problem = nil
    let listened = loaded.configuration.metrics.listen
    loaded = new
    teller.configuration = new.configuration
    book.policy = AlertPolicy(new.configuration.alerts)
    reports?.perSecond = new.configuration.reports.rate
    reconsider(with: Treatments(new.configuration, reading: reading))
    saveBook()
    if new.configuration.metrics.listen != listened {
      server.closeConfigured()
      listenOnNetwork()
    }
    for problem in new.problems { teller.log("\(problem)", priority: 4) }
    teller.log("the configuration was read again: \(statusLine)")
  }

  // MARK: Answers

  var overview: Overview {
    var overview = Overview()
    for watched in roster.watched { overview.add(watched) }
    for alert in book.firing { overview.add(alert) }
    overview.finish()
    return overview
  }

  var ownFigures: OwnFigures {
    var own = OwnFigures()
    own.version = version
    (own.polls, own.censuses, own.roundSeconds) = (polls, censuses, roundSeconds)
    own.unseen = roster.unseen
    own.hooks = teller.hookTallies
    (own.journalPending, own.journalDropped) = (teller.pendingEntries, teller.dropped)
    own.isReloadFailed = problem != nil
    own.alertEvents = teller.told
    for alert in book.firing { own.firing[alert.type, default: 0] += 1 }
    own.hostHandles = hostLimits.handles
    own.problems = healthProblems
    own.isStateFailing = scribe.failure != nil
    (own.reportsReceived, own.reportsDropped) = (reports?.received ?? 0, reports?.refused ?? 0)
    own.unreadableProfiles = unreadableProfiles.count
    own.countedOnly = countedOnly.count
    return own
  }

  func respond(to request: HTTPRequest, isLocal: Bool) -> HTTPAnswer {
    switch (request.method, request.path) {
    case ("GET", "/metrics"):
      return HTTPAnswer(type: "text/plain; version=0.0.4; charset=utf-8", Metrics(overview, ownFigures).text)
    case ("GET", "/healthz"): return health
    case ("GET", "/status"): return .json(statusReport.json)
    case ("GET", _): return HTTPAnswer(status: 404, "There are /metrics, /status and /healthz.\n")
    case ("POST", _) where !isLocal: return HTTPAnswer(status: 403, "Only its own socket takes orders.\n")
    case ("POST", "/silence"): return silence(request.body)
    case ("POST", "/test-alert"): return testAlert()
    case ("POST", _): return HTTPAnswer(status: 404, "There are /silence and /test-alert.\n")
    default: return HTTPAnswer(status: 405, "GET or POST.\n")
    }
  }

  /// A suspicion keeps its id for the alert that may follow, also while the leak is less probable than not.
  private func isStillSuspected(_ alert: Alert) -> Bool {
    alert.members.contains { member in
      guard let index = roster.index(of: member.process.pid), let close = roster.watched[index].close else {
        return false
      }
      return close.detector.suspectedIDs.contains(member.finding.id)
    }
  }

  private var statusReport: StatusReport {
    StatusReport(
      version: version, since: startedAt, watched: roster.watched.count, overview: overview, own: ownFigures,
      alerts: book.firing, suspected: book.suspected.filter(isStillSuspected),
      silences: book.activeSilences(at: moment), configurationFiles: loaded.files,
      problem: problem
    )
  }

  private func silence(_ body: [UInt8]) -> HTTPAnswer {
    guard let silence = try? JSONDecoder().decode(Silence.self, from: Data(body)), !silence.subject.isEmpty else {
      return HTTPAnswer(status: 400, "This is no silence.\n")
    }
    let now = moment
    let hadOne = book.silence(silence, at: now)
    saveSilences()
    let subject = silence.subject.printable
    let isEnd = silence.until <= now.wall
    if !isEnd {
      teller.log(
        "alerts of \(subject) are not told until \(WallClock.rfc3339(silence.until)): \(silence.reason.printable)")
    } else if hadOne {
      teller.log("alerts of \(subject) are told again")
    }
    tell(book.tick(at: now))
    let covered = book.firing.count { silence.covers($0, at: -.infinity) }
    let silenced = book.firing.count { silence.covers($0, at: -.infinity) && $0.isSilenced }
    if !isEnd {
      return HTTPAnswer("it covers \(covered == 0 ? "nothing" : covered == 1 ? "an alert" : "\(covered) alerts") now\n")
    }
    return HTTPAnswer(
      (hadOne ? "\(subject) is told of again" : "there is no silence of \(subject)")
        + (silenced > 0 ? "; \(silenced) of its alerts are silent still, by another one (fdwatch status)" : "") + "\n")
  }

  /// An event that goes the whole way, and says that nothing has happened.
  private func testAlert() -> HTTPAnswer {
    let process = AlertProcess(
      pid: Host.ownPID, startTime: 0, command: "fdwatch", executable: nil, user: Host.userName(Host.effectiveUser),
      unit: Unit.name(of: Host.ownPID))
    let finding = Finding(
      id: 0, kind: .file, target: "/example/*", leaked: 42, since: .zero, ratePerHour: 60, rateInterval: 50...70,
      timeToLimit: .seconds(8 * 3600), timeToLimitInterval: nil, confidence: 0.99,
      evidence: ["This is an example of what an alert says."])
    let member = AlertMember(process: process, finding: finding, count: 512, limits: Limits(soft: 1024, hard: 1024))
    let alert = Alert(id: "test", type: .leak, firstSeen: WallClock.now, unit: process.unit, members: [member])
    teller.tell(AlertEvent(.test, alert))
    let hooks = loaded.configuration.hooks.map(\.name)
    let journal = loaded.configuration.alerts.journal ? "the journal" : "standard error"
    return HTTPAnswer("sent to \(([journal] + hooks.map { "hook \($0)" }).joined(separator: ", "))\n")
  }

  /// For node_exporter's textfile collector: as a whole, so that it never reads a half.
  func writeTextfile() {
    guard let path = loaded.configuration.metrics.textfile else { return }
    do throws(SystemCallError) {
      try Files.replace(path, with: Array(Metrics(overview, ownFigures, withProcess: false).text.utf8), mode: 0o644)
    } catch {
      sayOnce("\(path.printable) cannot be written: \(error.reason)")
    }
  }
}
