import XCTest

@testable import API

final class RequestPathTests: XCTestCase {
    private func resource(
        _ group: String, _ version: String, _ namespace: String, _ resource: String, _ name: String = "",
        _ subresource: String = "", rest: String = "", isWatch: Bool = false
    ) -> RequestPath {
        .resource(
            .init(
                group: group, version: version, namespace: namespace, resource: resource, name: name,
                subresource: subresource, rest: rest, isWatch: isWatch))
    }

    func testPaths() throws {
        let rows: [(String, RequestPath)] = [
            ("/api/v1/pods", resource("", "v1", "", "pods")),
            ("/api/v1/namespaces", resource("", "v1", "", "namespaces")),
            ("/api/v1/namespaces/a", resource("", "v1", "", "namespaces", "a")),
            ("/api/v1/namespaces/a/finalize", resource("", "v1", "", "namespaces", "a", "finalize")),
            ("/api/v1/namespaces/a/status", resource("", "v1", "", "namespaces", "a", "status")),
            ("/api/v1/namespaces/a/pods", resource("", "v1", "a", "pods")),
            ("/api/v1/namespaces/a/pods/b", resource("", "v1", "a", "pods", "b")),
            ("/api/v1/namespaces/a/pods/b/log", resource("", "v1", "a", "pods", "b", "log")),
            ("/api/v1/namespaces/a/pods/b/proxy/x/y", resource("", "v1", "a", "pods", "b", "proxy", rest: "x/y")),
            ("/apis/apps/v1/deployments", resource("apps", "v1", "", "deployments")),
            (
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                resource("apps", "v1", "a", "deployments", "b", "scale")
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                resource("rbac.authorization.k8s.io", "v1", "", "clusterroles", "system:node")
            ),
            ("/api/v1/watch/pods", resource("", "v1", "", "pods", isWatch: true)),
            ("/api", .other("/api")), ("/api/v1", .other("/api/v1")), ("/apis/apps/v1", .other("/apis/apps/v1")),
            ("/healthz", .other("/healthz")), ("/", .other("/")),
        ]
        for (path, expected) in rows { XCTAssertEqual(try RequestPath(parsing: path[...]), expected, path) }
    }

    func testBrokenEscapes() {
        for path in ["/api/v1/pods/%", "/api/v1/pods/%4", "/api/v1/pods/%zz", "/api/v1/pods/%ff"] {
            XCTAssertThrowsError(try RequestPath(parsing: path[...]), path) {
                XCTAssertEqual(($0 as? APIStatus)?.code, 400)
            }
        }
    }

    func testQuery() throws {
        let query = try Query(parsing: "labelSelector=a%3Db%2Cc&watch=true&x&limit=5&name=a+b&container=1&container=2")
        XCTAssertEqual(query["labelSelector"], "a=b,c")
        XCTAssertTrue(query.flag("watch"))
        XCTAssertFalse(query.flag("absent"))
        XCTAssertEqual(try query.integer("limit"), 5)
        XCTAssertEqual(query["x"], "")
        XCTAssertEqual(query["name"], "a b")
        XCTAssertEqual(query.all("container"), ["1", "2"])
        XCTAssertThrowsError(try query.integer("name"))
        let flags: [(String, Bool, String)] = [
            ("true", true, "as most clients write it"), ("True", true, "as Python's client does"),
            ("1", true, "a number"),
            ("", true, "a name alone"), ("yes", true, "any other word"), ("false", false, ""), ("False", false, ""),
            ("0", false, ""),
        ]
        for (text, value, reason) in flags {
            XCTAssertEqual(try Query(parsing: "watch=\(text)").flag("watch"), value, "\(text): \(reason)")
        }
    }

    /// However a client writes it, a watch is one for those who decide who may watch.
    func testWatchesAreNamedSo() throws {
        for (value, verb) in [("true", "watch"), ("True", "watch"), ("1", "watch"), ("", "watch"), ("False", "list")] {
            let request = try APIRequest(
                method: .get, target: "/api/v1/pods?watch=\(value)", user: UserInfo(name: "u"), isInternal: false)
            XCTAssertEqual(RequestInfo(request).verb, verb, value)
            let resource = try XCTUnwrap(ResourceTable.ofSchema().stored("pods"))
            let context = RequestContext(request: request, path: RequestPath.ResourcePath(), resource: resource)
            XCTAssertEqual(context.verb, verb, value)
        }
    }

    func testResponseForms() throws {
        let table =
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
        let rows: [(String?, ResponseForm)] = [
            (nil, .object), ("*/*", .object), ("application/json, */*", .object), (table, .table(version: "v1")),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", .metadata(version: "v1")),
            ("application/vnd.kubernetes.protobuf,application/json", .object),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                .aggregatedDiscovery(version: "v2")
            ),
            ("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json", .object),
        ]
        for (accept, form) in rows { XCTAssertEqual(try ResponseForm.choose(accept), form, accept ?? "none") }
        for accept in ["application/vnd.kubernetes.protobuf", "text/html", "application/cbor"] {
            XCTAssertThrowsError(try ResponseForm.choose(accept), accept) {
                XCTAssertEqual(($0 as? APIStatus)?.code, 406)
            }
        }
    }

    func testContinueTokens() throws {
        let token = ContinueToken(revision: 7, after: "pods/a/b")
        XCTAssertEqual(try ContinueToken(parsing: token.text), token)
        for text in ["", "x", "e30", "!!!", String(repeating: "a", count: 5000)] {
            XCTAssertThrowsError(try ContinueToken(parsing: text), text) {
                XCTAssertEqual(($0 as? APIStatus)?.code, 400)
            }
        }
    }
}
