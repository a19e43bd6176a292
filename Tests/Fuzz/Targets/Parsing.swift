// SPDX-License-Identifier: Apache-2.0
// What goes between the daemon and its helper: either may have been taken over.

@testable import Parsing

extension Target {
  static var parseAnswer: Target {
    Target { bytes in
      guard let answer = try? AnswerWire.decoded(bytes) else { return }
      if case .success(let found) = answer {
        let frames = found.profiles.reduce(0) { $0 + $1.stacks.reduce(0) { $0 + $1.frames.count } }
        check(frames <= bytes.count, "\(frames) frames from \(bytes.count) bytes")
      }
      guard case .success = answer else { return }
      let again = AnswerWire.encoded(answer)
      check(again.count <= AnswerLimits.bytes, "an answer of \(again.count) bytes")
      guard let second = try? AnswerWire.decoded(again) else { fatalError("what was written cannot be read") }
      check(AnswerWire.encoded(second) == again, "written, it is another answer")
    }
  }

  static var parseMessage: Target {
    Target { bytes in
      _ = try? MappingList.decoded(bytes)
      guard let message = try? ParseMessage(bytes) else { return }
      check((try? ParseMessage(message.encoded())) == message, "written, it is another message")
    }
  }
}
