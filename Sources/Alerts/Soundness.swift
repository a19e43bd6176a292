// SPDX-License-Identifier: Apache-2.0
// Whether what was saved can be: numbers from a file are not computed with before that.

import Descriptors
import Detection

/// What a count can be at most: far above all that happens, and far below where sums would overflow.
let countRange = 0...1 << 48

extension Finding {
  var isSound: Bool {
    countRange.contains(leaked) && since.isPlausible && (timeToLimit ?? .zero).isPlausible
      && [ratePerHour, rateInterval.lowerBound, rateInterval.upperBound, confidence].allSatisfy { abs($0) < 1e15 }
      && [timeToLimitInterval?.lowerBound, timeToLimitInterval?.upperBound].allSatisfy { ($0 ?? .zero).isPlausible }
  }
}

extension Alert {
  var isSound: Bool {
    abs(firstSeen) < 1e12 && members.allSatisfy { countRange.contains($0.count) && $0.finding.isSound }
  }
}
