// SPDX-License-Identifier: Apache-2.0
// From floating point to whole numbers and times, without a trap: the values may come from a file, a socket, the journal.

extension FixedWidthInteger {
  /// The whole number towards zero, or the nearest one that there is; 0 for what is no number.
  package init(clamping value: Double) {
    if let exact = Self(exactly: value.rounded(.towardZero)) {
      self = exact
    } else {
      self = value.isNaN ? 0 : value < 0 ? .min : .max
    }
  }
}

extension Duration {
  /// Longer than anything that is watched, and short enough that sums and multiples of a few of them fit into a
  /// `Duration`: about 3,000 years.
  package static let longest = Duration.seconds(100_000_000_000)

  /// So many seconds to the nearest millisecond, at most ``longest`` in either direction; none for what is no number.
  package init(clampingSeconds seconds: Double) {
    let most = Duration.longest / .seconds(1)
    self = .milliseconds(Int64(clamping: (min(max(seconds, -most), most) * 1000).rounded()))
  }

  /// Whether it is a time that can occur: see ``longest``.
  package var isPlausible: Bool { self >= .zero - .longest && self <= .longest }
}
