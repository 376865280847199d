// swift-tools-version: 6.2
//
// hostd: a Kubernetes-API-compatible container orchestrator whose parts are plugins behind one C ABI.
//
// To build only a part while working on it, name targets: HOSTD_TARGETS=Network swift build --build-tests
// keeps only the products and test targets whose names begin with one of the names given (comma-separated).

import Foundation
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
/// What is part of a running hostd does without two modules that Swift imports by itself, and so without their libraries: 2 MB of
/// resident memory. `Objects` searches text, and nothing is an actor or asynchronous.
let lean: [SwiftSetting] =
    strict
    + ["string-processing", "concurrency"].map {
        .unsafeFlags(["-Xfrontend", "-disable-implicit-\($0)-module-import"])
    }
/// HOSTD_SIMULATION=1 builds the kernel for the simulation; script/simulate does, in a build directory of its own.
let isSimulation = Context.environment["HOSTD_SIMULATION"] == "1"
let kernel: [SwiftSetting] = lean + (isSimulation ? [.define("SIMULATION")] : [])
/// HOSTD_THREAD_SANITIZER=1 adds what tells that sanitizer about Swift's library; script/sanitize sets it.
let isThreadSanitized = Context.environment["HOSTD_THREAD_SANITIZER"] == "1"
let strictC: [CSetting] = [.unsafeFlags(["-std=gnu2x", "-Wall", "-Wextra", "-Werror"])]
let exportsOnlyEntry: [LinkerSetting] = [
    .unsafeFlags([
        "-Xlinker", "--version-script=\(Context.packageDirectory)/Plugins/exports.map",
        "-Xlinker", "-rpath=$ORIGIN/../lib",
    ])
]

