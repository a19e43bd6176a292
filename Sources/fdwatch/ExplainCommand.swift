// SPDX-License-Identifier: Apache-2.0
// fdwatch explain ID: the evidence that was kept of an alert.

import ArgumentParser
import Daemon
import Descriptors
import Linux
import Watch

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Print the evidence that the daemon kept of an alert.",
    discussion: """
      What the process had open, what was believed of each class and why, and the alert as it was told; where the process \
      has a profile, the file that holds it, for go tool pprof. Without an id: what there is.
      """
  )

  @OptionGroup var place: DaemonPlace

  @Flag(help: "Print all descriptors, however many there are.")
  var all = false

  @Argument(help: "The name of the alert, as fdwatch status shows it.")
  var id: String?

  func run() throws {
    let folder = place.paths.evidence
    guard let id else {
      let names = Files.names(in: folder)
      if names.isEmpty { complain("there is no evidence in \(folder)\(hint(folder))") }
      for name in names { emit(name) }
      if names.isEmpty { throw ExitCode(2) }
      return
    }
    let files = id.contains("/") || id.hasPrefix(".") ? [] : Files.names(in: "\(folder)/\(id)")
    if files.isEmpty {
      complain("there is no evidence of \(id.printable) in \(folder)\(hint(folder))")
      throw ExitCode(2)
    }
    // In the order in which one reads, the first alert before what came near the limit.
    let order = EvidenceStore.files
    let sorted = files.sorted { a, b in
      (a.filter { $0 == "-" }.count, order.firstIndex { a.hasSuffix($0) } ?? 9)
        < (b.filter { $0 == "-" }.count, order.firstIndex { b.hasSuffix($0) } ?? 9)
    }
    let style = TextStyle.forOutput
    for file in sorted {
      let path = "\(folder)/\(id)/\(file)"
      emit(style.bold("== \(file)"))
      if file.hasSuffix(".gz") {
        emit("go tool pprof -top \(path)")
      } else if let bytes = try? Files.read(path, limit: 64 << 20) {
        let text = String(decoding: bytes, as: UTF8.self)
        Output.write(all || !file.hasSuffix("descriptors.txt") ? text : Self.beginning(of: text, path))
      }
      emit("")
    }
    try Output.check()
  }

  /// A process that leaks may have thousands open: what it is about shows in the first of them.
  private static let mostLines = 50

  private static func beginning(of text: String, _ path: String) -> String {
    let lines = text.split(separator: "\n")
    if lines.count <= mostLines { return text }
    let left = lines.count - mostLines
    return lines.prefix(mostLines).joined(separator: "\n") + "\n… \(left) more lines: --all, or \(path)\n"
  }

  private func hint(_ folder: String) -> String {
    Host.effectiveUser == 0 ? "" : ", or it is closed to you: run as root"
  }
}
