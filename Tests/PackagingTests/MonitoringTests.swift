// SPDX-License-Identifier: Apache-2.0
// What is shipped for Prometheus and Grafana.

import Foundation
import TestSupport
import Testing

private let hasPromtool = Machine.canRun("promtool", "--version")

@Suite(.enabled(if: hasPromtool, "needs promtool (Debian: prometheus)")) struct `Prometheus` {
  @Test func `accepts the alerting rules`() throws {
    let path = Repository.path("packaging/prometheus/fdwatch.rules.yml")
    let verdict = try ChildProcess.run(["promtool", "check", "rules", path])
    #expect(verdict.status == .exited(0), "\(verdict.output)\(verdict.errors)")
  }

  @Test func `alerts by these rules when it shall, and only then`() throws {
    let path = Repository.path("packaging/prometheus/fdwatch.rules.test.yml")
    let verdict = try ChildProcess.run(["promtool", "test", "rules", path])
    #expect(verdict.status == .exited(0), "\(verdict.output)\(verdict.errors)")
  }

  @Test func `understands every query of the dashboard`() throws {
    let queries = try Dashboard.read().panels.flatMap { $0.targets ?? [] }.map(\.expr)
    #expect(queries.count > 15)
    // As rules, whose expressions promtool checks; a string of JSON is one of YAML, too.
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    let rules = try queries.enumerated().map { index, query in
      "  - record: query_\(index)\n    expr: \(String(decoding: try encoder.encode(query), as: UTF8.self))\n"
    }
    let file = TemporaryFile("groups:\n- name: dashboard\n  rules:\n" + rules.joined())
    let verdict = try ChildProcess.run(["promtool", "check", "rules", file.path])
    #expect(verdict.status == .exited(0), "\(verdict.output)\(verdict.errors)")
  }
}

@Suite struct `The dashboard` {
  @Test func `can be narrowed to hosts and units`() throws {
    let dashboard = try Dashboard.read()
    #expect(dashboard.templating.list.map(\.name) == ["datasource", "job", "host", "unit"])
    let queries = dashboard.panels.flatMap { $0.targets ?? [] }.map(\.expr)
    #expect(queries.allSatisfy { $0.contains("$host") })
    #expect(queries.contains { $0.contains("$unit") })
  }

  @Test func `shows panels that do not overlap`() throws {
    let panels = try Dashboard.read().panels
    #expect(Set(panels.map(\.id)).count == panels.count)
    for (index, a) in panels.enumerated() {
      for b in panels[(index + 1)...] {
        let (p, q) = (a.gridPos, b.gridPos)
        let apart = p.x + p.w <= q.x || q.x + q.w <= p.x || p.y + p.h <= q.y || q.y + q.h <= p.y
        #expect(apart, "\(a.title) and \(b.title)")
        #expect(p.x + p.w <= 24)
      }
    }
  }
}

/// A dashboard as Grafana reads it, as far as it matters here.
private struct Dashboard: Decodable {
  struct Panel: Decodable {
    var id: Int
    var title: String
    var gridPos: Place
    var targets: [Target]?
  }
  struct Place: Decodable { var x, y, w, h: Int }
  struct Target: Decodable { var expr: String }
  struct Templating: Decodable { var list: [Variable] }
  struct Variable: Decodable { var name: String }

  var panels: [Panel]
  var templating: Templating

  static func read() throws -> Dashboard {
    try JSONDecoder().decode(Dashboard.self, from: Data(try Repository.text(of: "packaging/grafana/fdwatch.json").utf8))
  }
}
