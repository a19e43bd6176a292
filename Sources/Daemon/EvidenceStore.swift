// SPDX-License-Identifier: Apache-2.0
// What is kept of an alert while its process still lives: what it had open, what was believed, its profile.

import Alerts
import Config
import Descriptors
import Detection
import Linux
import Procfs
import Trace
import Watch

/// Folders named by alerts, bounded in number and size. `fdwatch explain ID` prints one.
package struct EvidenceStore: Sendable {
  package let folder: String

  package init(folder: String) { self.folder = folder }

  /// What a folder holds, in the order in which it is shown.
  package static let files = ["alert.json", "verdicts.txt", "descriptors.txt", "profile.pb.gz"]

  /// Keeps what there is of an alert now: at its beginning, and again near the limit as `ID/limit-…`.
  package func keep(
    _ event: AlertEvent, json: String, of process: Watched?, in procfs: borrowing Procfs,
    settings: EvidenceSettings
  ) throws(SystemCallError) {
    guard settings.keep > 0 else { return }
    let place = "\(folder)/\(event.alert.id)"
    try Files.makeFolder(place)
    let prefix = event.word == .alert ? "" : "\(event.word.rawValue)-"
    var left = settings.maxBytes
    func write(_ name: String, _ bytes: [UInt8]) throws(SystemCallError) {
      // Cut at a line end; a profile whole or not at all.
      var bytes = bytes
      if bytes.count > left {
        guard name.hasSuffix(".txt"), left >= 64 else { return }
        bytes = Array(bytes.prefix(left - 64))
        bytes = Array(bytes[..<(bytes.lastIndex(of: UInt8(ascii: "\n")) ?? 0)]) + Array("\n(cut)\n".utf8)
      }
      left -= bytes.count
      try Files.replace("\(place)/\(prefix)\(name)", with: bytes)
    }
    try write("alert.json", Array((json + "\n").utf8))
    if let process {
      if let close = process.close {
        try write("verdicts.txt", Array(close.verdictLines.joined(separator: "\n").utf8) + [10])
        if let profile = close.lastProfile { try write("profile.pb.gz", profile) }
      }
      try write(
        "descriptors.txt", Array(Self.descriptors(process.subject, in: procfs, bytes: settings.maxBytes).utf8))
    }
    forgetOld(keeping: settings.keep)
  }

  /// More than that is no evidence any more, but work.
  private static let mostDescriptors = 20_000

  private static func descriptors(_ identity: AlertProcess, in procfs: borrowing Procfs, bytes: Int) -> String {
    do throws(ProcfsError) {
      let directory = try ProcessDirectory(pid: identity.pid, in: procfs)
      guard directory.startTime == identity.startTime else { return "The process has exited.\n" }
      var found: [(number: Int32, target: String)] = []
      var left = bytes
      try directory.forEachTarget(most: mostDescriptors) { number, target in
        found.append((number, target))
        left -= target.utf8.count
        return left > 0
      }
      return folded(found)
    } catch {
      return "\(error)\n"
    }
  }

  /// A line each, but one for neighbours that are the same: `3-408`. Whoever opens one file again and again fills a screen
  /// otherwise.
  private static func folded(_ descriptors: [(number: Int32, target: String)]) -> String {
    var lines: [(first: Int32, last: Int32, target: String)] = []
    for (number, target) in descriptors.sorted(by: { $0.number < $1.number }) {
      if let line = lines.last, line.target == target, line.last == number - 1 {
        lines[lines.count - 1].last = number
      } else {
        lines.append((number, number, target))
      }
    }
    return lines.map { line in
      line.first == line.last
        ? "\(line.first)\t\(line.target.printable)\n" : "\(line.first)-\(line.last)\t\(line.target.printable)\n"
    }.joined()
  }

  private func forgetOld(keeping most: Int) {
    let names = Files.names(in: folder)
    guard names.count > most else { return }
    let byAge = names.map { name in
      (name: name, modified: (try? Descriptor(path: "\(folder)/\(name)").state().modified) ?? .distantPast)
    }.sorted { $0.modified < $1.modified }
    for entry in byAge.prefix(names.count - most) { Files.removeFolder("\(folder)/\(entry.name)") }
  }
}

extension WatchedProcess {
  /// What is believed of each class, and why.
  var verdictLines: [String] {
    detector.classReports.map { report in
      let target = report.target.map { " \($0.printable)" } ?? ""
      return "\(report.kind.rawValue)\(target): \(report.open) open, \(report.verdict.rawValue)"
    } + [""] + detector.explanations
  }
}
