// SPDX-License-Identifier: Apache-2.0
// What this machine lets the tests do. A test that needs more is skipped, and says what is missing.

import Glibc
import Linux

package enum Machine {
  package static var isRoot: Bool { geteuid() == 0 }

  /// Whether a command ends well.
  package static func canRun(_ command: String...) -> Bool {
    guard let child = try? ChildProcess(command) else { return false }
    child.closeInput()
    return (try? child.finish())?.status == .exited(0)
  }

  /// Whether another user may be taken on and can run what was built (it may lie in a home directory).
  package static let canRunAsNobody =
    isRoot
    && canRun(
      "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", Products.executable("fdwatch"),
      "--version")
  package static let hasProcessNamespaces = canRun("unshare", "-pf", "--mount-proc", "true")
  package static let hasNetworkNamespaces = canRun("unshare", "-n", "ip", "link", "set", "lo", "up")
  /// Starts a command in a network namespace of its own.
  package static let inNetworkNamespace = ["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$0\""]
  package static let hasMountNamespaces = canRun("unshare", "-m", "true")
  /// The count is the size of `fd/`.
  package static let countsBySize = Host.kernelRelease >= (6, 2)

  /// The highest number of descriptors that a process may be allowed here.
  package static let hardLimit: Int = {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    return Int(clamping: limit.rlim_max)
  }()
}
