import PluginKit
import XCTest

@testable import Etcd

final class EndpointTests: XCTestCase {
    func testEndpointsAreRead() throws {
        let rows: [(String, String, UInt16, Bool, String)] = [
            ("http://127.0.0.1:2379", "127.0.0.1", 2379, false, "127.0.0.1:2379"),
            ("https://etcd-1.example:12379/", "etcd-1.example", 12379, true, "etcd-1.example:12379"),
            ("https://[::1]:2379", "::1", 2379, true, "[::1]:2379"),
            ("http://etcd", "etcd", 2379, false, "etcd:2379"),
            ("unix:///run/etcd.socket", "", 0, false, "localhost"),
        ]
        for (text, host, port, isSecure, authority) in rows {
            let endpoint = try Endpoint(text)
            XCTAssertEqual(endpoint.host, host)
            XCTAssertEqual(endpoint.port, port)
            XCTAssertEqual(endpoint.isSecure, isSecure)
            XCTAssertEqual(endpoint.authority, authority)
        }
    }

    func testMistakesNameTheEndpoint() {
        for text in [
            "", "127.0.0.1:2379", "ftp://a:1", "http://", "http://a:", "http://a:0", "http://a:99999",
            "http://[::1:2379",
            "http://a/b:1", "unix://relative", "http://[::1]x",
        ] {
            XCTAssertThrowsError(try Endpoint(text), text) { error in
                XCTAssertTrue("\(error)".contains("\"\(text)\""), "\(error)")
            }
        }
    }

    func testMessagesAreDecoded() {
        XCTAssertEqual(GRPCClient.decoded("100%25 %C3%A4"), "100% ä")
        XCTAssertEqual(GRPCClient.decoded("50%"), "50%")
        XCTAssertEqual(GRPCClient.decoded("%zz"), "%zz")
    }
}
