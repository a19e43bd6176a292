// SPDX-License-Identifier: Apache-2.0
// What keeps the daemon from doing all that it is there for, while its loop runs.

import Alerts
import Descriptors
import Linux
import Parsing
import Profiles
import Watch

extension Daemon {
  /// What was dropped longer ago is history: the counter in the metrics has it.
  private static let recent = Duration.seconds(600)

  /// Processes that are watched and have a profile which cannot be read.
  var unreadableProfiles: (count: Int, example: String?) {
    var (count, example) = (0, String?.none)
    for watched in roster.watched {
      guard let problem = watched.close?.profileProblem else { continue }
      count += 1
      if example == nil { example = "\(watched.subject.name): \(problem)" }
    }
    return (count, example)
  }

  /// Processes with too many descriptors to be looked at closely.
  var countedOnly: (count: Int, example: String?) {
    let all = roster.watched.lazy.filter { $0.countedUntil != nil }
    return (all.count, all.first.map { "\($0.subject.name) (\($0.count) open)" })
  }

  /// Sentences for a person; none while all is well.
  var healthProblems: [String] {
    var problems: [String] = []
    if let error = scribe.failure {
      problems.append(
        "cannot write to \(paths.state.printable) (\(error.reason)): a restart would lose what is known now")
    }
    if let error = evidenceFailure {
      problems.append("cannot write to \(paths.evidence.printable) (\(error.reason)): new alerts have no evidence")
    }
    if let reports, let last = reports.lastRefused, Instant.now.sinceBoot - last < Self.recent {
      problems.append(
        "\(reports.refused) reports dropped since the start: a process sent more than \(reports.perSecond) per second")
    }
    let profiles = unreadableProfiles
    if let example = profiles.example {
      let others = profiles.count == 1 ? "" : ", and \(profiles.count - 1) more"
      problems.append("cannot read the profile of \(example)\(others)")
    }
    let counted = countedOnly
    if let example = counted.example {
      let others = counted.count == 1 ? "" : ", and \(counted.count - 1) more"
      problems.append("too many descriptors to be looked at closely, only counted: \(example)\(others)")
    }
    if let reason = reading.parser.problem { problems.append(reason) }
    return problems
  }

  /// `/healthz`: 200 as long as the loop runs, for a restart would mend none of these problems; the body lists them.
  var health: HTTPAnswer {
    var problems = healthProblems
    if problem != nil { problems.append("the new configuration is refused; the old one is in force") }
    if teller.pendingEntries > 0 { problems.append("\(teller.pendingEntries) entries wait for a journald") }
    if problems.isEmpty { return HTTPAnswer("ok\n") }
    return HTTPAnswer("degraded\n" + problems.map { "\($0.printable)\n" }.joined())
  }
}
