// swift-tools-version: 6.2
// PluginKit, hostd's library for plugins in Swift, travels with hostd as source.

import PackageDescription

let installation = Context.environment["HOSTD_INSTALLATION"] ?? "@INSTALLATION@"

let package = Package(
    name: "@NAME@",
    products: [.library(name: "@NAME@", type: .dynamic, targets: ["@MODULE@"])],
    dependencies: [.package(path: "\(installation)/share/hostd/PluginKit")],
    targets: [
        .target(name: "CSystem"),
        .target(
            name: "@MODULE@", dependencies: ["CSystem", .product(name: "PluginKit", package: "PluginKit")],
            linkerSettings: [
                .unsafeFlags([
                    // Nothing but the entry is visible from outside.
                    "-Xlinker", "--version-script=\(Context.packageDirectory)/exports.map",
                    // Swift's own libraries: those that hostd brought, as it has them open already.
                    "-Xlinker", "-rpath=\(installation)/lib",
                ])
            ]),
    ],
    swiftLanguageModes: [.v6])
