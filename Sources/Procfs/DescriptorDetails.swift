// SPDX-License-Identifier: Apache-2.0
// /proc/<pid>/fdinfo/<n>. See the kernel's Documentation/filesystems/proc.rst, section 3.8, and proc_pid_fdinfo(5).

/// What `fdinfo` tells of one descriptor.
///
/// The first lines are common to all; what an eventfd, an epoll instance or a timer adds has members of its own. A line
/// that is none of these is kept in ``unknown``.
package struct DescriptorDetails: Equatable, Sendable {
  /// The file offset in bytes.
  package var position: Int64 = 0
  /// The open file description's flags, and `O_CLOEXEC` of the descriptor.
  package var flags: UInt32 = 0
  package var mountID: Int32?
  /// Since Linux 5.14.
  package var inode: UInt64?
  package var eventfdCount: UInt64?
  /// Since Linux 5.2: tells one eventfd from another, which their shared inode does not.
  package var eventfdID: Int64?
  package var epollTargets: [EpollTarget] = []
  package var inotifyWatches: [InotifyWatch] = []
  /// The process that a pidfd refers to; -1 once it has been collected.
  package var pidfdProcess: Int32?
  /// A signalfd's set: bit n-1 is signal n.
  package var signalMask: UInt64?
  package var timer: Timer?
  /// Lines that are none of the above, in their order.
  package var unknown: [String] = []

  /// One descriptor that an epoll instance watches: a `tfd` line.
  package struct EpollTarget: Equatable, Sendable {
    /// The descriptor as it was numbered when it was added; it may have been closed or reused since.
    package var descriptor: Int32
    package var events: UInt32
    package var data: UInt64
    package var inode: UInt64?
  }

  /// One `inotify` line.
  package struct InotifyWatch: Equatable, Sendable {
    package var descriptor: Int32
    package var inode: UInt64
    package var device: UInt64
    package var mask: UInt32
  }

  /// A timerfd's setting.
  package struct Timer: Equatable, Sendable {
    package var clock: Int32 = 0
    /// Expirations that nobody has read.
    package var ticks: UInt64 = 0
    package var settimeFlags: UInt32 = 0
    /// Time to the next expiration; zero if the timer is not armed.
    package var value: Duration = .zero
    package var interval: Duration = .zero
  }

  package init() {}

  /// Parses the file. All bytes have an answer: what is not understood is kept as an unknown line.
  package init(fdinfo text: [UInt8]) {
    for line in lines(text[...]) where !take(line) { unknown.append(line.text) }
  }
}

extension DescriptorDetails {
  /// Takes a line in, or answers `false` if it is none that we know.
  private mutating func take(_ line: ArraySlice<UInt8>) -> Bool {
    if let watch = line.after("inotify ") { return append(inotify: watch) }
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return false }
    let value = line[(colon + 1)...].trimmed
    switch line[..<colon].trimmed.text {
    case "pos": return set(\.position, value.signed)
    case "flags": return set(\.flags, value.unsigned(radix: 8).flatMap(UInt32.init(exactly:)))
    case "mnt_id": return set(\.mountID, value.signed.flatMap(Int32.init(exactly:)))
    case "ino": return set(\.inode, value.unsigned())
    case "eventfd-count": return set(\.eventfdCount, value.unsigned(radix: 16))
    case "eventfd-id": return set(\.eventfdID, value.signed)
    case "tfd": return append(epoll: value)
    case "Pid": return set(\.pidfdProcess, value.signed.flatMap(Int32.init(exactly:)))
    case "sigmask": return set(\.signalMask, value.unsigned(radix: 16))
    case "clockid": return set(timer: \.clock, value.signed.flatMap(Int32.init(exactly:)))
    case "ticks": return set(timer: \.ticks, value.unsigned())
    case "settime flags": return set(timer: \.settimeFlags, value.unsigned(radix: 8).flatMap(UInt32.init(exactly:)))
    case "it_value": return set(timer: \.value, Self.time(value))
    case "it_interval": return set(timer: \.interval, Self.time(value))
    default: return false
    }
  }

  private mutating func set<Value>(_ member: WritableKeyPath<Self, Value>, _ value: Value?) -> Bool {
    guard let value else { return false }
    self[keyPath: member] = value
    return true
  }

  private mutating func set<Value>(_ member: WritableKeyPath<Self, Value?>, _ value: Value?) -> Bool {
    guard let value else { return false }
    self[keyPath: member] = value
    return true
  }

  private mutating func set<Value>(timer member: WritableKeyPath<Timer, Value>, _ value: Value?) -> Bool {
    guard let value else { return false }
    timer = timer ?? Timer()
    timer?[keyPath: member] = value
    return true
  }

  /// `(seconds, nanoseconds)`.
  private static func time(_ text: ArraySlice<UInt8>) -> Duration? {
    guard text.first == UInt8(ascii: "("), text.last == UInt8(ascii: ")") else { return nil }
    let parts = text.dropFirst().dropLast().split(separator: UInt8(ascii: ",")).map(\.trimmed)
    guard parts.count == 2, let seconds = parts[0].signed, let nanoseconds = parts[1].signed else { return nil }
    return .seconds(seconds) + .nanoseconds(nanoseconds)
  }

  /// `       5 events:       1d data: ffffffffffffffff pos:0 ino:61af sdev:7`: a name may stand apart from its value.
  private mutating func append(epoll text: ArraySlice<UInt8>) -> Bool {
    guard let first = words(text).first, let number = first.unsigned().flatMap(Int32.init(exactly:)) else {
      return false
    }
    let fields = Self.fields(text.dropFirst(first.count))
    guard let events = fields["events"]?.unsigned(radix: 16).flatMap(UInt32.init(exactly:)),
      let data = fields["data"]?.unsigned(radix: 16)
    else { return false }
    let inode = fields["ino"]?.unsigned(radix: 16)
    epollTargets.append(EpollTarget(descriptor: number, events: events, data: data, inode: inode))
    return true
  }

  /// `wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 …`.
  private mutating func append(inotify text: ArraySlice<UInt8>) -> Bool {
    let fields = Self.fields(text)
    // All numbers are hexadecimal (measured on 6.18), though proc.rst calls the first one decimal.
    guard let number = fields["wd"]?.unsigned(radix: 16).flatMap(Int32.init(exactly:)),
      let inode = fields["ino"]?.unsigned(radix: 16), let device = fields["sdev"]?.unsigned(radix: 16),
      let mask = fields["mask"]?.unsigned(radix: 16).flatMap(UInt32.init(exactly:))
    else { return false }
    inotifyWatches.append(InotifyWatch(descriptor: number, inode: inode, device: device, mask: mask))
    return true
  }

  /// `name:value` and `name: value` words of a line.
  private static func fields(_ text: ArraySlice<UInt8>) -> [String: ArraySlice<UInt8>] {
    var fields: [String: ArraySlice<UInt8>] = [:]
    var open: String?
    for word in words(text) {
      if let name = open {
        fields[name] = word
        open = nil
      } else if let colon = word.firstIndex(of: UInt8(ascii: ":")) {
        let name = word[..<colon].text
        let value = word[(colon + 1)...]
        if value.isEmpty { open = name } else { fields[name] = value }
      }
    }
    return fields
  }
}
