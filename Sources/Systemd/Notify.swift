// SPDX-License-Identifier: Apache-2.0
// What a service says to its manager about itself. See sd_notify(3), sd_watchdog_enabled(3), systemd.service(5).

import CLinux
import CSystemd
import Glibc

/// Messages to whoever started this service and set `NOTIFY_SOCKET`; without that nothing is sent.
package enum Notify {
  /// Whether somebody wants to know.
  package static var isWanted: Bool { unsafe getenv("NOTIFY_SOCKET") != nil }

  /// It does its work now.
  package static func ready(status: String) { send("READY=1\nSTATUS=\(oneLine(status))") }

  /// What `systemctl status` shows.
  package static func status(_ text: String) { offer("STATUS=\(oneLine(text))") }

  /// It reads its configuration again; ``ready(status:)`` ends it. The stamp tells apart what came before and after.
  package static func reloading() {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    send("RELOADING=1\nMONOTONIC_USEC=\(Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)")
  }

  /// It is about to end.
  package static func stopping() { send("STOPPING=1") }

  /// It is alive. To be sent twice in each ``watchdogInterval``.
  package static func watchdog() { offer("WATCHDOG=1") }

  /// So long may it be silent before it is taken for dead; `nil` where nobody minds.
  package static var watchdogInterval: Duration? {
    var microseconds: UInt64 = 0
    return unsafe sd_watchdog_enabled(0, &microseconds) > 0 ? .microseconds(Int64(clamping: microseconds)) : nil
  }

  private static func send(_ message: String) { _ = unsafe sd_notify(0, message) }

  /// Sends what may be lost: sd_notify(3) waits for a manager that hangs, once the queue of its socket is full.
  private static func offer(_ message: String) {
    guard let path = unsafe getenv("NOTIFY_SOCKET"), unsafe path.pointee == CChar(UInt8(ascii: "/")) else {
      // Abstract and other sockets are left to libsystemd.
      return send(message)
    }
    let bytes = Array(message.utf8)
    _ = unsafe fdwatch_send_datagram(path, bytes, bytes.count)
  }

  /// A second line would be a second assignment.
  private static func oneLine(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }
}

/// Sockets that the manager has opened for this service. See sd_listen_fds_with_names(3).
package struct ListenSockets: Sendable {
  /// Names (`FileDescriptorName=`, the socket unit's name if it has none) and descriptors, which the caller owns.
  package let all: [(name: String, descriptor: CInt)]

  /// Takes over what was handed in, and forgets it: a second call, or a child's, finds none. None of them blocks.
  package static func take() -> ListenSockets {
    var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    let count = unsafe sd_listen_fds_with_names(1, &names)
    defer {
      if let names = unsafe names {
        for index in 0..<Int(max(count, 0)) { unsafe free(names[index]) }
        unsafe free(names)
      }
    }
    guard count > 0 else { return ListenSockets(all: []) }
    for descriptor in SD_LISTEN_FDS_START..<SD_LISTEN_FDS_START + count {
      // systemd hands them over in blocking mode: a second accept(2) would wait for the next caller.
      let flags = fcntl(descriptor, F_GETFL)
      if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    }
    return ListenSockets(
      all: (0..<count).map { index in
        let name = unsafe names.flatMap { unsafe $0[Int(index)] }.map { unsafe String(cString: $0) } ?? "unknown"
        return (name, SD_LISTEN_FDS_START + index)
      })
  }

  /// The descriptors of that name.
  package func named(_ name: String) -> [CInt] { all.filter { $0.name == name }.map(\.descriptor) }

  /// Whether a descriptor is a stream socket that listens: what `accept` works on.
  package static func listens(_ descriptor: CInt) -> Bool {
    sd_is_socket(descriptor, AF_UNSPEC, CInt(SOCK_STREAM.rawValue), 1) > 0
  }
}
