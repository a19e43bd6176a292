// SPDX-License-Identifier: Apache-2.0
// Evidence of use in a trace, both ways: docs/trace-format.md.

import Descriptors

enum UsageLine {
  /// A recorder looks at a dozen members; what says more is no reason to believe more.
  private static let mostMembers = 1 << 20

  static func json(_ evidence: UsageEvidence) -> String {
    var object = JSONObject()
    object.add("fd", evidence.descriptor)
    object.add("looked", evidence.looked)
    if let threads = evidence.threads { object.add("threads", threads) }
    if let children = evidence.children { object.add("children", children) }
    add("signs", evidence.signs, to: &object)
    add("siblings", evidence.siblings, to: &object)
    return object.line
  }

  private static func add(_ key: String, _ signs: [UsageSign: UsageShare], to object: inout JSONObject) {
    if signs.isEmpty { return }
    var row = JSONObject()
    for sign in UsageSign.allCases {
      if let share = signs[sign] { row.add(sign.rawValue, json: "[\(share.shown),\(share.seen)]") }
    }
    object.add(key, json: row.line)
  }

  /// `nil` where it does not say of which class it speaks. Signs of a newer recorder are passed over.
  static func evidence(_ scanner: inout JSONScanner) throws(JSONError) -> UsageEvidence? {
    var found = UsageEvidence(descriptor: -1, looked: 0)
    try scanner.object { (scanner, key) throws(JSONError) in
      switch key {
      case "fd": found.descriptor = try scanner.integer()
      case "looked": found.looked = try count(&scanner)
      case "threads": found.threads = try count(&scanner)
      case "children": found.children = try count(&scanner)
      case "signs": found.signs = try signs(&scanner)
      case "siblings": found.siblings = try signs(&scanner)
      default: try scanner.skip()
      }
    }
    return found.descriptor < 0 ? nil : found
  }

  private static func signs(_ scanner: inout JSONScanner) throws(JSONError) -> [UsageSign: UsageShare] {
    var signs: [UsageSign: UsageShare] = [:]
    try scanner.object { (scanner, key) throws(JSONError) in
      guard let sign = UsageSign(rawValue: key) else { return try scanner.skip() }
      try scanner.open()
      let shown = try count(&scanner)
      try scanner.comma()
      let seen = try count(&scanner)
      try scanner.close()
      guard shown <= seen else { throw scanner.error("more members show a sign than were looked at") }
      signs[sign] = UsageShare(shown: shown, seen: seen)
    }
    return signs
  }

  private static func count(_ scanner: inout JSONScanner) throws(JSONError) -> Int {
    let count = try scanner.integer(Int.self)
    guard (0...mostMembers).contains(count) else { throw scanner.error("a count is out of range") }
    return count
  }
}
