// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// A package of its own, so that who builds fdwatch does not build this. The modules under test are links to its
// sources: that is how they are reached without being made public.

import PackageDescription

let settings: [SwiftSetting] = [.swiftLanguageMode(.v6)]

func module(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
  .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
  name: "fdwatch-benchmarks",
  targets: [
    .target(name: "CLinux"),
    .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
    module("Descriptors"),
    module("Linux", ["CLinux"]),
    module("Procfs", ["Descriptors", "Linux"]),
    module("Detection", ["Descriptors"], exclude: ["README.md"]),
    module("Trace", ["Descriptors", "Detection", "CZlib"]),
    module("Alerts", ["Descriptors", "Detection", "Trace"]),
    module("Systemd", ["CSystemd", "CLinux", "Descriptors", "Linux"]),
    .target(name: "CCurl", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CElfutils", linkerSettings: [.linkedLibrary("dl")]),
    module("Pprof", ["CZlib"]),
    module("Attribution", ["Descriptors", "Detection"], exclude: ["README.md"]),
    module("Symbols", ["Linux", "Pprof", "CElfutils"]),
    .target(name: "CLeakProfile"),
    module("LeakProfile", ["CLeakProfile"]),
    module("LeakTable", ["Linux", "Pprof"]),
    module("Parsing", ["Linux", "Procfs", "Pprof", "LeakTable", "Symbols"]),
    module("Profiles", ["Descriptors", "Linux", "Procfs", "Pprof", "LeakTable", "Parsing", "CCurl"]),
    module("Watch", ["Procfs", "Detection", "Attribution", "Trace", "Alerts", "Systemd", "Profiles", "Parsing"]),

    .executableTarget(name: "fdfactory"),
    // A host full of processes.
    .executableTarget(name: "herd"),
    // The kernel's floor: the same system calls in a C loop.
    .target(name: "CPeer", cSettings: [.unsafeFlags(["-O2"])]),
    .executableTarget(
      name: "fdwatch-bench", dependencies: ["CPeer", "Watch", "LeakProfile", "fdfactory", "herd"],
      swiftSettings: settings),
  ]
)
