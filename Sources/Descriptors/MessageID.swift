// SPDX-License-Identifier: Apache-2.0
// What tells our journal entries from all others, and from each other. See systemd.journal-fields(7), MESSAGE_ID.

/// A kind of journal entry. Once released, an id never changes.
package enum MessageID: String, Sendable, CaseIterable {
  case suspected = "b24e0f6c9a7d4d1fa6c35e8b17d09c42"
  case alert = "f80c5fad4bca4abfab75624beaafb344"
  case escalated = "c8d61a605f5a4b718841af0d1253f064"
  case resolved = "c2086a0c55884619a714cba8de4c5f2f"
  case notice = "f062dfe4958749cd8f54978705c2d09b"
  case reminder = "5d1b0a8f0c4a4c7c9d0e5b1f6f0a7c21"
  case limit = "3f0f7a5e1a5b4a0bb0b5a8d52a6f3b90"
  case report = "9a6b8a3ed2be4bb58fd3b4ef7c3b1d5e"
  /// So much came at once that one entry stands for many.
  case storm = "6c2f3c1c0b1e4f3f8b7f2f0c4f7e9a11"
  /// A silence of several alerts is over.
  case silenceEnded = "d4a7e3c05b9f4e1c8a6b2f7d1e0c9b53"
  case hookFailed = "1e8f6a9d3b7c4d25a0c9e7f4b2d86a35"
  case configRefused = "7b4c2d9e5f6a4138b1d0e3c5a7f9284d"

  /// What an alert's life consists of.
  package static let alerts: [MessageID] = [
    .alert, .escalated, .resolved, .reminder, .limit, .report, .storm, .silenceEnded,
  ]
}
