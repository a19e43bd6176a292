// SPDX-License-Identifier: Apache-2.0
// What the suites of this module share.

import Descriptors
import Foundation
import Linux
import Parsing
import Pprof
import Profiles
import TestSupport

/// One for all suites: a helper serves one process, and here all is read of one.
let helper = Parser.built()

extension ProfiledProcess {
  /// - Parameter owner: a service.
  init(living pid: Int32, user: UInt32, owner: String? = nil) throws {
    self.init(
      try ProcessKey(living: pid), owner: ProcessOwner(user: user, unit: owner.map { "\($0).service" }), user: user,
      open: 50)
  }
}

/// A keeper, ticked as by a watch until something comes of it.
final class Asking {
  let keeper: ProfileKeeper
  private(set) var snapshots: [ProfileSnapshot] = []
  private(set) var notes: [String] = []
  private(set) var time = Duration.zero
  var process: ProfiledProcess

  init(_ keeper: ProfileKeeper) throws {
    self.keeper = keeper
    process = try ProfiledProcess(living: getpid(), user: getuid())
  }

  convenience init(
    _ url: String, origin: ProfileSource.Origin = .user, options: ProfileOptions = .impatient,
    limits: ProfileLimits = ProfileLimits()
  ) throws {
    let source = ProfileSource(try ProfileAddress(parsing: url, pid: getpid()), options: options, origin: origin)
    try self.init(ProfileKeeper([source], limits: limits, parser: helper))
  }

  /// Time goes by at ten times its pace.
  func run(suspicious: Bool = false, unexplained: Bool = false, until isEnough: (Asking) -> Bool) throws {
    let deadline = Instant.now + .seconds(20)
    while !isEnough(self) {
      if Instant.now > deadline { throw TestFailure("nothing came of it: \(notes), \(snapshots.count) snapshots") }
      step(suspicious: suspicious, unexplained: unexplained)
      usleep(10_000)
    }
  }

  func step(suspicious: Bool = false, unexplained: Bool = false) {
    let (new, told) = keeper.tick(at: time, process, isSuspicious: suspicious, needsWitness: unexplained)
    snapshots += new.map(\.snapshot)
    notes += told
    time += .milliseconds(100)
  }
}

extension ProfileOptions {
  /// For servers that do their worst.
  static var impatient: ProfileOptions {
    var options = ProfileOptions()
    (options.connect, options.answer, options.whole) = (.milliseconds(500), .milliseconds(600), .milliseconds(2500))
    return options
  }
}

func profile(_ count: Int, _ name: String = "main.leak") -> Profile {
  var builder = ProfileBuilder(sampleTypes: [.init(type: "file", unit: "count")])
  builder.add(stack: [builder.location(.init(address: 7, frames: [.init(function: name)]))], values: [Int64(count)])
  return builder.finish()
}
