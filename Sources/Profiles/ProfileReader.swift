// SPDX-License-Identifier: Apache-2.0
// From bytes to a snapshot: by way of a helper, on a thread that may wait for it.

import Descriptors
import Linux
import Parsing
import Pprof
import Procfs

/// A profile that was read, or what was found instead.
struct ProfileReading: Sendable {
  var snapshot: ProfileSnapshot
  /// Of all sample types, the one that was counted, where there was a choice.
  var countedType: String?
  /// Not all addresses have their names.
  var isCut = false
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

/// Whose word it is that a file holds a profile.
enum FileTrust: Sendable, Equatable {
  /// Of whoever runs fdwatch: found as we find it, by a pattern if need be.
  case ours
  /// Of the process itself: found as it finds it, and its own.
  case process
  /// Of its unit: found as the process finds it, and its own or open to everybody.
  case unit
}

struct ProfileReader: Sendable {
  var limits = ProfileLimits()
  var parser: Parser
  var process: ProcessKey
  /// Look up names of addresses.
  var withNames = true

  /// - Parameter asked: when; at some time since then it was taken.
  func read(
    _ bytes: [UInt8], name: String, isWitness: Bool, source: String, asked: Instant, answered: Instant
  ) throws(ProfileError) -> ProfileReading {
    let inputs = try inputs(source)
    return try read(.bytes(bytes.count), bytes, nil, inputs, name: name, isWitness: isWitness, source: source) {
      Self.taken($0, asked: asked, answered: answered)
    }
  }

  private func inputs(_ source: String) throws(ProfileError) -> ProcessInputs {
    do throws(ProcfsError) { return try ProcessInputs(process) } catch {
      throw .cannotOpen(file: source, reason: "\(error)")
    }
  }

  private func read(
    _ subject: ParseJob.Subject, _ bytes: [UInt8], _ file: CInt?, _ inputs: borrowing ProcessInputs, name: String,
    isWitness: Bool, source: String, taken: (Int64) -> Instant
  ) throws(ProfileError) -> ProfileReading {
    var request = ParseRequest(process, ParseJob(subject))
    request.job.limits = limits
    (request.bytes, request.withNames) = (bytes, withNames)
    let answer: Result<ParseAnswer, ParseFailure>
    do throws(ParserError) { answer = try parser.parse(request, about: inputs, file: file) } catch {
      throw .notRead(source: source, error)
    }
    switch answer {
    case .failure(.profile(let error)): throw .unreadable(source: source, error)
    case .failure(.file(let errno)):
      throw .cannotOpen(file: source, reason: SystemCallError("read", errno: errno).reason)
    case .failure(.table), .failure(.stacks): throw .notRead(source: source, .unintelligible)
    case .success(let answer):
      guard let profile = answer.profiles.first else { throw .notRead(source: source, .unintelligible) }
      return ProfileReading(
        snapshot: ProfileSnapshot(profile, name: name, isWitness: isWitness), countedType: answer.countedType,
        isCut: answer.notes.contains(.budgetSpent), taken: taken(answer.timeNanos))
    }
  }

  /// By the producer's own word, if it can be true; else halfway between question and answer. What is opened meanwhile
  /// would be a part of the leak that no stack accounts for.
  private static func taken(_ timeNanos: Int64, asked: Instant, answered: Instant) -> Instant {
    let age = Timestamp.now - Timestamp(nanoseconds: timeNanos)
    if timeNanos > 0, age >= .zero, age <= .now - asked { return .now - age }
    return asked + (answered - asked) / 2
  }

  /// The newest file of a pattern that is whole. `nil` if it is the one that is `known`.
  ///
  /// A file that is half written is passed over for the one before it.
  func readNewest(
    of place: String, _ trust: FileTrust, name: String, isWitness: Bool, known: FileVersion?
  ) throws(ProfileError) -> ProfileReading? {
    let inputs = try inputs(place)
    if trust != .ours { return try read(place, trust, inputs, name: name, isWitness: isWitness, known: known) }
    var failure = ProfileError.cannotOpen(file: place, reason: "there is no such file")
    for path in try newest(of: place) {
      do throws(ProfileError) {
        return try read(path, trust, inputs, name: name, isWitness: isWitness, known: known)
      } catch { failure = error }
    }
    throw failure
  }

  private func read(
    _ path: String, _ trust: FileTrust, _ inputs: borrowing ProcessInputs, name: String, isWitness: Bool,
    known: FileVersion?
  ) throws(ProfileError) -> ProfileReading? {
    let handle = try handle(path, trust, inputs)
    let version: FileVersion
    let file: Descriptor
    do throws(SystemCallError) {
      version = FileVersion(path: path, state: try handle.state())
      file = try handle.openingRegularFile()
    } catch { throw .cannotOpen(file: path, reason: error.reason) }
    if version == known { return nil }
    if version.state.size > limits.compressedBytes { throw .tooLarge(source: path, most: limits.compressedBytes) }
    // As old as the file is.
    let age = Timestamp.now - version.state.modified
    let written = Instant.now - min(max(age, .zero), .seconds(365 * 86400))
    var reading = try read(
      .file, [], file.number, inputs, name: name, isWitness: isWitness, source: path
    ) { _ in written }
    reading.file = version
    return reading
  }

  private func handle(
    _ path: String, _ trust: FileTrust, _ inputs: borrowing ProcessInputs
  ) throws(ProfileError) -> Descriptor {
    do throws(SystemCallError) {
      if trust == .ours { return try Descriptor(path: path) }
      let handle = try Descriptor(path: path, inRoot: inputs.root())
      let found = try handle.identity()
      guard found.owner == inputs.user || (trust == .unit && found.isReadableByAll) else {
        throw SystemCallError("open", errno: SystemCallError.notPermitted)
      }
      return handle
    } catch {
      throw .cannotOpen(file: path, reason: error.reason)
    }
  }

  private func newest(of pattern: String) throws(ProfileError) -> [String] {
    if !Glob.isPattern(pattern) { return [pattern] }
    do throws(Glob.Failure) {
      let found = try Glob.paths(pattern).compactMap { path in
        (try? Descriptor(path: path).state()).map { (path: path, modified: $0.modified) }
      }
      return found.sorted { $0.modified > $1.modified }.prefix(4).map(\.path)
    } catch { throw .cannotOpen(file: pattern, reason: error.reason) }
  }
}

extension ProfileSnapshot {
  init(_ profile: ParsedProfile, name: String, isWitness: Bool = false) {
    self.init(
      name: name, isWitness: isWitness,
      stacks: profile.stacks.map {
        StackCount(frames: $0.frames, count: $0.count, descriptors: $0.descriptors)
      })
    others = min(profile.others, 1 << 32)
    stride = profile.stride
  }
}
