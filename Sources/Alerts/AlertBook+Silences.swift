// SPDX-License-Identifier: Apache-2.0
// What silences do to a book's alerts.

import Descriptors
import Detection

// MARK: Silences

extension AlertBook {
  /// Of one subject the latest holds; one that has ended already takes it back. What it held back is told by
  /// ``tick(at:)``.
  /// - Returns: whether there was one before.
  @discardableResult package mutating func silence(_ silence: Silence, at moment: Moment) -> Bool {
    let hadOne = activeSilences(at: moment).contains { $0.isOfSame(silence) }
    silences.removeAll { $0.isOfSame(silence) }
    defer {
      // Those that have ended go first.
      while silences.count > Self.mostSilences,
        let first = silences.indices.min(by: { silences[$0].until < silences[$1].until })
      {
        silences.remove(at: first)
      }
    }
    if silence.until > moment.wall { silences.append(silence) }
    return hadOne
  }

  package func activeSilences(at moment: Moment) -> [Silence] { silences.filter { $0.until > moment.wall } }

  func isSilenced(_ alert: Alert, at moment: Moment) -> Bool {
    silences.contains { $0.covers(alert, at: moment.wall) }
  }
}
