import Objects
import PluginKit
import XCTest

/// Past states through the API, and who is recorded as the writer of a change.
final class PastTests: XCTestCase {
    private static let maps = "/api/v1/namespaces/default/configmaps"

    private func withServer(_ body: (TestServer) throws -> Void) throws {
        let server = try TestServer()
        do { try body(server) } catch {
            try server.stop()
            throw error
        }
        try server.stop()
    }

    private func write(_ server: TestServer, _ method: String, _ name: String, _ value: String) throws -> UInt64 {
        let path = method == "POST" ? Self.maps : "\(Self.maps)/\(name)"
        let response = try server.request(
            method, path,
            [
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)],
                "data": ["v": .string(value)],
            ])
        XCTAssertLessThan(response.status, 300)
        return try XCTUnwrap(UInt64(response.json["metadata"]["resourceVersion"].stringValue ?? ""))
    }

    private func values(_ json: JSON) -> [String] {
        json["items"].arrayValue.map {
            "\($0["metadata"]["name"].stringValue ?? "")=\($0["data"]["v"].stringValue ?? "")"
        }
    }

    func testAListAtARevisionShowsThatStateAlsoInPages() throws {
        try withServer { server in
            for name in ["a", "b", "c"] { _ = try write(server, "POST", name, "1") }
            let past = try write(server, "PUT", "b", "2")
            _ = try write(server, "PUT", "a", "3")
            XCTAssertEqual(try server.request("DELETE", "\(Self.maps)/c").status, 200)
            let exact = "\(Self.maps)?resourceVersionMatch=Exact&resourceVersion=\(past)"
            let whole = try server.request("GET", exact).json
            XCTAssertEqual(values(whole), ["a=1", "b=2", "c=1"])
            XCTAssertEqual(whole["metadata"]["resourceVersion"].stringValue, String(past))
            var found: [String] = []
            var next = exact + "&limit=1"
            for _ in 0..<3 {
                let page = try server.request("GET", next).json
                found += values(page)
                next = "\(Self.maps)?limit=1&continue=\(page["metadata"]["continue"].stringValue ?? "")"
            }
            XCTAssertEqual(found, ["a=1", "b=2", "c=1"], "pages go on at the same revision")
            let one = try server.request("GET", exact + "&fieldSelector=metadata.name%3Db").json
            XCTAssertEqual(values(one), ["b=2"])
            XCTAssertEqual(values(try server.request("GET", Self.maps).json), ["a=3", "b=2"])
        }
    }

    func testWhatIsGoneIsExpiredAndWhatIsAheadTimesOut() throws {
        try withServer { server in
            let past = try write(server, "POST", "a", "1")
            let latest = try write(server, "PUT", "a", "2")
            try server.store.compact(latest)
            let exact = "\(Self.maps)?resourceVersionMatch=Exact&resourceVersion="
            let gone = try server.request("GET", exact + "\(past)")
            XCTAssertEqual(gone.status, 410)
            XCTAssertEqual(try gone.json["reason"].stringValue, "Expired")
            XCTAssertEqual(try gone.json["message"], "The resourceVersion for the provided list is too old.")
            let ahead = try server.request("GET", exact + "\(latest + 1000)")
            XCTAssertEqual(ahead.status, 504)
            XCTAssertEqual(try ahead.json["reason"].stringValue, "Timeout")
            XCTAssertTrue(
                try ahead.json["message"].stringValue?.hasPrefix("Too large resource version: \(latest + 1000)")
                    ?? false)
            XCTAssertEqual(try ahead.json["details"]["causes"][0]["reason"].stringValue, "ResourceVersionTooLarge")
            for (query, status, reason) in [("0", 422, "zero"), ("x", 400, "no number"), ("", 422, "nothing")] {
                XCTAssertEqual(try server.request("GET", exact + query).status, status, reason)
            }
        }
    }

    func testAListWhoseStateIsGoneGoesOnAsThingsAreNow() throws {
        try withServer { server in
            for name in ["a", "b", "c", "d"] { _ = try write(server, "POST", name, "1") }
            let first = try server.request("GET", "\(Self.maps)?limit=1").json
            XCTAssertEqual(try server.request("DELETE", "\(Self.maps)/b").status, 200)
            let latest = try write(server, "PUT", "c", "2")
            try server.store.compact(latest)
            let token = first["metadata"]["continue"].stringValue ?? ""
            let gone = try server.request("GET", "\(Self.maps)?limit=1&continue=\(token)")
            XCTAssertEqual(gone.status, 410)
            XCTAssertEqual(try gone.json["reason"], "Expired")
            XCTAssertTrue(
                try gone.json["message"].stringValue?.hasPrefix("The provided continue parameter is too old to display")
                    ?? false)
            let inconsistent = try XCTUnwrap(try gone.json["metadata"]["continue"].stringValue)
            let second = try server.request("GET", "\(Self.maps)?limit=1&continue=\(inconsistent)").json
            XCTAssertEqual(values(second), ["c=2"], "what has changed is shown, what has gone is left out")
            XCTAssertNotEqual(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"])
            XCTAssertEqual(second["metadata"]["remainingItemCount"], 1)
            _ = try write(server, "PUT", "d", "3")
            let next = second["metadata"]["continue"].stringValue ?? ""
            let third = try server.request("GET", "\(Self.maps)?limit=1&continue=\(next)").json
            XCTAssertEqual(values(third), ["d=1"], "from there on all pages show one state again")
            XCTAssertEqual(third["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"])
            XCTAssertTrue(third["metadata"]["continue"].isNull)
        }
    }

    func testOneObjectAtARevision() throws {
        try withServer { server in
            let first = try write(server, "POST", "a", "1")
            let second = try write(server, "PUT", "a", "2")
            let other = try write(server, "POST", "b", "1")
            XCTAssertEqual(try server.request("DELETE", "\(Self.maps)/a").status, 200)
            let exact = "\(Self.maps)/a?resourceVersionMatch=Exact&resourceVersion="
            for (revision, value) in [(first, "1"), (second, "2"), (other, "2")] {
                let json = try server.request("GET", exact + "\(revision)").json
                XCTAssertEqual(json["data"]["v"].stringValue, value, "at \(revision)")
                XCTAssertEqual(json.resourceVersion, "\(min(revision, second))", "of the version that it shows")
            }
            XCTAssertEqual(try server.request("GET", "\(Self.maps)/a").status, 404, "it is gone now")
            XCTAssertEqual(
                try server.request("GET", "\(Self.maps)/b?resourceVersionMatch=Exact&resourceVersion=\(second)").status,
                404, "it was not there yet")
            let ahead = try server.request("GET", exact + "\(other + 1000)")
            XCTAssertEqual(ahead.status, 504)
            XCTAssertEqual(try ahead.json["details"]["causes"][0]["reason"].stringValue, "ResourceVersionTooLarge")
            for (query, status, reason) in [
                ("resourceVersion=\(other)", 200, "a version that is reached"),
                ("resourceVersion=0", 200, "any version"),
                ("resourceVersion=\(other + 1000)", 504, "not older than what is not reached"),
                ("resourceVersion=x", 400, "no number"),
                ("resourceVersionMatch=Exact", 400, "a match of nothing"),
            ] {
                XCTAssertEqual(try server.request("GET", "\(Self.maps)/b?" + query).status, status, reason)
            }
            let latest = try write(server, "PUT", "b", "2")
            try server.store.compact(latest)
            let gone = try server.request("GET", exact + "\(first)")
            XCTAssertEqual(gone.status, 410)
            XCTAssertEqual(try gone.json["reason"].stringValue, "Expired")
        }
    }

    func testTheWriterIsTheUserWithItsFieldManager() throws {
        try withServer { server in
            let object: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "w"]]
            let cases: [(method: String, query: String, agent: String?, reason: String)] = [
                ("POST", "?fieldManager=painter", "kubectl/v1", "the query comes first"),
                ("PUT", "", "kubectl/v1.32 (linux)", "else the agent, up to its slash"),
                ("PUT", "?fieldManager=", "plain", "an empty one is none"),
            ]
            for (number, (method, query, agent, reason)) in cases.enumerated() {
                var changed = object
                changed["data"] = ["n": .string("\(number)")]
                let path = (method == "POST" ? Self.maps : "\(Self.maps)/w") + query
                let response = try server.request(
                    method, path, changed, headers: agent.map { ["User-Agent": $0] } ?? [:])
                XCTAssertLessThan(response.status, 300, reason)
            }
            let patched = try server.inProcess(
                "PATCH application/merge-patch+json", "\(Self.maps)/w?fieldManager=node", ["data": ["n": "9"]])
            XCTAssertEqual(patched.code, 200)
            XCTAssertEqual(try server.request("DELETE", "\(Self.maps)/w").status, 200)
            let versions = try server.store.history("configmaps/default/w")["versions"].arrayValue
            XCTAssertEqual(versions.map { $0["manager"].stringValue }, ["painter", "kubectl", "plain", "node", ""])
            XCTAssertEqual(
                versions.map { $0["user"].stringValue },
                ["kubernetes-admin", "kubernetes-admin", "kubernetes-admin", "system:hostd", "kubernetes-admin"])
            XCTAssertEqual(versions.last?["kind"].stringValue, "delete")
        }
    }
}
