// SPDX-License-Identifier: Apache-2.0
// Arguments about the profiles of watched processes.

import ArgumentParser
import Attribution
import Openers
import Pprof
import Profiles
import Watch

struct ProfileArguments: ParsableArguments {
  @Option(
    name: .customLong("profile"),
    help: ArgumentHelp(
      "Where a process exports who holds what: http://HOST:PORT/debug/pprof/file, unix:/run/app.sock:/debug/pprof/file, "
        + "or a file or glob. {pid} stands for its number. Repeatable.", valueName: "source"))
  var profiles: [String] = []

  @Flag(help: "Look for Go's profiles on the sockets that the process itself listens on.")
  var discover = false

  @Flag(help: "Ask for no profile, not even where the unit or the environment of the process names one.")
  var noProfile = false

  @Option(help: ArgumentHelp("A header to send along, such as 'X-Key: abc'. Repeatable.", valueName: "header"))
  var profileHeader: [String] = []

  @Option(help: ArgumentHelp("A file that holds a bearer token to send along.", valueName: "file"))
  var profileTokenFile: String?

  @Option(name: .customLong("profile-ca"), help: ArgumentHelp("Certificates to trust with https.", valueName: "file"))
  var profileCA: String?

  @Option(
    help: ArgumentHelp(
      "What is taken in of a profile: \(ProfileLimits.names.joined(separator: ", ")) (bytes, or a number).",
      valueName: "name=n"))
  var profileLimit: [String] = []

  @Option(help: ArgumentHelp("Keep the last profile that was fetched, for go tool pprof.", valueName: "file"))
  var saveProfile: String?

  @Option(help: ArgumentHelp("Frames not to be blamed, such as 'main.openTracked': a glob.", valueName: "glob"))
  var skipFrames: [String] = []

  @Option(
    defaultAsFlag: OpenerMode.suspicion, parsing: .next,
    help: ArgumentHelp(
      "Trace who opens its descriptors, once something looks like a leak, or at once with --openers=now. Needs root.",
      valueName: "when"))
  var openers: OpenerMode?

  func validate() throws {
    if noProfile, discover || !profiles.isEmpty {
      throw ValidationError("--no-profile asks for none: it goes with neither --profile nor --discover.")
    }
    for text in profiles {
      do {
        _ = try ProfileAddress(parsing: text, pid: 1)
      } catch {
        throw ValidationError("\(error)")
      }
    }
    if let wrong = profileHeader.first(where: { !$0.contains(":") || $0.contains(where: \.isNewline) }) {
      throw ValidationError("\"\(wrong)\" is no header: write 'Name: value'.")
    }
    _ = try limits()
  }

  private func limits() throws -> ProfileLimits {
    var limits = ProfileLimits()
    for text in profileLimit {
      let words = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard words.count == 2, limits[words[0]] != nil, let number = Int(words[1]), number > 0, number <= 1 << 30 else {
        throw ValidationError(
          "\"\(text)\" is no limit: write NAME=N with one of \(ProfileLimits.names.joined(separator: ", ")).")
      }
      limits[words[0]] = number
    }
    return limits
  }

  func profiling() throws -> Profiling {
    if openers != nil, !OpenersError.missingCapabilities.isEmpty {
      complain("--openers: \(OpenersError.missing(OpenersError.missingCapabilities))")
      throw ExitCode(2)
    }
    var profiling = noProfile ? .none : Profiling()
    profiling.openers = openers
    profiling.filter = FrameFilter(skipping: skipFrames)
    if noProfile { return profiling }
    profiling.addresses = profiles
    profiling.discover = discover
    profiling.options.headers = profileHeader
    profiling.options.tokenFile = profileTokenFile
    profiling.options.caFile = profileCA
    profiling.limits = try limits()
    return profiling
  }
}

extension OpenerMode: ExpressibleByArgument {}
