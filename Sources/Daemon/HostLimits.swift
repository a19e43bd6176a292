// SPDX-License-Identifier: Apache-2.0
// Limits of the whole host and of its users. See proc(5), /proc/sys/fs/file-nr, and inotify(7).

import Alerts
import Descriptors
import Detection
import Linux

/// Looks at them now and then.
struct HostLimits {
  private(set) var handles: HostHandles?
  private var next = Duration.zero
  private var isNear: Bool
  private static let owner = "the host"
  private static let pause = Duration.seconds(30)

  /// - Parameter isNear: whether an alert of it goes on, since before a restart.
  init(isNear: Bool = false) { self.isNear = isNear }

  /// - Parameter percent: of the limit, from which a person is told; 0 never.
  mutating func observe(_ percent: Int, _ book: inout AlertBook, at now: Moment) -> [AlertEvent] {
    guard now.time >= next else { return [] }
    next = now.time + Self.pause
    handles = Self.read()
    guard percent > 0, let handles, handles.limit > 0 else {
      defer { isNear = false }
      return isNear ? far("it is not looked after any more", &book, at: now) : []
    }
    let text = "\(handles.open) of \(handles.limit) open files (fs.file-max)"
    // As a fraction: systemd sets the limit to the largest number there is.
    let isNearNow = handles.part * 100 >= Double(isNear ? max(1, percent - 5) : percent)
    defer { isNear = isNearNow }
    if !isNearNow { return isNear ? far(text, &book, at: now) : [] }
    // Said again each time: it may be worse by now.
    let finding = Finding(
      id: 0, kind: .file, target: nil, leaked: 0, since: now.time, ratePerHour: 0, rateInterval: 0...0,
      timeToLimit: handles.part >= 0.98 ? .zero : .seconds(3600), timeToLimitInterval: nil, confidence: 1, evidence: [])
    return book.limit(
      "file-max", of: nil, owner: Self.owner,
      text: "\(text): beyond that every open fails with ENFILE",
      finding: finding, count: Int(clamping: handles.open), limits: Limits(soft: handles.limit, hard: handles.limit),
      at: now)
  }

  private func far(_ text: String, _ book: inout AlertBook, at now: Moment) -> [AlertEvent] {
    book.limitIsFar("file-max", of: nil, owner: Self.owner, text: text, at: now)
  }

  private static func read() -> HostHandles? {
    guard let text = try? Descriptor(path: "/proc/sys/fs").contents(of: "file-nr", limit: 4096) else { return nil }
    let words = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count >= 3, let open = UInt64(words[0]), let limit = UInt64(words[2]) else { return nil }
    return HostHandles(open: open, limit: limit)
  }
}
