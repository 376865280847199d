import Foundation
import Objects
import PluginAPI
import PluginKit
import XCTest

/// What is scheduler-binpack's own: that it packs, always the same way, by its options; and its C parts under sanitizers.
final class BinPackTests: XCTestCase {
    private typealias Make = TestObjects

    private func scheduler(_ options: String = "{}", _ nodes: JSON...) throws -> SchedulerInstance {
        let scheduler = try SchedulerInstance(.binPack, options: options)
        try scheduler.activate()
        for node in nodes { try scheduler.client.set(node: node) }
        return scheduler
    }

    private func places(_ scheduler: SchedulerInstance, _ pods: [JSON]) throws -> [String] {
        try pods.enumerated().map { index, pod in
            if case .place(let node) = try scheduler.client.schedule(pod, "p\(index)") { node } else { "-" }
        }
    }

    func testOneNodeIsFilledAfterAnother() throws {
        let nodes = ["c", "a", "b"].map { Make.node($0, cpu: "1") }
        let pods = Array(repeating: Make.pod(requests: ["cpu": "300m", "memory": "100Mi"]), count: 10)
        let expected = ["a", "a", "a", "b", "b", "b", "c", "c", "c", "-"]
        XCTAssertEqual(try places(try scheduler("{}", nodes[0], nodes[1], nodes[2]), pods), expected)
        XCTAssertEqual(try places(try scheduler("{}", nodes[2], nodes[0], nodes[1]), pods), expected, "in any order")
    }

    func testTheFullestNodeThatFitsIsTaken() throws {
        let scheduler = try scheduler("{}", Make.node("a"), Make.node("b"), Make.node("c"))
        try scheduler.client.set(pod: Make.pod(requests: ["cpu": "3500m"]), "x", on: "c")
        try scheduler.client.set(pod: Make.pod(requests: ["cpu": "2"]), "y", on: "b")
        XCTAssertEqual(
            try places(scheduler, [Make.pod(requests: ["cpu": "1"]), Make.pod(requests: ["cpu": "500m"])]), ["b", "c"])
    }

