// SPDX-License-Identifier: Apache-2.0
// How much one census may take in: a process opens as many descriptors, by names as long, as it likes.

/// Bounds on one census.
package struct CensusLimit: Sendable, Equatable {
  /// More open descriptors are ``ProcfsError/tooManyDescriptors(_:)``.
  package var descriptors: Int
  /// Bytes of all new targets together. Those that follow are cut to ``cutTarget`` bytes.
  package var targetBytes: Int

  package init(descriptors: Int, targetBytes: Int) {
    (self.descriptors, self.targetBytes) = (descriptors, targetBytes)
  }

  /// For a command, which watches what a person has asked for.
  package static let none = CensusLimit(descriptors: .max, targetBytes: .max)

  /// Enough for what tells a kind and a directory.
  static let cutTarget = 64
}
