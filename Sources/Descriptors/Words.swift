// SPDX-License-Identifier: Apache-2.0
// Kinds and times in plain words.

extension Kind {
  /// What a person calls one or several of these.
  package func inWords(_ count: Int) -> String {
    let name =
      switch self {
      case .directory: count == 1 ? "directory" : "directorie"
      case .tcp: "TCP socket"
      case .udp: "UDP socket"
      case .unix: "UNIX socket"
      case .netlink: "netlink socket"
      case .pty: "pseudoterminal"
      case .eventpoll: "epoll instance"
      case .inotify: "inotify instance"
      case .fanotify: "fanotify group"
      case .ioUring: "io_uring instance"
      case .perfEvent: "perf event"
      case .bpf: "BPF object"
      case .pipe: "pipe end"
      case .anon: "anonymous inode"
      default: rawValue
      }
    return count == 1 ? name : name + "s"
  }
}

extension Duration {
  /// `45 s`, `17 min`, `5 h`, `3 days`: as precise as a person needs.
  package var inWords: String {
    let seconds = max(self / .seconds(1), 0)
    func whole(_ value: Double) -> String { String(Int(clamping: value.rounded())) }
    switch seconds {
    case ..<119.5: return "\(whole(seconds)) s"
    case ..<(119.5 * 60): return "\(whole(seconds / 60)) min"
    case ..<(47.5 * 3600): return "\(whole(seconds / 3600)) h"
    case ..<(1000 * 86400): return "\(whole(seconds / 86400)) days"
    default: return "years"
    }
  }
}
