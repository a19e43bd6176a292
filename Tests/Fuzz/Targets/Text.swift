// SPDX-License-Identifier: Apache-2.0
// What comes out of text that strangers chose, and times and sizes that people write.

import Linux

@testable import Config
@testable import Daemon
@testable import Descriptors
@testable import Systemd
@testable import Trace
@testable import Watch

extension Target {
  /// An entry that anybody may have sent: fields `NAME=value` with a zero byte behind each.
  static var journal: Target {
    Target { bytes in
      var event = LoggedEvent(time: 1e9, host: "host", user: 1000, fields: [:])
      for field in bytes.split(separator: 0).prefix(100) {
        let name = field.prefix { $0 != UInt8(ascii: "=") }
        let value = field.dropFirst(name.count + 1).string
        if name.string == "TIME" { event.time = Double(value) ?? 0 }
        event.fields[name.string, default: []].append(value)
      }
      let json = Array(event.json.utf8)
      var scanner = JSONScanner(json[...])
      do {
        try scanner.skip()
        try scanner.end()
      } catch { fatalError("no JSON: \(error)\n\(event.json)") }
      let rows = [AlertRow(event), AlertRow(event)]
      for line in AlertTable(rows, width: 80, style: TextStyle(isOn: false)).lines {
        check(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }, "a control character: \(line)")
      }
    }
  }

  static var text: Target {
    Target { bytes in
      let text = bytes.text
      check(!text.printable.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x202e }, "not printable")
      do {
        let quoted = Array(JSONObject.quoted(text).utf8)
        var scanner = JSONScanner(quoted[...])
        check(try scanner.string() == text, "JSON has another text")
        try scanner.end()
        let document = try TOMLNode.members(of: Array("a = \(TOMLText.quoted(text))".utf8))
        guard case .string(let value)? = document.first?.value else { fatalError("no string") }
        check(value == text, "TOML has another text")
      } catch { fatalError("what was quoted cannot be read: \(error)") }
      if let seconds = WallClock.seconds(of: text) { _ = WallClock.rfc3339(seconds) + WallClock.local(seconds) }
      if let time = TimeText.duration(text) { _ = TimeText.text(time) + time.inWords }
      if let size = Size.bytes(text) { check(Size.text(size) != "", "no size") }
      if let address = ListenAddress(text) { check(ListenAddress("\(address)") == address, "another address") }
      if let number = Double(text) {
        _ = JSONObject.number(number) + WallClock.rfc3339(number) + WallClock.local(number)
      }
      _ = Unit.named(text) + Unit.instance(of: "fdwatch@.service", text)
    }
  }
}
