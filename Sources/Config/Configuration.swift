// SPDX-License-Identifier: Apache-2.0
// What the daemon is told: values and their defaults. How they are written stands in Configuration+Schema.swift.

import Pprof

/// A configuration. As it is made, it has the defaults: they are what the daemon does without any file.
package struct Configuration: Sendable, Equatable {
  /// Time between two looks at a process.
  package var interval: Duration = .seconds(10)
  package var sensitivity = Sensitivity.normal
  /// Percent of one core that all looks together may take.
  package var cpuBudget = 0.4
  /// Go into alerts and hooks.
  package var labels: [String: String] = [:]
  /// Globs of frames that are not blamed.
  package var skipFrames: [String] = []
  package var alerts = AlertSettings()
  package var metrics = MetricsSettings()
  package var profiles = ProfileSettings()
  package var evidence = EvidenceSettings()
  package var reports = ReportSettings()
  /// The first that matches a process holds for it. None at all: everything is watched.
  package var watch: [WatchRule] = []
  /// Before all of ``watch``.
  package var ignore: [Selector] = []
  package var hooks: [HookSettings] = []

  package init() {}
}

/// How much evidence is asked for.
package enum Sensitivity: String, Sendable, CaseIterable {
  case low, normal, high
}

package struct AlertSettings: Sendable, Equatable {
  /// Until the first reminder; each next comes after twice as long. `nil`: none.
  package var reminders: Duration? = .seconds(4 * 3600)
  /// Entries per minute; the rest is summed up in one.
  package var burst = 20
  /// An alert of type limit when the soft limit is nearer than this. `nil`: none.
  package var limitWarning: Duration? = .seconds(3600)
  /// Percent of fs.file-max, and of a user's inotify instances. 0: none.
  package var hostLimit = 90
  package var journal = true

  package init() {}
}

package struct MetricsSettings: Sendable, Equatable {
  /// TCP, too. `nil`: the Unix socket only.
  package var listen: ListenAddress?
  /// A file for node_exporter's textfile collector.
  package var textfile: String?

  package init() {}
}

package struct ProfileSettings: Sendable, Equatable {
  /// Look for Go's profiles among the processes' own listening sockets.
  package var discover = false
  /// Heed what units (`[X-Fdwatch]`) and environments (`FDWATCH_PROFILE`) say.
  package var owners = true
  package var limits = ProfileLimits()

  package init() {}
}

package struct EvidenceSettings: Sendable, Equatable {
  /// How many bundles are kept. 0: none.
  package var keep = 50
  /// Of one bundle.
  package var maxBytes = 4 << 20

  package init() {}
}

package struct ReportSettings: Sendable, Equatable {
  /// How many of one process are taken in a second.
  package var rate = 10

  package init() {}
}
