// SPDX-License-Identifier: Apache-2.0
// The Debian package of what `make build` made.

import Foundation
import TestSupport

/// A package to be installed in containers. Its file is removed with it.
final class DebianPackage {
  let path: String
  private let directory: TemporaryDirectory

  private static let binary = Repository.path(".build/release/fdwatch")

  /// Why there is none, or none that is worth a test; `nil` if there is one.
  static let obstacle: String? = {
    let files = FileManager.default
    func changed(_ path: String) -> Date {
      (try? files.attributesOfItem(atPath: path)[.modificationDate] as? Date) ?? .distantPast
    }
    // Not the binary of the other tests: that one needs the toolchain's libraries.
    guard files.isExecutableFile(atPath: binary) else { return "there is no release: run 'make build'" }
    let sources = files.enumerator(atPath: Repository.path("Sources"))?.compactMap { $0 as? String } ?? []
    let newest =
      sources.filter { $0.hasSuffix(".swift") || $0.hasSuffix(".c") }
      .map { changed(Repository.path("Sources/" + $0)) }.max() ?? .distantFuture
    if changed(binary) < newest { return "the release is older than its sources: run 'make build'" }
    return Machine.canRun("dpkg-shlibdeps", "--version") ? nil : "needs dpkg-shlibdeps (Debian: dpkg-dev)"
  }()

  /// - Parameter compression: what is shipped has xz's, which takes most of the time.
  init(revision: Int = 1, compression: String = "none") throws {
    directory = try TemporaryDirectory()
    let outcome = try ChildProcess.run(
      [Repository.path("packaging/deb/build.sh"), Self.binary, directory.path],
      environment: ["REVISION": "\(revision)", "COMPRESSION": compression])
    guard outcome.status == .exited(0), let path = outcome.output.split(separator: "\n").last else {
      throw TestFailure("no package: \(outcome.errors)")
    }
    self.path = String(path)
  }
}

extension SystemdContainer {
  /// Copies a package into it and installs it.
  func install(_ package: DebianPackage) throws {
    try copy(package.path, to: "/root/fdwatch.deb")
    try output(of: "dpkg", "--install", "/root/fdwatch.deb")
  }

  /// All that packages put in place or may leave, but for what programs keep to be faster. The rest of what it sees is
  /// this machine's, where others work meanwhile.
  func files() throws -> Set<String> {
    let text = try shell("find /etc /usr /opt /var -xdev -path /var/cache -prune -o -path /var/tmp -prune -o -print")
    return Set(text.split(separator: "\n").map(String.init))
  }
}
