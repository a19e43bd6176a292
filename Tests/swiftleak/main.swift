// SPDX-License-Identifier: Apache-2.0
// A Swift program that leaks: by itself, or on request.
//
//   swiftleak SITE PER_SECOND LIMIT FOLDER
//                                      leaks at the site, beside ordinary work if the limit is 150 or more, once "ready" was answered by a line
//   swiftleak                          heeds standard input: "a", "b", "c" leak one and are answered with "ok";
//                                      "others" holds by a guard, a Tracked, a token and a number;
//                                      "fill" leaks until there is no descriptor left, "deadlock" hangs every thread

import Glibc
import LeakProfile

func say(_ text: String) {
  print(text)
  fflush(nil)
}

func limit(_ count: UInt) {
  var limits = rlimit(rlim_cur: count, rlim_max: count)
  _ = unsafe setrlimit(__rlimit_resource_t(7), &limits)
}

func pause(seconds: Double) {
  var time = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
  unsafe nanosleep(&time, nil)
}

@inline(never) func serve(_ held: inout [Handle]) {
  guard let handle = opened(by: "work") else { return }
  held.append(handle)
  if held.count > 12 { held.removeFirst().close() }
}

var leaked: [Handle] = []

if CommandLine.arguments.count == 5, let perSecond = Double(CommandLine.arguments[2]) {
  let most = UInt(CommandLine.arguments[3]) ?? 240
  let isNarrow = most < 150
  limit(most)
  var held: [Handle] = []
  for turn in 0..<40 {
    serve(&held)
    if turn > 20 { pause(seconds: 0.05) }
  }
  say("ready")
  _ = readLine()
  while true {
    if let handle = leak(at: CommandLine.arguments[1].prefix(1)) { leaked.append(handle) }
    // With little room there would be none for it soon.
    if !isNarrow { serve(&held) }
    pause(seconds: 1 / perSecond)
  }
}

limit(120)
while let line = readLine() {
  switch line {
  case "fill":
    while let handle = leak(at: "a") { leaked.append(handle) }
    say("full")
  case "others":
    guardedSite()
    trackedSite()
    tokenSite()
    numberSite()
    say("ok")
  case "deadlock":
    let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_mutex_lock(lock)
    say("hanging")
    unsafe pthread_mutex_lock(lock)
  default:
    if let handle = leak(at: line.prefix(1)) { leaked.append(handle) }
    say("ok")
  }
}
