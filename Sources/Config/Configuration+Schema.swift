// SPDX-License-Identifier: Apache-2.0
// The settings outside of rules and hooks, as they are written. packaging/fdwatch.toml and fdwatch.toml(5) describe them;
// a test holds the three together.

import Pprof

extension Configuration {
  static let schema = Schema<Configuration>(
    general + alertFields + sourceFields + keptFields, others: ["watch", "ignore", "hook"])

  private static let general: [Field<Configuration>] = [
    Field("interval", \.interval, .time(.milliseconds(250) ... .seconds(3600))),
    Field("sensitivity", \.sensitivity, .word()),
    Field("cpu_budget", \.cpuBudget, .number(0.05...100)),
    Field("skip_frames", \.skipFrames, .list(of: .pattern)),
    Field(labels: "labels", \.labels),
  ]

  private static let alertFields: [Field<Configuration>] = [
    Field("alerts.reminders", \.alerts.reminders, Form.time(.seconds(60) ... .days(7)).or(off: "off")),
    Field("alerts.burst", \.alerts.burst, .whole(1...10_000)),
    Field("alerts.limit_warning", \.alerts.limitWarning, Form.time(.seconds(60) ... .days(30)).or(off: "off")),
    Field("alerts.host_limit", \.alerts.hostLimit, .whole(0...100)),
    Field("alerts.journal", \.alerts.journal, .boolean),
  ]

  private static let sourceFields: [Field<Configuration>] =
    [
      Field("metrics.listen", \.metrics.listen, Form.listenAddress.or(off: "")),
      Field("metrics.textfile", \.metrics.textfile, Form.textfile.or(off: "")),
      Field("profiles.discover", \.profiles.discover, .boolean),
      Field("profiles.owners", \.profiles.owners, .boolean),
    ] + ProfileLimits.names.map(profileLimit)

  private static let keptFields: [Field<Configuration>] = [
    Field("evidence.keep", \.evidence.keep, .whole(0...10_000)),
    Field("evidence.max_bytes", \.evidence.maxBytes, .bytes(4096...1 << 30)),
    Field("reports.rate", \.reports.rate, .whole(1...1000)),
  ]

  private static func profileLimit(_ name: String) -> Field<Configuration> {
    // What is counted in bytes may be written as a size.
    let form: Form<Int> = ["samples", "depth"].contains(name) ? .whole(1...1 << 30) : .bytes(1...1 << 30)
    return Field("profiles.limits.\(name)", \.profiles.limits[name], form.optional)
  }
}

extension Form<ListenAddress> {
  fileprivate static let listenAddress = Form(
    "an address and a port, as in \"127.0.0.1:9812\" or \"[::1]:9812\"",
    read: {
      guard case .string(let text) = $0.value else { return nil }
      return ListenAddress(text)
    }, text: { TOMLText.quoted($0.description) })
}

extension Form<String> {
  // The collector takes in no file of another name.
  fileprivate static let textfile = string("an absolute path that ends with .prom") {
    $0.hasPrefix("/") && $0.hasSuffix(".prom")
  }
}

extension Duration {
  static func days(_ count: Int) -> Duration { .seconds(count * 86_400) }
}