    func testOptions() throws {
        let (big, small) = (
            Make.node("big", cpu: "8", memory: "1Gi", extended: ["x.io/y": "10"]),
            Make.node("small", cpu: "1", memory: "64Gi", extended: ["x.io/y": "2"])
        )
        let pod = Make.pod(requests: ["cpu": "500m", "memory": "512Mi", "x.io/y": "1"])
        let rows: [(String, String)] = [
            (#"{"resources":[{"name":"cpu"}]}"#, "small"), (#"{"resources":[{"name":"memory","weight":5}]}"#, "big"),
            (#"{"resources":[{"name":"x.io/y"},{"name":"memory"}]}"#, "big"),
            (#"{"resources":[{"name":"x.io/y","weight":100},{"name":"memory"}]}"#, "small"),
            (#"{"resources":[{"name":"ephemeral-storage"}]}"#, "big"), (#"{"packing":0}"#, "big"),
        ]
        for (options, node) in rows {
            XCTAssertEqual(try places(try scheduler(options, big, small), [pod]), [node], options)
        }
        for options in [#"{"packing":101}"#, #"{"taints":-1}"#, #"{"resources":[{}]}"#, #"{"spread":"2"}"#] {
            XCTAssertThrowsError(try SchedulerInstance(.binPack, options: options), options) {
                XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_INVALID_ARGUMENT, options)
            }
        }
    }

    func testWishesCountAgainstPacking() throws {
        func wishing(_ weight: Int64) -> JSON {
            let preference: JSON = ["matchExpressions": [["key": "disk", "operator": "Exists"]]]
            return Make.pod([
                "affinity": [
                    "nodeAffinity": [
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            ["weight": .integer(weight), "preference": preference]
                        ]
                    ]
                ]
            ])
        }
        let nodes = [Make.node("a"), Make.node("liked", labels: ["disk": "ssd"])]
        XCTAssertEqual(try places(try scheduler("{}", nodes[0], nodes[1]), [wishing(1)]), ["liked"])
        XCTAssertEqual(try places(try scheduler(#"{"nodeAffinity":0}"#, nodes[0], nodes[1]), [wishing(100)]), ["a"])
        let company: JSON = ["weight": 10, "podAffinityTerm": Make.term("kubernetes.io/hostname", ["app": "db"])]
        let scheduler = try scheduler("{}", nodes[0], nodes[1])
        try scheduler.client.set(pod: Make.pod(labels: ["app": "db"]), "db", on: "liked")
        try scheduler.client.set(pod: Make.pod(labels: ["app": "x"]), "x", on: "a")
        let social = { (kind: String) -> JSON in
            Make.pod(["affinity": [kind: ["preferredDuringSchedulingIgnoredDuringExecution": [company]]]])
        }
        XCTAssertEqual(try places(scheduler, [social("podAffinity")]), ["liked"])
        try scheduler.client.podRemove("p0")
        XCTAssertEqual(try places(scheduler, [social("podAntiAffinity")]), ["a"])
        try scheduler.client.podRemove("p0")
        try scheduler.client.set(pod: social("podAntiAffinity"), "shy", on: "a")
        XCTAssertEqual(
            try places(scheduler, [Make.pod(labels: ["app": "db"])]), ["liked"],
            "whom those on a node would rather not have")
    }

    func testLifeCycleIsKept() throws {
        let scheduler = try SchedulerInstance(.binPack)
        XCTAssertThrowsError(try scheduler.client.reset(), "not active yet") {
            XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_WRONG_STATE)
        }
        try scheduler.activate()
        XCTAssertThrowsError(try scheduler.activate(), "twice")
        XCTAssertThrowsError(try scheduler.importState(scheduler.exportState()), "active already") {
            XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_WRONG_STATE)
        }
        try scheduler.client.set(node: Make.node("a"))
        try scheduler.deactivate()
        try scheduler.activate()
        XCTAssertEqual(
            try scheduler.client.schedule(Make.pod(), "p"), .refuse(nodes: 0, refusals: []),
            "it has forgotten everything")
    }

    /// Tables of JSON and quantities, and thousands of damaged objects and states.
    func testItsPartsUnderSanitizers() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("binpack-\(getpid())").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let root = BinPackImage.root
        let sources = try FileManager.default.contentsOfDirectory(atPath: "\(root)/Plugins/SchedulerBinPack/Sources")
            .filter { $0.hasSuffix(".c") }.map { "\(root)/Plugins/SchedulerBinPack/Sources/\($0)" }
        let common =
            [
                "-std=gnu11", "-fwrapv", "-g", "-O1", "-pthread", "-I\(root)/Sources/PluginAPI/include",
                "-I\(root)/Plugins/SchedulerBinPack/Sources", "-o", "\(directory)/check",
                "\(root)/Tests/Fixtures/SchedulerBinPack/check.c",
            ] + sources
        var built = try BinPackImage.run(
            ["cc", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] + common)
        // A compiler without sanitizers still makes the tables.
        if built.status != 0 { built = try BinPackImage.run(["cc"] + common) }
        XCTAssertEqual(built.status, 0, built.text)
        let checked = try BinPackImage.run(["\(directory)/check", "20000", "\(Int.random(in: 1...1_000_000))"])
        XCTAssertEqual(checked.status, 0, checked.text)
    }

    func testNothingButTheEntryIsExported() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("exports-\(getpid()).so").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        XCTAssertEqual(try BinPackImage.run(["\(BinPackImage.root)/Plugins/SchedulerBinPack/build", path]).status, 0)
        let symbols = try BinPackImage.run(["nm", "-D", "--defined-only", path]).text
        XCTAssertEqual(
            symbols.split(separator: "\n").map { $0.split(separator: " ").last ?? "" }, ["hostd_plugin_entry"])
        let needed = try BinPackImage.run(["readelf", "-d", path]).text
        let libraries = needed.split(separator: "\n").filter { $0.contains("(NEEDED)") }
        XCTAssertTrue(libraries.allSatisfy { $0.contains("[libc.so") }, needed)
    }
}
