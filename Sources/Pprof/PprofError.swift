// SPDX-License-Identifier: Apache-2.0
// Why a profile could not be read. A profile is data from a stranger: whatever its bytes, the answer is one of these.

/// What a reader is ready to take in of one profile.
package struct ProfileLimits: Sendable, Equatable {
  /// Bytes as they come, and as they are after gzip.
  package var compressedBytes = 16 << 20
  package var expandedBytes = 16 << 20
  package var samples = 250_000
  /// Locations of one sample.
  package var depth = 1024
  /// Bytes of one string.
  package var stringBytes = 16 << 10

  package init() {}

  /// By name, as a person sets them. `nil` if there is none of that name.
  package subscript(_ name: String) -> Int? {
    get {
      switch name {
      case "compressed": compressedBytes
      case "expanded": expandedBytes
      case "samples": samples
      case "depth": depth
      case "string": stringBytes
      default: nil
      }
    }
    set {
      guard let newValue else { return }
      switch name {
      case "compressed": compressedBytes = newValue
      case "expanded": expandedBytes = newValue
      case "samples": samples = newValue
      case "depth": depth = newValue
      case "string": stringBytes = newValue
      default: break
      }
    }
  }

  package static let names = ["compressed", "expanded", "samples", "depth", "string"]
}

package enum PprofError: Error, Equatable {
  /// Neither gzip, nor a `profile.proto` message, nor one of the texts.
  case foreign(reason: String)
  /// It ends before it is whole.
  case truncated
  /// The bytes at some offset (of the expanded message) are not what the format says.
  case damaged(reason: String, offset: Int)
  case malformedText(reason: String, line: Int)
  /// More than a limit allows. `limit` is a name of ``ProfileLimits/names``.
  case tooLarge(limit: String, most: Int)
  /// Two profiles, one behind the other.
  case concatenated
  /// Profiles of different sample types cannot be added or subtracted.
  case incompatible(String, String)
}

extension PprofError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .foreign(let reason): "this is not a pprof profile: \(reason)"
    case .truncated: "the profile ends before it is whole"
    case .damaged(let reason, let offset): "the profile is damaged: \(reason), at byte \(offset)"
    case .malformedText(let reason, let line): "line \(line) of the profile's text: \(reason)"
    case .tooLarge(let limit, let most):
      switch limit {
      case "samples": "the profile has more than \(most) samples; --profile-limit samples=N allows more"
      case "depth": "a stack of the profile has more than \(most) locations; --profile-limit depth=N allows more"
      case "string": "a string of the profile has more than \(most) bytes; --profile-limit string=N allows more"
      default: "the profile has more than \(most) bytes (\(limit)); --profile-limit \(limit)=N allows more"
      }
    case .concatenated: "there are two profiles, one behind the other; one is asked for"
    case .incompatible(let one, let other): "a profile of \(one) and one of \(other) have nothing to do with each other"
    }
  }
}
