import Glibc
import Objects
import PluginKit
import XCTest

@testable import Network
@testable import PodNetworking

/// What a whole attach costs: record on disk, link, packet filter. Needs root.
final class AttachCostTests: XCTestCase {
    func testAttachAndDetach() throws {
        let network = try TestNetwork(pods: 0)
        defer { network.end() }
        var template = Array("/tmp/hostd-attach-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        let directory = String(cString: made)
        defer { do { try shell("rm -rf \(directory)") } catch { XCTFail("\(error)") } }
        let settings = try NetworkSettings(
            PluginConfiguration(dataDirectory: directory, pluginDirectory: directory, libexecDirectory: "/nowhere"))
        let store = AttachmentStore(directory: directory)
        try store.prepare()
        let router = try network.host.run {
            try PacketRouter(
                table: FilterTable(
                    name: "hostd", bridge: "hostd0", podRange: TestNetwork.podRange,
                    serviceRange: TestNetwork.serviceRange, servesHost: true), pods: [])
        }
        try router.replaceAll([])
        let pods = try PodNetwork(
            settings: settings, links: network.links, store: store, routers: [router], bridge: network.bridge,
            attachments: [])
        var attach: [UInt64] = []
        var again: [UInt64] = []
        var detach: [UInt64] = []
        for number in 0..<40 {
            let pod = try NamespaceThread()
            defer { pod.end() }
            let request = try AttachmentRequest([
                "sandboxID": .string("cost-\(number)"), "networkNamespace": .string(pod.path),
            ])
            var start = DispatchClock.now()
            let result = try pods.attach(request)
            attach.append(DispatchClock.now() - start)
            start = DispatchClock.now()
            XCTAssertEqual(try pods.attach(request), result)
            again.append(DispatchClock.now() - start)
            try pods.check(request)
            start = DispatchClock.now()
            try pods.detach(sandbox: "cost-\(number)")
            detach.append(DispatchClock.now() - start)
        }
        func text(_ values: [UInt64]) -> String {
            let sorted = values.sorted()
            return "median \(sorted[20] / 1000) µs, worst \((sorted.last ?? 0) / 1000) µs"
        }
        pods.stop()
        print("attach: \(text(attach)); again: \(text(again)); detach: \(text(detach))")
        XCTAssertEqual(try store.load().attachments, [])
        XCTAssertTrue(try network.links.ports(of: network.bridge.index).isEmpty)
    }
}
