// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// A Swift module, and what it may import: only what stands above it in this list.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A suite. It depends on what it runs as a child too, so that the build makes that first.
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + ["fdfactory", "fdwatch"], exclude: exclude, swiftSettings: settings)
}

let package = Package(
  name: "fdwatch",
  products: [
    .executable(name: "fdwatch", targets: ["fdwatch"]),
    // What a program links to export its own profile, in Swift and in C.
    .library(name: "LeakProfile", targets: ["LeakProfile"]),
    .library(name: "CLeakProfile", targets: ["CLeakProfile"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // C: headers and the few shims for what Swift cannot import.
    .target(name: "CLinux"),
    .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
    .target(name: "CCurl", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CElfutils", linkerSettings: [.linkedLibrary("dl")]),
    // The BPF program itself is in `bpf`, and compiled apart: `make openers-skeleton`.
    .target(name: "COpeners", exclude: ["bpf/openers.bpf.c"]),
    .target(name: "CToml"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

    module("Descriptors"),
    module("Linux", ["CLinux"]),
    module("Procfs", ["Descriptors", "Linux"]),
    module("Usage", ["Descriptors", "Linux", "Procfs"]),
    module("Pprof", ["CZlib"]),
    .target(
      name: "Detection", dependencies: ["Descriptors"], exclude: ["README.md"], swiftSettings: settings),
    .target(
      name: "Attribution", dependencies: ["Descriptors", "Detection"], exclude: ["README.md"], swiftSettings: settings),
    module("Trace", ["Descriptors", "Detection", "CZlib"]),
    module("Alerts", ["Descriptors", "Detection", "Trace"]),
    module("Systemd", ["CSystemd", "CLinux", "Descriptors", "Linux"]),
    module("LeakTable", ["Linux", "Pprof"]),
    module("Symbols", ["Linux", "Pprof", "CElfutils"]),
    module("Parsing", ["Linux", "Procfs", "Pprof", "LeakTable", "Symbols"]),
    module("Openers", ["Descriptors", "Linux", "Procfs", "Parsing", "COpeners"]),
    module("Profiles", ["Descriptors", "Linux", "Procfs", "Pprof", "LeakTable", "Parsing", "CCurl"]),
    module("Config", ["Descriptors", "Linux", "Pprof", "Profiles", "Systemd", "CToml"]),
    module(
      "Watch",
      ["Procfs", "Usage", "Detection", "Attribution", "Trace", "Alerts", "Systemd", "Profiles", "Parsing", "Openers"]),
    module("Daemon", ["Watch", "Alerts", "Config"]),
    .executableTarget(
      name: "fdwatch",
      dependencies: [
        "Daemon", "CLeakProfile",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings
    ),

    // What other programs link: nothing of fdwatch's own.
    .target(name: "CLeakProfile"),
    module("LeakProfile", ["CLeakProfile"]),

    // Tests. A child that opens, leaks and closes on request.
    .executableTarget(name: "fdfactory", path: "Tests/fdfactory"),
    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    .target(
      name: "TestSupport", dependencies: ["CTestSupport", "Linux", "Procfs", "Pprof", "Parsing", "Symbols"],
      path: "Tests/TestSupport", swiftSettings: settings),
    tests("DescriptorsTests", ["Descriptors"]),
    tests("LinuxTests", ["Linux", "TestSupport"]),
    tests("ProcfsTests", ["Procfs", "TestSupport"], exclude: ["Fixtures"]),
    tests("UsageTests", ["Usage", "Detection", "Watch", "TestSupport"]),
    tests("AlertsTests", ["Alerts", "TestSupport"]),
    tests("WatchTests", ["Watch", "Parsing", "TestSupport"]),
    tests(
      "CommandTests", ["Openers", "Procfs", "Watch", "Detection", "TestSupport", "journalsend", "swiftleak"],
      exclude: ["Traces"]),
    tests("DetectionTests", ["Detection"]),
    tests("PprofTests", ["Pprof", "TestSupport"], exclude: ["Fixtures"]),
    tests("AttributionTests", ["Attribution"]),
    tests("SymbolsTests", ["Symbols", "Parsing", "TestSupport"], exclude: ["program.c"]),
    tests("ProfilesTests", ["Profiles", "Parsing", "TestSupport"]),
    tests("ParsingTests", ["Parsing", "Profiles", "Watch", "TestSupport"]),
    tests("OpenersTests", ["Openers", "Parsing", "Symbols", "TestSupport"], exclude: ["Programs"]),
    tests("ConfigTests", ["Config", "TestSupport"]),
    // Programs that link LeakProfile.
    .executableTarget(
      name: "swiftleak", dependencies: ["LeakProfile"], path: "Tests/swiftleak", swiftSettings: settings),
    .executableTarget(name: "leakstress", dependencies: ["CLeakProfile"], path: "Tests/leakstress"),
    .executableTarget(
      name: "example-server", dependencies: ["LeakProfile"], path: "Examples/swift", swiftSettings: settings),
    tests("LeakProfileTests", ["LeakProfile", "Pprof", "TestSupport", "swiftleak"]),
    tests(
      "LeakTableTests",
      ["LeakTable", "Attribution", "Linux", "Symbols", "TestSupport", "swiftleak", "leakstress", "example-server"]),
    tests("TraceTests", ["Trace", "TestSupport"]),
    // Sends to the journal, in the mount namespace where a test puts it.
    .executableTarget(
      name: "journalsend", dependencies: ["Systemd"], path: "Tests/journalsend", swiftSettings: settings),
    // Speaks to a service manager, where one is.
    .executableTarget(name: "bustool", dependencies: ["Systemd"], path: "Tests/bustool", swiftSettings: settings),
    tests("SystemdTests", ["Descriptors", "Systemd", "TestSupport", "journalsend", "bustool"]),
    // What is installed: units, catalog, manual, hooks, rules; and the package where a real systemd runs.
    tests("PackagingTests", ["Descriptors", "Systemd", "TestSupport"]),
    tests("DaemonTests", ["Daemon", "TestSupport"]),
    tests("ContainerTests", ["TestSupport"]),
  ],
  cxxLanguageStandard: .cxx17
)

// Built by Tests/Fuzz/run.sh alone: it takes flags of its own.
if Context.environment["FDWATCH_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "fuzz", dependencies: ["Daemon"], path: "Tests/Fuzz", exclude: ["run.sh", "corpus"],
      swiftSettings: [.swiftLanguageMode(.v6)]))
}
