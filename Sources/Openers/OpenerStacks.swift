// SPDX-License-Identifier: Apache-2.0
// Stacks as people read them: walked and named by the helper, which has no rights.

import Linux
import Parsing
import Procfs

/// Who opened what is still open.
package struct OpenerStacks: Sendable, Equatable {
  package var stacks: [ParsedProfile.Stack] = []
  /// Descriptors whose stack was not walked, for there were too many, or it took too long.
  package var others = 0
  /// Of the descriptors of its stacks only those are there whose number is a multiple of this.
  package var stride: Int32 = 1
  /// Not all has its name: that would have taken too long.
  package var isCut = false

  package init() {}

  /// Asks a helper, for seconds at most.
  package init(
    _ groups: [OpenedGroup], of process: ProcessKey, by parser: Parser, processes: String = "/proc"
  ) throws(OpenerStacksError) {
    if groups.isEmpty { return }
    let inputs: ProcessInputs
    do throws(ProcfsError) { inputs = try ProcessInputs(process, processes: processes) } catch { throw .process(error) }
    let (bytes, left) = CopiedStacks.encoded(groups.map(\.group))
    var request = ParseRequest(process, ParseJob(.stacks(bytes.count)))
    request.bytes = bytes
    let answer: Result<ParseAnswer, ParseFailure>
    do throws(ParserError) { answer = try parser.parse(request, about: inputs) } catch { throw .parser(error) }
    guard case .success(let parsed) = answer, let profile = parsed.profiles.first else {
      throw .parser(.unintelligible)
    }
    stacks = profile.stacks
    others = left + profile.others
    stride = profile.stride
    isCut = parsed.notes.contains(.budgetSpent)
  }
}

package enum OpenerStacksError: Error, Equatable, CustomStringConvertible {
  case process(ProcfsError)
  case parser(ParserError)

  package var description: String {
    switch self {
    case .process(let error): "\(error)"
    case .parser(let error): "\(error)"
    }
  }
}
