// SPDX-License-Identifier: Apache-2.0
// What can go wrong between us and the service manager.

import Glibc

/// Why the service manager did not do what it was asked. Names the call, the unit, and the manager's own words.
package enum BusError: Error, Equatable, CustomStringConvertible {
  /// Nobody answers, neither on the manager's own socket nor on the system bus: no systemd, or not for this user.
  case unreachable(reason: String)
  /// No answer in the time allowed. What was asked may still happen.
  case timedOut(call: String, unit: String)
  /// The manager's answer is an error. `name` is D-Bus's, such as `org.freedesktop.systemd1.NoSuchUnit`.
  case refused(call: String, unit: String, name: String, message: String)
  /// The connection broke, or the message could not be made.
  case failed(call: String, unit: String, errno: CInt)

  /// There is no unit of that name: it ended and was forgotten, or never was.
  package var isNoSuchUnit: Bool {
    if case .refused(_, _, "org.freedesktop.systemd1.NoSuchUnit", _) = self { true } else { false }
  }

  /// The manager itself is away, and not just this unit in trouble: a child process may do instead.
  package var isAboutManager: Bool {
    switch self {
    case .unreachable, .timedOut, .failed: true
    case .refused: false
    }
  }

  package var description: String {
    switch self {
    case .unreachable(let reason): "cannot reach the service manager: \(reason)"
    case .timedOut(let call, let unit): "\(call)(\(unit)): the service manager does not answer"
    case .refused(let call, let unit, let name, let message): "\(call)(\(unit)): \(message) (\(name))"
    case .failed(let call, let unit, let errno): "\(call)(\(unit)): \(BusError.words(errno))"
    }
  }

  static func words(_ errno: CInt) -> String { unsafe String(cString: strerror(errno)) }
}
