import Objects
import PluginKit
import XCTest

@testable import Node

/// What the front is told of the node's own port, and the paths of a kubelet behind it.
final class NodePortTests: XCTestCase {
    private func configuration(_ options: JSON, name: String = "alpha") -> PluginConfiguration {
        PluginConfiguration(
            options: options, settings: ["nodeName": .string(name)], dataDirectory: "/d", pluginDirectory: "/p",
            libexecDirectory: "/l")
    }

    func testPort() {
        XCTAssertEqual(
            NodePort(configuration([:])).json, ["node": "alpha", "address": "0.0.0.0", "port": 10250])
        XCTAssertEqual(
            NodePort(configuration(["port": 0, "address": "192.0.2.1"])).json,
            ["node": "alpha", "address": "192.0.2.1", "port": 0])
        XCTAssertFalse(NodePort(configuration([:], name: "")).node.isEmpty, "the machine's name")
    }

    func testRoutes() {
        let routes = PodEndpoints.routes["routes"].arrayValue
        let paths = routes.compactMap { $0["path"].stringValue }
        let node = "/api/v1/nodes/{node}/proxy"
        for path in [
            "exec/{namespace}/{name}/{container}", "exec/{namespace}/{name}/{uid}/{container}",
            "attach/{namespace}/{name}/{container}", "portForward/{namespace}/{name}",
            "portForward/{namespace}/{name}/{uid}",
            "run/{namespace}/{name}/{container}",
        ] { XCTAssertTrue(paths.contains("\(node)/\(path)"), path) }
        XCTAssertEqual(paths.last, "\(node)/{rest...}", "what is not one of the others")
        let upgrades = routes.filter { $0["path"].stringValue?.contains("portForward") == true }
        XCTAssertEqual(upgrades.map { $0["upgrade"] }, ["ports", "ports"])
    }

    /// A kubelet names the streams of a process otherwise than the API.
    func testStreams() {
        XCTAssertEqual(
            PodEndpoints.streams(
                ["command": ["sh", "-c"], "input": ["1"], "output": ["1"], "tty": ["0"], "stdin": ["1"]],
                container: "main"),
            [
                "container": ["main"], "command": ["sh", "-c"], "stdin": ["1"], "stdout": ["1"], "tty": ["0"],
            ])
    }
}
