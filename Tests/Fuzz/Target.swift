// SPDX-License-Identifier: Apache-2.0
// What a target is, and which there are.

/// A decoder of bytes that somebody else wrote. It returns, whatever they are: a trap, a finding of a sanitizer, a
/// failed ``check(_:_:)``, a timeout or memory beyond the limit is a bug.
struct Target {
  var fuzz: ([UInt8]) -> Void

  /// By name, each made only where it is to run.
  static let all: [(name: String, make: @Sendable () -> Target)] = [
    ("process", { .process }), ("fdinfo", { .fdinfo }), ("sockets", { .sockets }), ("maps", { .maps }),
    ("usage", { .usage }), ("socket-diagnosis", { .socketDiagnosis }),
    ("pprof", { .pprof }), ("profile-text", { .profileText }), ("table", { .table }), ("perf-map", { .perfMap }),
    ("elf", { .elf }),
    ("parse", { .parse }), ("parse-answer", { .parseAnswer }), ("parse-message", { .parseMessage }),
    ("fetch", { .fetch }), ("http-request", { .httpRequest }), ("address", { .address }),
    ("report", { .report }), ("config", { .config }), ("pattern", { .pattern }), ("unit-file", { .unitFile }),
    ("trace", { .trace }), ("detector-state", { .detectorState }), ("state-files", { .stateFiles }),
    ("journal", { .journal }), ("text", { .text }),
  ]
}

/// States a property of a decoder; ends the run where it does not hold.
func check(_ holds: Bool, _ what: @autoclosure () -> String) {
  if !holds { fatalError(what()) }
}

extension Array where Element == UInt8 {
  /// What one of several cases is chosen by, and the rest.
  func choosing(among count: Int) -> (choice: Int, rest: [UInt8])? {
    first.map { (Int($0) % count, Array(dropFirst())) }
  }

  /// What stands before the first zero byte, and what behind it.
  var halves: (ArraySlice<UInt8>, ArraySlice<UInt8>) {
    let end = firstIndex(of: 0) ?? endIndex
    return (self[..<end], self[end...].dropFirst())
  }

  var text: String { String(decoding: self, as: UTF8.self) }
}

extension ArraySlice<UInt8> {
  var string: String { String(decoding: self, as: UTF8.self) }
}
