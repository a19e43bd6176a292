// SPDX-License-Identifier: Apache-2.0
// What the configuration says of a process, worked out: the rule that it falls under and the defaults behind it.

import Alerts
import Attribution
import Config
import Linux
import Parsing
import Profiles
import Watch

/// How processes under one rule are treated. Shared by all of them.
package final class Treatment: Sendable {
  package let interval: Duration
  /// See ``Detector/patience``.
  package let patience: Double
  package let profiling: Profiling
  package let routing: AlertRouting

  /// Looked at closely from the beginning, and not only where the count grows: who asks for much attention gets it.
  package var isCloseAlways: Bool { patience < 1 || !profiling.addresses.isEmpty || profiling.discover }

  package init(
    _ rule: WatchRule?, in configuration: Configuration, reading: ProfileReading = ProfileReading(),
    units: UnitSettingsCache
  ) {
    interval = rule?.interval ?? configuration.interval
    patience =
      switch rule?.sensitivity ?? configuration.sensitivity {
      case .low: 2
      case .normal: 1
      case .high: 0.5
      }
    routing = AlertRouting(labels: configuration.labels.merging(rule?.labels ?? [:]) { $1 }, hooks: rule?.hooks)
    var profiling = Profiling()
    profiling.addresses = rule?.profiles ?? []
    profiling.discover = rule?.discover ?? configuration.profiles.discover
    profiling.heedsOwners = configuration.profiles.owners
    profiling.limits = configuration.profiles.limits
    profiling.options.headers = rule?.profileHeaders ?? []
    profiling.options.tokenFile = rule?.profileTokenFile
    profiling.options.caFile = rule?.profileCA
    profiling.filter = FrameFilter(skipping: configuration.skipFrames + (rule?.skipFrames ?? []))
    profiling.units = units
    (profiling.parser, profiling.retention) = (reading.parser, reading.retention)
    self.profiling = profiling
  }
}

/// What reads profiles and how much of them is kept: the same for all, and under each configuration.
package struct ProfileReading: Sendable {
  package var parser: Parser
  package var retention = ProfileRetention()

  package init(parser: Parser = .forked) { self.parser = parser }

  /// Under systemd a helper is started by a socket: this service has no right to become another user.
  package init(socket: String) {
    parser = Parser {
      if Host.effectiveUser == 0, (try? Descriptor(path: socket)) != nil { return .socket(socket) }
      if Host.effectiveUser != 0 || Host.canChangeUser { return .program("/proc/self/exe") }
      return .none(
        "profiles are not read, as fdwatch-parse.socket does not run: systemctl enable --now fdwatch-parse.socket")
    }
  }
}

/// The treatments of a configuration, one for each of its rules.
package struct Treatments: Sendable {
  private let configuration: Configuration
  let ordinary: Treatment
  private let rules: [Treatment]
  package let asked: Set<ProcessFacts.Name>

  package init(_ configuration: Configuration, reading: ProfileReading = ProfileReading()) {
    let units = UnitSettingsCache()
    self.configuration = configuration
    ordinary = Treatment(nil, in: configuration, reading: reading, units: units)
    rules = configuration.watch.map { Treatment($0, in: configuration, reading: reading, units: units) }
    asked = configuration.factsAsked
  }

  /// Whether it matters who a process is.
  var hasRules: Bool { !rules.isEmpty || !configuration.ignore.isEmpty }

  /// `nil` for a process that is not to be watched.
  package func treatment(of facts: ProcessFacts) -> Treatment? {
    if configuration.ignore.contains(where: { $0.matches(facts, pidIn: PidFile.pid(in:)) }) { return nil }
    if rules.isEmpty { return ordinary }
    return configuration.watch.firstIndex { $0.selector.matches(facts, pidIn: PidFile.pid(in:)) }.map { rules[$0] }
  }
}
