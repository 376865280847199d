import Glibc
import Objects
import PluginKit
import XCTest

@testable import CNI
@testable import PodNetworking

final class HostLocalAddressesTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-cni-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
    }

    override func tearDownWithError() throws { try shell("rm -rf \(directory)") }

    private func list(_ management: JSON) throws -> NetworkList {
        try NetworkList(
            ["cniVersion": "1.0.0", "name": "net", "plugins": [["type": "bridge", "ipam": management]]], source: "t")
    }

    private func attachment(_ sandbox: String, _ address: String) throws -> Attachment {
        let request = try AttachmentRequest(["sandboxID": .string(sandbox), "networkNamespace": "/ns"])
        return Attachment(request, address: try XCTUnwrap(IPv4Address(parsing: address)))
    }

    func testWhereAddressesComeFrom() throws {
        XCTAssertNil(HostLocalAddresses(try list(["type": "dhcp"])))
        let plain = try XCTUnwrap(HostLocalAddresses(try list(["type": "host-local", "subnet": "10.1.2.3/16"])))
        XCTAssertEqual(plain.directory, "/var/lib/cni/networks/net")
        XCTAssertEqual(plain.ranges.map(\.description), ["10.1.0.0/16"])
        let several = try XCTUnwrap(
            HostLocalAddresses(
                try list([
                    "type": "host-local", "dataDir": "/x",
                    "ranges": [[["subnet": "10.1.0.0/24"], ["subnet": "10.2.0.0/24"]], [["subnet": "fd00::/64"]]],
                ])))
        XCTAssertEqual(several.directory, "/x/net")
        XCTAssertEqual(several.ranges.map(\.description), ["10.1.0.0/24", "10.2.0.0/24"])
    }

    func testPlan() throws {
        typealias Reservation = HostLocalAddresses.Reservation
        func reservation(_ address: UInt32, _ container: String) -> Reservation {
            Reservation(address: IPv4Address(address), container: container, interface: "eth0")
        }
        let found: Set = [reservation(1, "a"), reservation(2, "old"), reservation(3, "foreign"), reservation(4, "b")]
        let wanted: Set = [reservation(1, "a"), reservation(4, "c"), reservation(5, "d")]
        let plan = HostLocalAddresses.plan(found, wanted: wanted) { $0.container != "foreign" }
        XCTAssertEqual(plan.removed, [reservation(2, "old")], "others' stay, and what is written over is not removed")
        XCTAssertEqual(plan.written, [reservation(4, "c"), reservation(5, "d")])
    }

    func testItsFilesAreHostLocals() throws {
        let addresses = try XCTUnwrap(
            HostLocalAddresses(
                try list(["type": "host-local", "dataDir": .string(directory), "subnet": "10.244.0.0/24"])))
        XCTAssertEqual(try addresses.reservations(), [])
        XCTAssertNil(try addresses.last())
        let pods = [try attachment("a", "10.244.0.7"), try attachment("b", "10.22.0.7")]
        try addresses.adopt(pods, last: IPv4Address(parsing: "10.244.0.9")) { _ in true }
        XCTAssertEqual(try shell("ls \(directory)/net"), "10.244.0.7\nlast_reserved_ip.0\nlock\n")
        XCTAssertEqual(try AtomicFile.read("\(directory)/net/10.244.0.7"), Array("a\r\neth0".utf8))
        XCTAssertEqual(try addresses.last()?.description, "10.244.0.9")
        XCTAssertEqual(try addresses.reservations().first?.container, "a")
        // An address that another pod has by now is not freed.
        try addresses.release(try attachment("other", "10.244.0.7"))
        XCTAssertEqual(try addresses.reservations().count, 1)
        try addresses.release(pods[0])
        XCTAssertEqual(try addresses.reservations(), [])
        try addresses.release(pods[0])
    }

    /// Debian's host-local itself reads what is written here, and is read.
    func testTheRealPluginAgrees() throws {
        try XCTSkipUnless(access("/usr/lib/cni/host-local", X_OK) == 0, "needs containernetworking-plugins")
        let list = try list(["type": "host-local", "dataDir": .string(directory), "subnet": "10.244.0.0/29"])
        let addresses = try XCTUnwrap(HostLocalAddresses(list))
        try addresses.adopt([try attachment("a", "10.244.0.3")], last: IPv4Address(parsing: "10.244.0.2")) { _ in true }
        let management: JSON = ["type": "host-local", "ipam": list.plugins[0]["ipam"]]
        let chain = PluginChain(runner: ProgramRunner(directories: ["/usr/lib/cni"]), timeout: 10_000)
        let alone = try NetworkList(
            ["cniVersion": "1.0.0", "name": "net", "plugins": [management]], source: "t")
        var given: [String] = []
        for name in ["b", "c", "d", "e"] {
            let request = CNIRequest(container: name, namespace: "/ns", interface: "eth0")
            let result = try chain.add(alone, request, deadline: 0)
            given += result.addresses.map { String($0.address.description.suffix(1)) }
        }
        XCTAssertEqual(given, ["4", "5", "6", "2"], "on behind the last one, and never .3")
        XCTAssertEqual(try addresses.reservations().count, 5)
        XCTAssertThrowsError(
            try chain.add(alone, CNIRequest(container: "f", namespace: "/ns", interface: "eth0"), deadline: 0)
        ) { XCTAssertEqual(($0 as? CNIError)?.pluginError.code, PluginError.exhausted("").code, "\($0)") }
    }
}
