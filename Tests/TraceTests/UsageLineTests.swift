// SPDX-License-Identifier: Apache-2.0
// Evidence of use in a trace: read back as it was written, and never believed beyond its bounds.

import Descriptors
import Foundation
import TestSupport
import Testing
import Trace

private let headerLine =
  #"{"format":"fdwatch-trace","version":1,"comm":"app","pid":1,"interval":1,"start":"x","soft_limit":9,"hard_limit":10}"#

private func usage(_ text: String) throws -> [UsageEvidence] {
  let file = TemporaryFile("\(headerLine)\n{\"t\":0,\"count\":1,\"usage\":\(text)}\n")
  return try #require(try TraceReader(path: file.path).next()).usage
}

@Suite struct `Evidence of use in a trace` {
  @Test func `is read back as it was written`() throws {
    var poll = Poll(time: .seconds(3), count: 20)
    var full = UsageEvidence(descriptor: 17, looked: 12)
    for sign in UsageSign.allCases { full.signs[sign] = UsageShare(shown: 3, seen: 9) }
    full.siblings[.registered] = UsageShare(shown: 0, seen: 4)
    (full.threads, full.children) = (4, 0)
    poll.usage = [full, UsageEvidence(descriptor: 3, looked: 1)]
    let folder = FileManager.default.temporaryDirectory.path() + "/fdwatch-usage-\(UUID().uuidString).gz"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let writer = try TraceWriter(
      path: folder,
      header: TraceHeader(
        command: "x", pid: 1, interval: .seconds(1), start: "2026-11-23T10:00:00.000Z",
        limits: Limits(soft: 10, hard: 10)))
    try writer.write(poll)
    try writer.close()
    #expect(try #require(try TraceReader(path: folder).next()).usage == poll.usage)
  }

  @Test func `of a newer recorder is passed over where it is not understood`() throws {
    let found = try usage(
      #"[{"fd":4,"looked":2,"mood":[1],"signs":{"telepathy":{"a":1},"mapped":[1,2]}},{"looked":1}]"#)
    #expect(found.count == 1 && found.first?.signs == [.mapped: UsageShare(shown: 1, seen: 2)])
  }

  @Test(arguments: [
    #"[{"fd":4,"signs":{"mapped":[3,2]}}]"#, #"[{"fd":4,"signs":{"mapped":[-1,2]}}]"#,
    #"[{"fd":4,"threads":9223372036854775807}]"#, #"[{"fd":4,"children":-1}]"#, #"[{"fd":99999999999}]"#, "[4]", "{}",
  ]) func `is refused where it cannot be`(text: String) {
    #expect(throws: TraceError.self) { try usage(text) }
  }
}
