// SPDX-License-Identifier: Apache-2.0
// Why a process cannot be traced: each in one sentence that names what is missing.

import Linux
import Procfs

package enum OpenersError: Error, Equatable, Sendable {
  /// Capabilities that we do not have.
  case missing([Capability])
  /// The kernel runs under lockdown(7) that forbids programs to read its memory.
  case lockdown
  /// The kernel is older than 5.17.
  case kernel(major: Int, minor: Int)
  /// The kernel does not describe its own types.
  case noTypes
  /// Not x86-64.
  case machine
  /// Something denies bpf(2) though the capabilities are there: a container, or a filter of system calls.
  case denied
  case failed(step: String, errno: Int32)
  case process(ProcfsError)
  /// It executed another program meanwhile.
  case replaced

  package static let needed: [Capability] = [.bpf, .perfmon, .sysPtrace]
}

extension OpenersError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .missing(let capabilities):
      "tracing needs \(capabilities.map(\.name).joined(separator: " and ")): run as root"
    case .lockdown:
      "the kernel is locked down (confidentiality), which forbids tracing; see /sys/kernel/security/lockdown"
    case .kernel(let major, let minor): "tracing needs Linux 5.17 or newer; this is \(major).\(minor)"
    case .noTypes: "tracing needs a kernel with /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)"
    case .machine: "tracing is available on x86-64 only"
    case .denied:
      "bpf(2) is denied in spite of the capabilities: by a container's filter of system calls, or a security module"
    case .failed(let step, let errno): "\(step): \(SystemCallError(step, errno: errno).reason)"
    case .process(let error): "\(error)"
    case .replaced: "it executed another program while it was traced: start again"
    }
  }
}

extension OpenersError {
  /// What is behind an error of bpf(2), which gives the same number for many reasons.
  init(step: String, errno: Int32) {
    // EPERM, EACCES.
    let isDenied = errno == 1 || errno == 13
    let missing = Self.missingCapabilities
    if isDenied, !missing.isEmpty {
      self = .missing(missing)
    } else if Self.isLockedDown {
      self = .lockdown
    } else if Host.kernelRelease < (5, 17) {
      self = .kernel(major: Host.kernelRelease.major, minor: Host.kernelRelease.minor)
    } else if !Self.describesTypes {
      self = .noTypes
    } else if isDenied {
      self = .denied
    } else {
      self = .failed(step: step, errno: errno)
    }
  }

  /// Of ``needed``, those that we have not. See capabilities(7): CAP_SYS_ADMIN stands for the two of BPF.
  package static var missingCapabilities: [Capability] {
    needed.filter { capability in
      !Host.has(capability) && !(capability != .sysPtrace && Host.has(.sysAdmin))
    }
  }

  private static var describesTypes: Bool {
    do {
      _ = try Descriptor(path: "/sys/kernel/btf/vmlinux")
      return true
    } catch { return false }
  }

  private static var isLockedDown: Bool {
    guard let text = try? Files.read("/sys/kernel/security/lockdown", limit: 4096) else { return false }
    return String(decoding: text, as: UTF8.self).contains("[confidentiality]")
  }
}
