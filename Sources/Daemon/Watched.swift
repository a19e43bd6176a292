// SPDX-License-Identifier: Apache-2.0
// One process under watch: counted, and looked at closely where there is reason to.

import Alerts
import Descriptors
import Detection
import Linux
import Procfs
import Watch

package struct Watched {
  package let sentry: Sentry
  /// While it is looked at closely.
  package private(set) var close: WatchedProcess?
  /// Since when there has been nothing suspicious about it.
  private var calmSince = Duration.zero
  /// Who it is for alerts: as of when it was found, or last looked at.
  package var subject: AlertProcess
  package var treatment: Treatment
  package var nextPoll: Duration
  /// When it was taken in, since boot.
  package let since: Duration
  package var limit = LimitWatch()
  /// Which run of its unit it belongs to.
  package var run: UInt64?
  /// Whether an alert of its limit has no stack yet, though it has profiles.
  var isStackMissing = false
  /// Whether what it had open at its limit is kept.
  var isKeptAtLimit = false
  /// Its leaks as of the last look.
  package var findings: [Finding] = []
  /// It has too many descriptors open to be looked at closely, and until then is only counted.
  package private(set) var countedUntil: Duration?
  /// Its number falls, and others leave: so long later there may be room.
  private static let retryPause = Duration.seconds(600)
  /// Whether it is known what its owner says of it.
  package var isMet = false

  /// What is suspicious is looked at until it has not been for so long; then counting will do.
  private static let patience = Duration.seconds(3600)

  package init(_ sentry: Sentry, _ subject: AlertProcess, _ treatment: Treatment, nextPoll: Duration, since: Duration) {
    (self.sentry, self.subject, self.treatment) = (sentry, subject, treatment)
    (self.nextPoll, self.since) = (nextPoll, since)
  }

  /// Open descriptors, our own connection not counted.
  package var count: Int {
    guard let close else { return sentry.count }
    return close.count - min(close.count, close.ownConnections)
  }

  package var limits: Limits { close?.limits ?? sentry.limits }

  package mutating func lookClosely(_ process: WatchedProcess, at time: Duration) {
    close = process
    calmSince = time
    countedUntil = nil
  }

  /// It takes more room than there is for it.
  mutating func countOnly(at time: Duration) {
    countedUntil = time + Self.retryPause
    guard let close else { return }
    sentry.resume(count: close.count, limits: close.limits, at: time)
    (self.close, findings) = (nil, [])
  }

  /// Lets go of what is known in detail where nothing has come of it for long.
  package mutating func relax(at time: Duration) {
    guard let close else { return }
    if close.detector.wantsProfile || !close.findings.isEmpty || close.hasProfiles || treatment.isCloseAlways
      || limit.isNear
    {
      calmSince = time
    }
    guard time - calmSince >= Self.patience else { return }
    sentry.resume(count: close.count, limits: close.limits, at: time)
    self.close = nil
  }
}
