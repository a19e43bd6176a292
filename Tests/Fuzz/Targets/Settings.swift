// SPDX-License-Identifier: Apache-2.0
// What people write: TOML, unit files, patterns.

import Glibc

@testable import Alerts
@testable import Attribution
@testable import Config
@testable import Systemd

extension Target {
  static var config: Target {
    Target { bytes in
      let loaded = Configuration.load(text: bytes, path: "/etc/fdwatch/fdwatch.toml")
      for problem in loaded.problems { _ = "\(problem)" }
      _ = loaded.json
      guard loaded.isValid else { return }
      // What `fdwatch config` prints is a file that means the same.
      let again = Configuration.load(text: Array(loaded.toml.utf8), path: "again")
      check(again.isValid, "what was written cannot be read: \(again.problems)\n\(loaded.toml)")
      check(again.configuration == loaded.configuration, "written, it means something else:\n\(loaded.toml)")
    }
  }

  static var unitFile: Target {
    let folder = Scratch.folder + "/etc/systemd/system"
    Scratch.make(folder)
    return Target { bytes in
      Scratch.write(bytes, to: "etc/systemd/system/app.service")
      let settings = UnitSettings(of: "app.service", root: Scratch.folder)
      let lines = settings.profiles + settings.headers + [settings.tokenFile, settings.caFile].compactMap { $0 }
      check(lines.allSatisfy { !$0.contains("\n") && !$0.isEmpty }, "a value of several lines, or of none")
    }
  }

  /// A pattern, a zero byte, and a text.
  static var pattern: Target {
    Target { bytes in
      let (pattern, text) = (bytes.halves.0.string, bytes.halves.1.string)
      let matches = Pattern.matches(pattern, text)
      let mistake = Pattern.mistake(in: pattern)
      let silence = Silence(subject: pattern, until: 1, reason: "", by: "")
      _ = silence.covers(Alert(id: "1", type: .report, firstSeen: 0, unit: text, members: []), at: 0)
      if Pattern.isPlain(pattern) {
        check(matches == (pattern.unicodeScalars.elementsEqual(text.unicodeScalars)), "plain")
      }
      // The C library's takes exponential time.
      guard mistake == nil, bytes.count < 200, bytes.allSatisfy({ $0 < 0x80 }), !text.contains("\0"),
        pattern.count(where: { $0 == "*" }) <= 3, !pattern.contains("[.") && !pattern.contains("[=")
      else { return }
      check(matches == (fnmatch(pattern, text, 0) == 0), "fnmatch(3) says otherwise of \(pattern) and \(text)")
    }
  }
}
