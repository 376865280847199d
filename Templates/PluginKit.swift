// swift-tools-version: 6.2
// PluginKit as a package, for plugins that are written in Swift outside of hostd's source tree.

import PackageDescription

let package = Package(
    name: "PluginKit",
    products: [.library(name: "PluginKit", type: .static, targets: ["PluginKit", "PluginAPI", "Objects"])],
    targets: [
        .target(name: "PluginAPI"),
        .target(name: "Objects", exclude: ["README.md"]),
        .target(name: "PluginKit", dependencies: ["PluginAPI", "Objects"]),
    ],
    swiftLanguageModes: [.v6])
