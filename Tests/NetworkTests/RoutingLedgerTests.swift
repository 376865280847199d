import Glibc
import Objects
import PluginKit
import XCTest

@testable import PodNetworking

/// What is written down of routing paths, and what is removed on whose word.
final class RoutingLedgerTests: XCTestCase {
    private var directory = ""
    private var ledger: RoutingLedger { RoutingLedger(dataDirectory: directory) }

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-ledger-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
        FakeHost.state.withLock { $0 = FakeHost.State() }
    }

    override func tearDownWithError() throws { try shell("rm -rf \(directory)") }

    private func tables() throws -> [String] {
        try shell("nft list tables").split(separator: "\n").map { String($0.dropFirst(9)) }.sorted()
    }

    func testPathsAreKeptUntilTheyAreForgotten() throws {
        XCTAssertEqual(try ledger.others(than: "hostd"), [])
        let own = RoutingPath(table: "hostd", pins: ["/sys/fs/bpf/hostd-1/a"])
        try ledger.record(own)
        try ledger.record(RoutingPath(table: "hostd-cni"))
        XCTAssertTrue(ledger.contains(table: "hostd"))
        XCTAssertEqual(try ledger.others(than: "hostd-cni"), [own])
        try AtomicFile.write(Array("{".utf8), to: "\(directory)/pod-network/routing/bad.json")
        XCTAssertEqual(try ledger.others(than: "none").count, 2, "what cannot be read names nothing")
        XCTAssertEqual(access("\(directory)/pod-network/routing/bad.json", F_OK), -1)
        try ledger.forget(own)
        try ledger.forget(own)
        XCTAssertFalse(ledger.contains(table: "hostd"))
    }

    func testOnlyPinsAndTablesOfHostdAreRemoved() throws {
        for table in ["", "filter", "hostd/../x", "hostd x"] {
            XCTAssertNil(RoutingPath(["table": .string(table)]), table)
        }
        XCTAssertNil(RoutingPath(["table": "hostd", "pins": ["relative"]]))
        let thread = try NamespaceThread()
        defer { thread.end() }
        try thread.run {
            try AtomicFile.write([1], to: "\(directory)/precious")
            try shell("nft add table ip hostd-old; nft add table ip filter")
            let path = RoutingPath(table: "hostd-old", pins: ["\(directory)/precious"])
            XCTAssertThrowsError(try ledger.dismantle(path)) { XCTAssertTrue("\($0)".contains("no pin"), "\($0)") }
            XCTAssertEqual(access("\(directory)/precious", F_OK), 0)
            XCTAssertEqual(try tables(), ["filter", "hostd-old"])
            try ledger.dismantle(RoutingPath(table: "hostd-old", pins: ["\(directory)/gone"]))
            try ledger.dismantle(RoutingPath(table: "hostd-old"))
            XCTAssertEqual(try tables(), ["filter"])
        }
    }

    func testWhoRemovesWhat() throws {
        let thread = try NamespaceThread()
        defer { thread.end() }
        try thread.run {
            let log = try FakeHost.make().log
            func makeTable(_ name: String) throws { try shell("nft add table ip \(name)") }
            // Alone: an end leaves everything.
            let first = try Takeover(ledger: ledger, table: "hostd", imported: [])
            try makeTable("hostd")
            XCTAssertFalse(first.isPending)
            try first.end()
            XCTAssertEqual(try tables(), ["hostd"])
            // A second one that is never in charge takes its own away.
            let second = try Takeover(ledger: ledger, table: "hostd-cni", imported: [first.own])
            try makeTable("hostd-cni")
            XCTAssertTrue(second.isPending)
            try second.end()
            XCTAssertEqual(try tables(), ["hostd"])
            // One that is in charge takes the other's away, and leaves its own.
            let third = try Takeover(ledger: ledger, table: "hostd-cni", imported: [first.own])
            try makeTable("hostd-cni")
            third.complete(log: log)
            XCTAssertFalse(third.isPending)
            try third.end()
            XCTAssertEqual(try tables(), ["hostd-cni"])
            // After a crash in between the table of an earlier run goes on, whatever ends now.
            try ledger.record(RoutingPath(table: "hostd"))
            try makeTable("hostd")
            let restarted = try Takeover(ledger: ledger, table: "hostd-cni", imported: [])
            XCTAssertTrue(restarted.isPending)
            try restarted.end()
            XCTAssertEqual(try tables(), ["hostd", "hostd-cni"])
            // A provider of somebody else's says what it has in its state alone.
            let foreign = try Takeover(
                ledger: ledger, table: "hostd-cni", imported: [RoutingPath(table: "hostd-example.com")])
            try makeTable("hostd-example.com")
            foreign.complete(log: log)
            XCTAssertEqual(try tables(), ["hostd-cni"])
        }
    }
}
