import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

/// A table made for a provider, used through the client: what goes in one end comes out of the other.
final class RoleTableTests: XCTestCase {
    private final class Network: NetworkProvider {
        func status(_ request: JSON, deadline: UInt64) throws -> JSON {
            ["ready": true, "deadline": .integer(Int64(deadline))]
        }
        func attach(_ request: JSON, deadline: UInt64) throws -> JSON { ["echo": request] }
        func check(_ request: JSON, deadline: UInt64) throws -> JSON { throw PluginError.notFound("no link eth0") }
        func detach(_ request: JSON, deadline: UInt64) throws -> JSON {
            throw PluginError.unavailable("the kernel is busy", retryDelay: 250)
        }
        func collectGarbage(_ request: JSON, deadline: UInt64) throws -> JSON { throw Unforeseen.event }
        func servicesSet(_ request: JSON, deadline: UInt64) throws -> JSON { [:] }
        func policiesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
            throw PluginError.invalid(String(repeating: "x", count: 100_000))
        }
        enum Unforeseen: Error { case event }
    }

    private func client() -> NetworkClient {
        let table = RoleTable.network(Network())
        return NetworkClient(UnsafeRawPointer(table).assumingMemoryBound(to: hostd_network_1.self))
    }

    func testHeadOfTheTable() {
        let table = RoleTable.network(Network())
        XCTAssertEqual(String(cString: table.pointee.id), HOSTD_NETWORK_1)
        XCTAssertEqual(String(cString: table.pointee.slots), HOSTD_NETWORK_1_SLOTS)
        XCTAssertEqual(table.pointee.struct_size, UInt32(MemoryLayout<hostd_network_1>.size))
    }

    func testRequestsAndResponses() throws {
        XCTAssertEqual(try client().status([:], deadline: 7), ["ready": true, "deadline": 7])
        XCTAssertEqual(try client().attach(["a": ["ü", 1, nil]], deadline: 0), ["echo": ["a": ["ü", 1, nil]]])
    }

    func testErrorsKeepCodeMessageAndRetry() {
        let rows: [(String, Int32, Bool, UInt32, (NetworkClient) throws -> JSON)] = [
            ("no link eth0", HOSTD_ERROR_NOT_FOUND, false, 0, { try $0.check([:], deadline: 0) }),
            ("the kernel is busy", HOSTD_ERROR_UNAVAILABLE, true, 250, { try $0.detach([:], deadline: 0) }),
            ("event", HOSTD_ERROR_INTERNAL, false, 0, { try $0.collectGarbage([:], deadline: 0) }),
        ]
        for (message, code, retryable, delay, call) in rows {
            XCTAssertThrowsError(try call(client())) { error in
                let error = error as? PluginError
                XCTAssertEqual(error?.message, message)
                XCTAssertEqual(error?.code, code)
                XCTAssertEqual(error?.isRetryable, retryable)
                XCTAssertEqual(error?.retryDelay, delay)
            }
        }
    }

    func testOverlongMessageIsCut() {
        XCTAssertThrowsError(try client().policiesSet([:], deadline: 0)) { error in
            XCTAssertEqual((error as? PluginError)?.message.utf8.count, Int(HOSTD_ERROR_MESSAGE_LIMIT))
        }
    }

    func testRequestThatIsNotJSONIsRefused() {
        let table = UnsafeRawPointer(RoleTable.network(Network())).assumingMemoryBound(to: hostd_network_1.self)
        XCTAssertThrowsError(
            try checkedBuffer { out, error in
                lend("{") { table.pointee.attach(table.pointee.interface.`self`, 0, $0, $1, out, error) }
            }
        ) { XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_INVALID_ARGUMENT) }
    }

    func testSchedulingDecisionsCross() throws {
        final class Scheduler: SchedulerProvider {
            let seen = Mutex<[String]>([])
            func note(_ text: String) { seen.withLock { $0.append(text) } }
            func nodeSet(_ node: hostd_scheduler_node, name: String, object: UnsafeRawBufferPointer) {
                note("node \(name) \(node.milli_cpu) \(object.count)")
            }
            func nodeRemove(_ name: String) { note("remove \(name)") }
            func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) {
                note("pod \(uid) on \(node)")
            }
            func podRemove(_ uid: String) { note("gone \(uid)") }
            func schedule(
                _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
            ) -> SchedulingDecision {
                pod.milli_cpu > 1000
                    ? .refuse(nodes: 2, refusals: [SchedulingRefusal(reason: "Insufficient cpu", nodes: 2)])
                    : .place(node: "alpha")
            }
            func reset() { note("reset") }
        }
        let provider = Scheduler()
        let table = UnsafeRawPointer(RoleTable.scheduler(provider)).assumingMemoryBound(to: hostd_scheduler_1.self)
        var pod = hostd_scheduler_pod()
        pod.struct_size = UInt32(MemoryLayout<hostd_scheduler_pod>.size)
        func schedule() throws -> JSON {
            let buffer = try checkedBuffer { out, error in
                lend("{}") { object, size in
                    lend("u1") {
                        table.pointee.schedule(
                            table.pointee.interface.`self`, 0, &pod, $0, $1, object, size, out, error)
                    }
                }
            }
            return try JSON(parsing: buffer.bytes)
        }
        XCTAssertEqual(try schedule(), ["node": "alpha"])
        pod.milli_cpu = 2000
        XCTAssertEqual(try schedule(), ["nodes": 2, "refusals": [["reason": "Insufficient cpu", "nodes": 2]]])
    }
}
