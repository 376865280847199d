import Glibc
import Kernel
import Objects
import Synchronization
import XCTest

/// What clients see when the disk under the store is full: writes are refused with the reason, reads go on, and when there
/// is space again so do writes.
final class FullDiskTests: XCTestCase {
    private final class Disk: Sendable {
        private let state = Mutex(false)
        var isFull: Bool {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }
    }

    private static let maps = "/api/v1/namespaces/default/configmaps"

    private func map(_ name: String, _ value: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)],
            "data": ["v": .string(value)],
        ]
    }

    func testWritesAreRefusedWithTheReasonAndGoOnByThemselves() throws {
        let disk = Disk()
        var files = FileOperations.system
        files.write = { descriptor, vectors, count, offset in
            // Zeros over what a refused batch left need no new space.
            guard disk.isFull, !Self.isZero(vectors, count) else {
                return pwritev(descriptor, vectors, count, offset)
            }
            errno = ENOSPC
            return -1
        }
        files.freeSpace = { path in disk.isFull ? 4096 : FileOperations.system.freeSpace(path) }
        let server = try TestServer(files: files)
        do { try check(server, disk) } catch {
            try server.stop()
            throw error
        }
        try server.stop()
    }

    private static func isZero(_ vectors: UnsafePointer<iovec>, _ count: Int32) -> Bool {
        (0..<Int(count)).allSatisfy { position in
            UnsafeRawBufferPointer(start: vectors[position].iov_base, count: vectors[position].iov_len).allSatisfy {
                $0 == 0
            }
        }
    }

    private func check(_ server: TestServer, _ disk: Disk) throws {
        XCTAssertEqual(try server.request("POST", Self.maps, map("a", "1")).status, 201)
        disk.isFull = true
        let revision = try server.request("GET", "\(Self.maps)/a").json.resourceVersion
        for (method, path, object) in [
            ("POST", Self.maps, map("b", "1")), ("PUT", "\(Self.maps)/a", map("a", "2")),
            ("DELETE", "\(Self.maps)/a", JSON.null),
        ] {
            let body: JSON? = object.isNull ? .none : object
            let refused = try server.request(method, path, body)
            XCTAssertEqual(refused.status, 507, method)
            let status = try refused.json
            XCTAssertEqual(status["kind"], "Status", method)
            XCTAssertEqual(status["status"], "Failure", method)
            XCTAssertEqual(status["reason"], "InsufficientStorage", method)
            let message = status["message"].stringValue ?? ""
            XCTAssertTrue(message.contains("disk is full"), message)
            XCTAssertTrue(message.contains("4096 bytes free"), message)
        }
        XCTAssertEqual(try server.request("GET", Self.maps).json["items"].arrayValue.count, 1, "reads go on")
        let present = try server.request("GET", "\(Self.maps)/a").json
        XCTAssertEqual(present["data"]["v"], "1", "nothing of a refused write is seen")
        XCTAssertEqual(present.resourceVersion, revision)

        disk.isFull = false
        XCTAssertEqual(try server.request("POST", Self.maps, map("b", "1")).status, 201, "writes go on by themselves")
        XCTAssertEqual(try server.request("PUT", "\(Self.maps)/a", map("a", "2")).status, 200)
        XCTAssertEqual(try server.request("GET", "\(Self.maps)/a").json["data"]["v"], "2")
    }
}
