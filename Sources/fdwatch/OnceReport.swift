// SPDX-License-Identifier: Apache-2.0
// What `--once` prints: who the process is, how much it has open, and of what.

import Descriptors
import Detection
import Procfs
import Trace
import Watch

struct OnceReport {
  private var process: ProcessView

  init(_ process: ProcessView) {
    self.process = process
    // One look knows no suspicion: the largest class comes first.
    self.process.classes.sort { ($0.open, $1.kind.rawValue) > ($1.open, $0.kind.rawValue) }
  }

  func text(style: TextStyle) -> String {
    let unit = process.unit.map { "  unit \($0.printable)" } ?? ""
    let head = "\(process.name)  user \(process.userName.printable)\(unit)"
    let table = process.classTable(withRates: false).lines(width: nil)
    return ([style.bold(head), "\(process.usage) open", style.dim(table.title)] + table.rows).joined(separator: "\n")
  }

  var json: String {
    var object = JSONObject()
    object.add("event", "look")
    object.add("pid", process.identity.pid)
    object.add("comm", process.identity.command)
    object.add("user", process.userName)
    object.add("unit", process.unit)
    object.add("count", process.count)
    object.add("soft_limit", process.limits.soft)
    object.add("hard_limit", process.limits.hard)
    let classes = process.classes.map { report in
      var row = JSONObject()
      row.add("kind", report.kind.rawValue)
      row.add("target", report.target)
      row.add("open", report.open)
      return row.line
    }
    object.add("classes", json: "[" + classes.joined(separator: ",") + "]")
    return object.line
  }
}
