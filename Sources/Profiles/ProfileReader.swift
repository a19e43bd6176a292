// SPDX-License-Identifier: Apache-2.0
// From bytes to a snapshot: what runs on the fetcher's thread, away from the polls.

import Descriptors
import Linux
import Pprof

/// A profile that was read, or what was found instead.
struct ProfileReading: Sendable {
  var snapshot: ProfileSnapshot
  /// As it came, for who wants to keep it.
  var bytes: [UInt8]
  /// Of all sample types, the one that was counted, where there was a choice.
  var countedType: String?
  var isConnectionKept = false
  /// When it was taken, as far as can be told.
  var taken: Instant
  /// The file that it was, if it was one.
  var file: FileVersion?
}

/// A file in the state in which it was read.
struct FileVersion: Sendable, Equatable {
  var path: String
  var state: Descriptor.FileState
}

/// What turns addresses of a process into frames.
package protocol ProfileSymbolizer: Sendable {
  func frames(of location: Profile.Location, in mappings: [Profile.Mapping]) -> [Profile.Frame]
  /// Lets go of what it has open, after a profile: the next one has mostly the same addresses.
  func close()
}

struct ProfileReader: Sendable {
  var limits = ProfileLimits()
  var symbolizer: (any ProfileSymbolizer)?

  /// - Parameter asked: when; at some time since then it was taken.
  func read(
    _ bytes: [UInt8], name: String, isWitness: Bool, source: String, asked: Instant
  ) throws(ProfileError) -> ProfileReading {
    let answered = Instant.now
    do throws(PprofError) {
      let profile = try Profile(decoding: bytes, limits: limits)
      let index = profile.countIndex
      defer { symbolizer?.close() }
      let stacks = profile.stackCounts(index) { symbolizer?.frames(of: $0, in: profile.mappings) ?? [] }
      let snapshot = ProfileSnapshot(
        name: name, isWitness: isWitness,
        stacks: stacks.map {
          StackCount(
            frames: $0.frames.withoutProfiler, count: Int(clamping: $0.count), descriptors: $0.descriptors)
        })
      return ProfileReading(
        snapshot: snapshot, bytes: bytes,
        countedType: profile.sampleTypes.count > 1 ? profile.sampleTypes[index].description : nil,
        taken: Self.taken(profile, asked: asked, answered: answered))
    } catch { throw .unreadable(source: source, error) }
  }

  /// By the producer's own word, if it can be true; else halfway between question and answer. What is opened meanwhile
  /// would be a part of the leak that no stack accounts for.
  private static func taken(_ profile: Profile, asked: Instant, answered: Instant) -> Instant {
    let age = Timestamp.now - Timestamp(nanoseconds: profile.timeNanos)
    if profile.timeNanos > 0, age >= .zero, age <= .now - asked { return .now - age }
    return asked + (answered - asked) / 2
  }

  /// The newest file of a glob that is whole. `nil` if it is the one that is `known`.
  ///
  /// A file that is half written is passed over for the one before it.
  /// - Parameter owner: whose it must be, where it was not a person who named it.
  func readNewest(
    of glob: String, name: String, known: FileVersion?, owner: UInt32?
  ) throws(ProfileError) -> ProfileReading? {
    var failure = ProfileError.cannotOpen(file: glob, reason: "there is no such file")
    for path in newest(of: glob) {
      do throws(ProfileError) {
        let (bytes, version) = try contents(of: path, unless: known, owner: owner)
        guard let bytes else { return nil }
        // As old as the file is.
        let age = Timestamp.now - version.state.modified
        let written = Instant.now - min(max(age, .zero), .seconds(365 * 86400))
        var reading = try read(bytes, name: name, isWitness: false, source: path, asked: written)
        reading.taken = written
        reading.file = version
        return reading
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private func contents(
    of path: String, unless known: FileVersion?, owner: UInt32?
  ) throws(ProfileError) -> (bytes: [UInt8]?, version: FileVersion) {
    do throws(SystemCallError) {
      let file = try Descriptor(regularFile: path)
      let version = FileVersion(path: path, state: try file.state())
      if version == known { return (nil, version) }
      if let owner, version.state.owner != owner {
        throw SystemCallError("open", errno: SystemCallError.notPermitted)
      }
      return (try file.contents(limit: limits.compressedBytes), version)
    } catch {
      if error.errno == SystemCallError.tooLarge { throw .tooLarge(source: path, most: limits.compressedBytes) }
      throw .cannotOpen(file: path, reason: error.reason)
    }
  }

  private func newest(of glob: String) -> [String] {
    let found = Glob.paths(glob).compactMap { path in
      (try? Descriptor(path: path).state()).map { (path: path, modified: $0.modified) }
    }
    return found.sorted { $0.modified > $1.modified }.prefix(4).map(\.path)
  }
}

extension [String] {
  /// Without what the profile itself adds: Go's `Add` where its `skip` was too small.
  fileprivate var withoutProfiler: [String] {
    let rest = drop { $0.hasPrefix("runtime/pprof.(*Profile).Add") || $0.hasPrefix("runtime/pprof.lostProfileEvent") }
    return rest.isEmpty ? ["no stack"] : Array(rest)
  }
}
