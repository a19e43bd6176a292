// SPDX-License-Identifier: Apache-2.0
// The errors of a helper on the wire: a number for each case, and its figures.

import LeakTable
import Linux
import Pprof

extension AnswerWire {
  static func write(_ failure: ParseFailure, to writer: inout WireWriter) {
    func put(_ number: Int, _ figures: Int..., reason: String = "") {
      writer.write(number)
      writer.write(reason.cut(to: AnswerLimits.reason))
      writer.write(figures.count)
      for figure in figures { writer.write(figure) }
    }
    switch failure {
    case .file(let errno): put(1, Int(errno))
    case .stacks: put(2)
    case .profile(.foreign(let reason)): put(10, reason: reason)
    case .profile(.truncated): put(11)
    case .profile(.damaged(let reason, let offset)): put(12, offset, reason: reason)
    case .profile(.malformedText(let reason, let line)): put(13, line, reason: reason)
    case .profile(.tooLarge(let limit, let most)): put(14, most, reason: limit)
    case .profile(.concatenated): put(15)
    case .profile(.incompatible(let one, let other)): put(16, reason: "\(one), \(other)")
    case .table(.gone): put(20)
    case .table(.denied): put(21)
    case .table(.isNoTable(let reason)): put(22, reason: reason)
    case .table(.hasNoMagic): put(23)
    case .table(.version(let version)): put(24, Int(version))
    case .table(.belongs(let pid)): put(25, Int(pid))
    case .table(.damaged(let reason)): put(26, reason: reason)
    case .table(.tooLarge(let reason)): put(27, reason: reason)
    case .table(.failed(let error)): put(28, Int(error.errno), reason: error.call)
    }
  }

  static func failure(_ reader: inout WireReader) throws(WireError) -> ParseFailure {
    let number = try reader.number()
    let reason = try reader.text(AnswerLimits.reason)
    var figures: [Int] = []
    for _ in 0..<(try reader.number(0...1)) { figures.append(try reader.number(0...Int.max)) }
    let figure = figures.first ?? 0
    switch number {
    case 1: return .file(errno: Int32(clamping: figure))
    case 2: return .stacks
    case 10: return .profile(.foreign(reason: reason))
    case 11: return .profile(.truncated)
    case 12: return .profile(.damaged(reason: reason, offset: figure))
    case 13: return .profile(.malformedText(reason: reason, line: figure))
    case 14: return .profile(.tooLarge(limit: reason, most: figure))
    case 15: return .profile(.concatenated)
    case 16: return .profile(.incompatible(reason, ""))
    case 20: return .table(.gone)
    case 21: return .table(.denied)
    case 22: return .table(.isNoTable(reason: reason))
    case 23: return .table(.hasNoMagic)
    case 24: return .table(.version(UInt32(clamping: figure)))
    case 25: return .table(.belongs(toPid: UInt32(clamping: figure)))
    case 26: return .table(.damaged(reason))
    case 27: return .table(.tooLarge(reason))
    case 28: return .table(.failed(SystemCallError(reason, errno: Int32(clamping: figure))))
    default: throw WireError()
    }
  }
}
