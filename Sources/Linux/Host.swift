// SPDX-License-Identifier: Apache-2.0
// What we ask of the system around us: users, terminals, our own privileges, the kernel's age.

import CLinux
import Glibc

package enum Host {
  /// The name of a user, or its number where it has none. See getpwuid_r(3).
  package static func userName(_ uid: UInt32) -> String {
    var record = unsafe passwd()
    var found: UnsafeMutablePointer<passwd>?
    var text = [CChar](repeating: 0, count: 16 << 10)
    guard unsafe getpwuid_r(uid, &record, &text, text.count, &found) == 0, unsafe found != nil,
      let name = unsafe record.pw_name
    else { return String(uid) }
    return unsafe String(cString: name)
  }

  /// The effective user of this process.
  package static var effectiveUser: UInt32 { geteuid() }

  package static var ownPID: Int32 { getpid() }

  /// The name of this host. See gethostname(2).
  package static var name: String {
    var text = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&text, text.count - 1) == 0 else { return "localhost" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Names this boot, until the next. See random(4), "/proc/sys/kernel/random/boot_id".
  package static var boot: String {
    let text = (try? Descriptor(path: "/proc/sys/kernel/random").contents(of: "boot_id", limit: 4096)) ?? []
    return String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }

  /// The kernel's release as two numbers, such as (6, 18). See uname(2).
  package static let kernelRelease: (major: Int, minor: Int) = {
    var name = utsname()
    guard unsafe uname(&name) == 0 else { return (0, 0) }
    let release = unsafe withUnsafeBytes(of: &name.release) {
      unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    let parts = release.split(separator: ".").prefix(2).map { Int($0.prefix { $0.isNumber }) ?? 0 }
    return parts.count == 2 ? (parts[0], parts[1]) : (0, 0)
  }()

  /// Whether a capability is in force for us.
  package static func has(_ capability: Capability) -> Bool { fdwatch_has_capability(capability.rawValue) != 0 }

  /// Whether this process may become another user: `CAP_SETUID`, see capabilities(7).
  package static var canChangeUser: Bool { fdwatch_has_capability(7) != 0 }

  /// Raises our own soft limit of descriptors to the hard one: a watched process costs one or two. See getrlimit(2).
  /// - Returns: what it is then.
  @discardableResult package static func raiseDescriptorLimit() -> UInt64 {
    fdwatch_raise_descriptor_limit()
    return fdwatch_descriptor_limit()
  }

  /// Who writes where nobody reads is told by an error, and not ended by a signal. See pipe(7).
  package static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

  /// Gives back to the kernel what was freed. See malloc_trim(3).
  package static func returnFreedMemory() { fdwatch_return_freed_memory() }

  /// Stops this process as Ctrl-Z would have, until it is continued.
  package static func stop() { raise(SIGSTOP) }

  /// The arguments of this process, without its name. As `CommandLine.arguments`, but also where a preloaded library has
  /// changed the environment.
  package static var arguments: [String] {
    (1..<max(1, fdwatch_argument_count())).compactMap { index in
      unsafe fdwatch_argument(index).map { unsafe String(cString: $0) }
    }
  }

  /// An environment variable of this process.
  package static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }
}

/// A capability that reading or tracing other processes takes. See capabilities(7).
package enum Capability: CInt, Sendable {
  /// Lists directories that belong to another user.
  case dacReadSearch = 2
  /// Reads links and files that are guarded by the ptrace access check.
  case sysPtrace = 19
  /// Stands for the two below, and for much else.
  case sysAdmin = 21
  /// Has programs of ours see what other processes do.
  case perfmon = 38
  /// Loads programs into the kernel. See bpf(2).
  case bpf = 39

  /// What reading a process takes.
  package static let reading: [Capability] = [.dacReadSearch, .sysPtrace]

  /// As administrators write it.
  package var name: String {
    switch self {
    case .dacReadSearch: "CAP_DAC_READ_SEARCH"
    case .sysPtrace: "CAP_SYS_PTRACE"
    case .sysAdmin: "CAP_SYS_ADMIN"
    case .perfmon: "CAP_PERFMON"
    case .bpf: "CAP_BPF"
    }
  }
}

extension Host {
  /// Writes a file anew, for its owner only: what a process tells of itself is not for everybody.
  package static func write(_ bytes: [UInt8], to path: String) throws(SystemCallError) {
    let number = try retrying("open") { unsafe fdwatch_create(path) }
    let file = Descriptor(owning: number)
    var written = 0
    while written < bytes.count {
      written += try retrying("write") {
        unsafe bytes.withUnsafeBufferPointer {
          unsafe Glibc.write(file.number, $0.baseAddress?.advanced(by: written), bytes.count - written)
        }
      }
    }
  }
}

/// A terminal, or what stands in its place.
package enum Terminal {
  package static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

  /// Rows and columns of the terminal, or `nil` where it does not say.
  package static func size(_ descriptor: CInt) -> (rows: Int, columns: Int)? {
    var rows: UInt16 = 0
    var columns: UInt16 = 0
    guard unsafe fdwatch_window_size(descriptor, &rows, &columns) == 0, rows > 0, columns > 0 else { return nil }
    return (Int(rows), Int(columns))
  }

  /// Writes all of a text, waiting where the reader is slow.
  package static func write(_ text: String, to descriptor: CInt) throws(SystemCallError) {
    try write(Array(text.utf8), to: descriptor)
  }

  /// Writes all bytes, waiting where the reader is slow.
  package static func write(_ bytes: [UInt8], to descriptor: CInt) throws(SystemCallError) {
    var written = 0
    while written < bytes.count {
      let done = unsafe bytes.withUnsafeBufferPointer {
        unsafe Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
      }
      if done < 0 {
        if errno == EINTR { continue }
        throw .last("write")
      }
      written += done
    }
  }
}
