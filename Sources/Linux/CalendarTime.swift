// SPDX-License-Identifier: Apache-2.0
// Points in time as people write them. See RFC 3339, mktime(3), timegm(3).

import Glibc

extension WallClock {
  /// `2026-11-23 14:02:11` in the local time zone.
  package static func local(_ epoch: Double) -> String {
    guard var seconds = time_t(exactly: epoch.rounded(.down)) else { return "?" }
    var local = unsafe tm()
    guard unsafe localtime_r(&seconds, &local) != nil else { return "?" }
    // The last years that fit into tm_year do not with 1900 more.
    let date = unsafe "\(Int(local.tm_year) + 1900)-\(two(local.tm_mon + 1))-\(two(local.tm_mday))"
    return date + " " + timeOfDay(epoch)
  }

  private static func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// Seconds since 1970 of `2026-11-23`, `2026-11-23 14:02`, `2026-11-23T14:02:11.5+01:00`: local time where no zone is
  /// given, midnight where no time is. `nil` for anything else, and for days that there are not.
  package static func seconds(of text: String) -> Double? {
    var rest = text[...]
    var time = unsafe tm()
    guard let year = number(4, &rest), take("-", &rest), let month = number(2, &rest), take("-", &rest),
      let day = number(2, &rest), (1...12).contains(month), (1...31).contains(day), year >= 1900
    else { return nil }
    unsafe (time.tm_year, time.tm_mon, time.tm_mday) = (year - 1900, month - 1, day)
    var fraction = 0.0
    if take("T", &rest) || take("t", &rest) || take(" ", &rest) {
      guard let hour = number(2, &rest), take(":", &rest), let minute = number(2, &rest), hour < 24, minute < 60
      else { return nil }
      unsafe (time.tm_hour, time.tm_min) = (hour, minute)
      if take(":", &rest) {
        guard let second = number(2, &rest), second < 61 else { return nil }
        unsafe time.tm_sec = second
        if take(".", &rest) {
          let digits = rest.prefix { $0.isASCII && $0.isNumber }
          guard !digits.isEmpty, let value = Double("0." + digits) else { return nil }
          fraction = value
          rest = rest.dropFirst(digits.count)
        }
      }
    }
    let offset = zone(&rest)
    guard rest.isEmpty else { return nil }
    unsafe time.tm_isdst = -1
    // Both put a 31st of April right, which is not what was meant.
    let seconds = unsafe offset == nil ? mktime(&time) : timegm(&time)
    guard unsafe time.tm_mday == day else { return nil }
    return Double(seconds) + fraction - Double(offset ?? 0)
  }

  private static func number(_ digits: Int, _ rest: inout Substring) -> CInt? {
    let text = rest.prefix(digits)
    guard text.count == digits, text.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
    rest = rest.dropFirst(digits)
    return CInt(text)
  }

  private static func take(_ character: Character, _ rest: inout Substring) -> Bool {
    guard rest.first == character else { return false }
    rest = rest.dropFirst()
    return true
  }

  /// Seconds east of Greenwich; `nil` where none are given.
  private static func zone(_ rest: inout Substring) -> CInt? {
    if rest == "Z" || rest == "z" {
      rest = ""
      return 0
    }
    guard let sign = rest.first, sign == "+" || sign == "-" else { return nil }
    var tail = rest.dropFirst()
    guard let hours = number(2, &tail), take(":", &tail), let minutes = number(2, &tail), hours < 24, minutes < 60
    else { return nil }
    rest = tail
    return (hours * 3600 + minutes * 60) * (sign == "-" ? -1 : 1)
  }
}
