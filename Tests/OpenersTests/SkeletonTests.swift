// SPDX-License-Identifier: Apache-2.0
// The BPF program that is checked in, compiled: that it is what its source says.

import Foundation
import TestSupport
import Testing

private enum Skeleton {
  static let path = "Sources/COpeners/bpf/openers.lskel.h"

  /// What the script makes here, and what was checked in; `nil` where it cannot be made.
  static let both: (made: String, kept: String)? = {
    guard let directory = try? TemporaryDirectory(), let kept = try? Repository.text(of: path) else { return nil }
    let file = directory.path + "/made.h"
    // The toolchain is found as whoever runs the tests found it.
    let search = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let outcome = try? ChildProcess.run([
      "env", "PATH=\(search)", Repository.path("packaging/openers-skeleton.sh"), file,
    ])
    guard outcome?.status == .exited(0), let made = try? String(contentsOfFile: file, encoding: .utf8) else {
      return nil
    }
    return (made, kept)
  }()

  /// The line that names the versions of what made it.
  static func tools(_ text: String) -> Substring { text.split(separator: "\n").dropFirst().first ?? "" }

  /// Another version of the compiler makes another program of the same source.
  static let isComparable = both.map { tools($0.made) == tools($0.kept) } ?? false
}

@Suite struct `The BPF program` {
  @Test(.enabled(if: Skeleton.isComparable, "needs bpftool, libbpf-dev, and the versions that made what is checked in"))
  func `is what its source compiles to: else run make openers-skeleton`() throws {
    let both = try #require(Skeleton.both)
    #expect(both.made == both.kept)
  }

  @Test func `has its license in its source and in what was made of it`() throws {
    for file in ["openers.bpf.c", "calls.h", "record.h"] {
      let text = try Repository.text(of: "Sources/COpeners/bpf/\(file)")
      #expect(text.hasPrefix("// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only\n"), "\(file)")
    }
    #expect(try Repository.text(of: "LICENSES/GPL-2.0-only.txt").contains("GNU GENERAL PUBLIC LICENSE"))
    #expect(try Repository.text(of: "LICENSES/BSD-2-Clause.txt").contains("Redistribution and use"))
  }
}