/// One C library from the system, described by the module map in `Sources/C<name>`.
func systemLibrary(_ name: String, pkgConfig: String, package: String) -> Target {
    .systemLibrary(name: name, path: "Sources/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

/// A first-party plugin: its logic as a library target that tests can link, and the one-function entry image.
/// Its tests may need more, such as the kernel's services.
func plugin(
    _ name: String, _ dependencies: [Target.Dependency] = [], tests: [Target.Dependency] = []
) -> [Target] {
    [
        .target(
            name: name, dependencies: ["PluginAPI", "PluginKit", "Objects"] + dependencies,
            path: "Plugins/\(name)/Sources", swiftSettings: lean),
        .target(
            name: "\(name)Entry", dependencies: [.target(name: name), "PluginAPI", "PluginKit"],
            path: "Plugins/\(name)/Entry", swiftSettings: lean, linkerSettings: exportsOnlyEntry),
        .testTarget(
            name: "\(name)Tests",
            dependencies: [.target(name: name), "PluginAPI", "PluginKit", "Objects"] + dependencies + tests,
            path: "Tests/\(name)Tests", swiftSettings: strict),
    ]
}

let plugins = [
    "API", "Controllers", "Node", "Scheduler", "Runtime", "RuntimeOCI", "Network", "CNI", "DNS", "Storage", "GPU",
    "Etcd",
]

var products: [Product] = [.executable(name: "hostd", targets: ["hostd"])]
products += plugins.map { .library(name: "hostd-plugin-\($0)", type: .dynamic, targets: ["\($0)Entry"]) }

var targets: [Target] = [
    .systemLibrary(name: "CEpoll", path: "Sources/CEpoll"),
    .systemLibrary(name: "CTurns", path: "Sources/CTurns"),
    systemLibrary("CFFI", pkgConfig: "libffi", package: "libffi-dev"),
    systemLibrary("CYAML", pkgConfig: "yaml-0.1", package: "libyaml-dev"),
    systemLibrary("CBPF", pkgConfig: "libbpf", package: "libbpf-dev"),
    systemLibrary("COpenSSL", pkgConfig: "openssl", package: "libssl-dev"),
    systemLibrary("CSeccomp", pkgConfig: "libseccomp", package: "libseccomp-dev"),
    systemLibrary("CZlib", pkgConfig: "zlib", package: "zlib1g-dev"),
    systemLibrary("CNGHTTP2", pkgConfig: "libnghttp2", package: "libnghttp2-dev"),
    systemLibrary("CZstd", pkgConfig: "libzstd", package: "libzstd-dev"),

    .target(name: "PluginAPI", path: "Sources/PluginAPI", cSettings: strictC),
    .target(
        name: "PluginKit", dependencies: ["PluginAPI", "Objects"], path: "Sources/PluginKit", swiftSettings: lean),
    .target(name: "Objects", path: "Sources/Objects", swiftSettings: lean),
    .target(name: "CEL", dependencies: ["Objects"], path: "Sources/CEL", swiftSettings: lean),
    .target(name: "CObjectSchema", path: "Sources/CObjectSchema", cSettings: strictC),
    .target(
        name: "ObjectSchema", dependencies: ["Objects", "CObjectSchema", "CEL"], path: "Sources/ObjectSchema",
        swiftSettings: lean),
    .target(
        name: "FieldManagement", dependencies: ["Objects", "ObjectSchema"], path: "Sources/FieldManagement",
        swiftSettings: lean),
    .target(
        name: "ObjectYAML", dependencies: ["Objects", "CYAML"], path: "Sources/ObjectYAML", swiftSettings: lean),
    .target(name: "CProcess", path: "Sources/CProcess", cSettings: strictC),
    .target(name: "CRuntime", path: "Sources/CRuntime", cSettings: strictC),
    .target(
        name: "Containers", dependencies: ["PluginKit", "Objects", "CRuntime", "CZlib", "CZstd", "COpenSSL"],
        path: "Sources/Containers", swiftSettings: lean),
    .target(
        name: "PodNetworking", dependencies: ["PluginAPI", "PluginKit", "Objects", "CProcess"],
        path: "Sources/PodNetworking", swiftSettings: lean),
    .target(name: "CInterposer", dependencies: ["CFFI", "PluginAPI"], path: "Sources/CInterposer", cSettings: strictC),
    .target(
        name: "CIsolation", dependencies: ["CFFI", "CInterposer", "PluginAPI"], path: "Sources/CIsolation",
        cSettings: strictC),
    .target(name: "CStateStore", path: "Sources/CStateStore", cSettings: strictC),
    .target(
        name: "CPluginCheck", dependencies: ["CFFI", "CInterposer", "PluginAPI"], path: "Sources/CPluginCheck",
        cSettings: strictC),
    .target(
        name: "Kernel",
        dependencies: [
            "PluginAPI", "Objects", "CProcess", "CInterposer", "CIsolation", "CStateStore", "CTurns", "CYAML",
            "COpenSSL",
        ] + (isThreadSanitized ? ["CThreadSanitizer"] : []),
        path: "Sources/Kernel",
        exclude: [
            "README.md", "Configuration/README.md", "Control/README.md", "PluginHost/README.md", "StateStore/README.md",
            "EventBus/README.md", "Election/README.md", "Reconcile/README.md",
        ],
        swiftSettings: kernel),
    .target(name: "CSimulation", path: "Sources/CSimulation", cSettings: strictC),
    .target(
        name: "Simulation", dependencies: ["Kernel", "Objects", "PluginAPI", "CSimulation"], path: "Sources/Simulation",
        swiftSettings: kernel),
    .target(
        name: "CAllocator", path: "Sources/CAllocator", cSettings: strictC,
        linkerSettings: [.linkedLibrary("jemalloc")]),
    .executableTarget(
        name: "hostd", dependencies: ["Kernel", "CAllocator"], path: "Sources/hostd", swiftSettings: lean,
        linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib"])]),

    .target(name: "Quotas", dependencies: ["Objects"], path: "Sources/Quotas", swiftSettings: lean),
    .target(
        name: "StoreContract", dependencies: ["PluginAPI", "PluginKit", "Objects"], path: "Sources/StoreContract",
        swiftSettings: lean),
    .executableTarget(
        name: "PluginCheck", dependencies: ["Kernel", "CPluginCheck", "CInterposer", "PluginAPI", "StoreContract"],
        path: "Sources/PluginCheck", swiftSettings: lean,
        linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib"])]),

    .executableTarget(
        name: "ObjectsBenchmark", dependencies: ["Objects", "ObjectSchema"], path: "Benchmarks/Objects",
        swiftSettings: strict),
    .target(
        name: "CIdleScheduler", dependencies: ["PluginAPI"], path: "Benchmarks/Interposer/Provider",
        cSettings: strictC),
    .executableTarget(
        name: "InterposerBenchmark", dependencies: ["CIdleScheduler", "CInterposer", "PluginAPI", "PluginKit"],
        path: "Benchmarks/Interposer/Sources",
        swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])],
        linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib"])]),
    .target(name: "BenchmarkReport", path: "Benchmarks/Report", swiftSettings: lean),
    .target(
        name: "CEtcdLoad", dependencies: ["CNGHTTP2"], path: "Benchmarks/Store/EtcdLoad", cSettings: strictC),
    .target(name: "CGroupCommit", path: "Benchmarks/Store/GroupCommit", cSettings: strictC),
    .executableTarget(
        name: "StoreBenchmark",
        dependencies: ["Kernel", "CAllocator", "PluginAPI", "BenchmarkReport", "CEtcdLoad", "CGroupCommit"],
        path: "Benchmarks/Store/Sources", swiftSettings: strict,
        linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib"])]),
    .executableTarget(
        name: "EventsBenchmark", dependencies: ["Kernel", "PluginAPI", "BenchmarkReport"], path: "Benchmarks/Events",
        swiftSettings: strict, linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib"])]),
    .executableTarget(
        name: "EventLatencyBenchmark", dependencies: ["COpenSSL", "BenchmarkReport"], path: "Benchmarks/EventLatency",
        swiftSettings: strict),
    .executableTarget(
        name: "ReconcileBenchmark", dependencies: ["Kernel", "PluginAPI", "BenchmarkReport"],
        path: "Benchmarks/Reconcile",
        swiftSettings: strict, linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib"])]),

    .executableTarget(
        name: "StoreCrash", dependencies: ["Kernel", "PluginAPI", "PluginKit", "Objects"], path: "Tests/StoreCrash",
        swiftSettings: strict, linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib"])]),

    .testTarget(name: "CELTests", dependencies: ["CEL", "Objects"], path: "Tests/CELTests", swiftSettings: strict),
    .testTarget(name: "ObjectsTests", dependencies: ["Objects"], path: "Tests/ObjectsTests", swiftSettings: strict),
    .testTarget(
        name: "ObjectSchemaTests", dependencies: ["ObjectSchema", "Objects"], path: "Tests/ObjectSchemaTests",
        swiftSettings: strict),
    .testTarget(
        name: "FieldManagementTests", dependencies: ["FieldManagement", "ObjectSchema", "Objects"],
        path: "Tests/FieldManagementTests", swiftSettings: strict),
    .testTarget(
        name: "QuotasTests", dependencies: ["Quotas", "Objects"], path: "Tests/QuotasTests", swiftSettings: strict),
    .testTarget(
        name: "ObjectYAMLTests", dependencies: ["ObjectYAML", "Objects"], path: "Tests/ObjectYAMLTests",
        swiftSettings: strict),
    .testTarget(
        name: "PluginKitTests", dependencies: ["PluginKit", "PluginAPI", "Objects"], path: "Tests/PluginKitTests",
        swiftSettings: strict),
    .testTarget(
        name: "KernelTests",
        dependencies: ["Kernel", "CInterposer", "CProcess", "PluginAPI", "Objects", "CStateStore", "StoreContract"],
        path: "Tests/KernelTests",
        swiftSettings: strict),
    .testTarget(
        name: "SimulationTests", dependencies: ["Simulation", "Kernel", "PluginAPI"], path: "Tests/SimulationTests",
        swiftSettings: strict + (isSimulation ? [.define("SIMULATION")] : [])),
    .testTarget(
        name: "PluginCheckTests", dependencies: ["PluginAPI", "Objects"], path: "Tests/PluginCheckTests",
        swiftSettings: strict),
]
targets += plugin(
    "API",
    [
        "CEL", "FieldManagement", "Quotas", "ObjectSchema", "ObjectYAML", "COpenSSL", "CEpoll", "CTurns", "CZlib",
        "CNGHTTP2",
    ],
    tests: ["Kernel"])
targets += plugin("Controllers", ["CEL", "Quotas"])
targets += plugin("Node", ["CEpoll", "COpenSSL", "CProcess"])
targets += plugin("Scheduler", tests: ["Kernel"])
targets += plugin("Runtime", ["Containers", "CRuntime", "CSeccomp"], tests: ["RuntimeOCI", "CZlib", "CZstd"])
targets += plugin("RuntimeOCI", ["Containers", "CRuntime"])
targets.append(
    .executableTarget(
        name: "SchedulerBenchmark", dependencies: ["Scheduler", "Objects"], path: "Benchmarks/Scheduler",
        swiftSettings: strict))
targets += plugin("Network", ["CBPF", "PodNetworking"])
targets += plugin("CNI", ["PodNetworking", "CProcess"], tests: ["Network"])
targets += plugin("DNS", ["CEpoll"])
targets += plugin("Storage")
targets += plugin("Etcd", ["CEpoll", "COpenSSL", "CNGHTTP2"], tests: ["Kernel", "StoreContract"])
targets += plugin("GPU")

if isSimulation {
    targets.append(
        .executableTarget(
            name: "Simulate", dependencies: ["Simulation", "Kernel"], path: "Sources/Simulate", swiftSettings: kernel))
}

if isThreadSanitized {
    targets += [
        .target(name: "CThreadSanitizer", path: "Tests/ThreadSanitizer/Library", cSettings: strictC),
        .executableTarget(
            name: "PlantedRaces", dependencies: ["CThreadSanitizer"], path: "Tests/ThreadSanitizer/Races",
            swiftSettings: strict),
    ]
}

// Fuzzing needs libFuzzer, and everything instrumented: script/fuzz sets this.
if let library = Context.environment["HOSTD_FUZZ"] {
    products.append(.executable(name: "Fuzz", targets: ["Fuzz"]))
    targets += [
        .systemLibrary(name: "CFuzz", path: "Sources/CFuzz"),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CFuzz", "CStateStore", "Kernel", "Objects", "ObjectYAML", "ObjectSchema", "FieldManagement", "API",
                "PluginAPI",
            ],
            path: "Tests/Fuzz", exclude: ["corpus"], swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-Xlinker", library]), .linkedLibrary("stdc++")]),
    ]
}

if let only = Context.environment["HOSTD_TARGETS"]?.split(separator: ",").map(String.init), !only.isEmpty {
    func wanted(_ name: String) -> Bool {
        // CNI's tests swap the default network in and out.
        (name == "Network" && only.contains("CNI"))
            || only.contains { $0 == "hostd" ? name == $0 : name.hasPrefix($0) || name == "hostd-plugin-\($0)" }
    }
    products.removeAll { !wanted($0.name) }
    targets.removeAll { $0.type == .test && !wanted($0.name) }
    targets.removeAll { target in
        plugins.contains { (target.name == "\($0)Entry" || target.name == $0) && !wanted($0) }
            && !(target.name == "API" && only.contains("Fuzz"))
    }
    targets.removeAll { $0.type == .executable && !wanted($0.name) }
}

// READMEs and texts that C embeds are no sources.
for target in targets {
    guard let path = target.path,
        let files = FileManager.default.enumerator(atPath: "\(Context.packageDirectory)/\(path)")
    else { continue }
    target.exclude += files.compactMap { $0 as? String }.filter { $0.hasSuffix(".md") || $0.hasSuffix(".txt") }
}

let package = Package(name: "hostd", products: products, targets: targets, swiftLanguageModes: [.v6])
