// SPDX-License-Identifier: Apache-2.0
// What a watch of a few processes tells, in the words of alerts: each finding is one of its own.

import Alerts
import Detection
import Procfs

extension AlertProcess {
  package init(_ process: ProcessIdentity, userName: String, unit: String?) {
    self.init(
      pid: process.pid, startTime: process.startTime, command: process.command, executable: process.executable,
      user: userName, unit: unit)
  }
}

extension JournalEntry {
  /// - Parameter now: seconds since 1970.
  package init(_ event: DetectionEvent, of view: ProcessView, at now: Double) {
    let process = AlertProcess(view.identity, userName: view.userName, unit: view.unit)
    func told(_ word: AlertWord, _ finding: Finding, _ resolution: Resolution? = nil) -> AlertEvent {
      // Pid and start time: unique on this boot, and the same for all that is said of one leak.
      let id = "\(process.pid)-\(process.startTime)-\(finding.id)"
      let member = AlertMember(process: process, finding: finding, count: view.count, limits: view.limits)
      let alert = Alert(id: id, type: .leak, firstSeen: now, unit: view.unit, members: [member])
      return AlertEvent(word, alert, resolution: resolution)
    }
    switch event {
    case .suspected(let finding), .raised(let finding, isAlert: false): self.init(told(.suspected, finding))
    case .raised(let finding, isAlert: true): self.init(told(.alert, finding))
    case .alert(let finding): self.init(told(.alert, finding))
    case .escalated(let finding): self.init(told(.escalated, finding))
    case .attributed(let finding): self.init(told(.notice, finding))
    case .resolved(let finding, let how): self.init(told(.resolved, finding, how))
    case .notice(let notice): self.init(notice, of: process)
    }
  }
}
