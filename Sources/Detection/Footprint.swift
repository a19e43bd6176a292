// SPDX-License-Identifier: Apache-2.0
// What a detector takes, in bytes: the bound on classes is one of memory, since a thousand processes may be watched.

import Descriptors

extension Array {
  /// What its storage takes on the heap: a header of 32 bytes and the capacity.
  var heapBytes: Int { capacity == 0 ? 0 : 32 + capacity * MemoryLayout<Element>.stride }
}

extension String {
  /// Up to 15 bytes lie in the string itself.
  var heapBytes: Int { utf8.count <= 15 ? 0 : 32 + utf8.count }
}

extension Dictionary {
  /// A power of two of places, of which at most three quarters are taken.
  var heapBytes: Int {
    if capacity == 0 { return 0 }
    var places = 1
    while places * 3 < capacity * 4 { places *= 2 }
    return 64 + places * (MemoryLayout<Key>.stride + MemoryLayout<Value>.stride)
  }
}

extension Finding {
  /// With its storage, and the words of the evidence.
  var heapBytes: Int {
    32 + MemoryLayout<Finding>.stride + (target?.heapBytes ?? 0) + evidence.heapBytes
      + (settles?.heapBytes ?? 0) + evidence.reduce(0) { $0 + $1.heapBytes }
  }
}

extension UsageEvidence {
  var heapBytes: Int { 48 + MemoryLayout<UsageEvidence>.stride + signs.heapBytes + siblings.heapBytes }
}

extension Detector {
  /// Bytes that it takes in all: 24 for each open descriptor, the clock of work, and what ``ClassTable/budget`` allows.
  package var footprint: Int {
    MemoryLayout<Detector>.stride + ledger.entries.heapBytes + WorkClock.heapBytes + classes.footprint
  }
}
