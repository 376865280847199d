import Glibc
import Objects
import PluginKit
import XCTest

@testable import CNI

final class NetworkListTests: XCTestCase {
    func testVersions() {
        for (json, expected) in [
            (["cniVersion": "1.0.0"], "1.0.0"), ([:], "0.2.0"), (["cniVersion": ""], "0.2.0"),
            (["cniVersion": "0.4.0", "cniVersions": ["0.4.0", "1.1.0", "9.0.0"]], "1.1.0"),
            (["cniVersion": "2.0.0"], nil), (["cniVersion": "1.0"], nil), (["cniVersion": "1.0.x"], nil),
            (["cniVersion": "0.3.2"], nil),
        ] as [(JSON, String?)] {
            var list = json
            list["name"] = "n"
            list["type"] = "bridge"
            var found: String?
            do { found = try NetworkList(list, source: "t").version.description } catch {}
            XCTAssertEqual(found, expected, "\(json)")
        }
        XCTAssertLessThan(CNIVersion(0, 4, 0), CNIVersion(1, 0, 0))
        XCTAssertLessThan(CNIVersion(1, 0, 0), CNIVersion(1, 0, 1))
        XCTAssertNil(CNIVersion(parsing: "1.0.-1"))
    }

    func testWhatIsRefused() {
        let rows: [(JSON, String)] = [
            ([], "object"), (["cniVersion": "1.0.0", "type": "bridge"], "\"name\""),
            (["name": "-a", "cniVersion": "1.0.0", "type": "bridge"], "\"name\""),
            (["name": "a/b", "cniVersion": "1.0.0", "type": "bridge"], "\"name\""),
            (["name": "a", "cniVersion": "1.0.0", "plugins": []], "empty"),
            (["name": "a", "cniVersion": "1.0.0", "plugins": [[:]]], "\"type\""),
            (["name": "a", "cniVersion": "1.0.0", "plugins": [["type": "../sh"]]], "\"type\""),
            (["name": "a", "cniVersion": "1.0.0", "type": ".."], "\"type\""),
            (["name": "a", "cniVersion": "0.2.0", "plugins": [["type": "a"], ["type": "b"]]], "chains"),
            (["name": "a", "cniVersion": "7.0.0", "type": "a"], "hostd speaks"),
        ]
        for (json, expected) in rows {
            XCTAssertThrowsError(try NetworkList(json, source: "file.conflist"), expected) {
                XCTAssertTrue("\($0)".hasPrefix("file.conflist: "), "\($0)")
                XCTAssertTrue("\($0)".contains(expected), "\($0)")
            }
        }
    }

    func testRoundTrip() throws {
        let list = try NetworkList(
            [
                "name": "a.b_c-1", "cniVersion": "0.4.0", "disableCheck": "true", "disableGC": true,
                "plugins": [["type": "x", "capabilities": ["portMappings": true, "mac": false]]],
            ], source: "t")
        XCTAssertTrue(list.disablesCheck && list.disablesGarbageCollection)
        XCTAssertTrue(list.hasCapability("portMappings"))
        XCTAssertFalse(list.hasCapability("mac"))
        XCTAssertEqual(try NetworkList(list.json, source: "t"), list)
    }

    func testTheFirstFileThatCanBeReadCounts() throws {
        var template = Array("/tmp/hostd-cni-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        let path = String(cString: made)
        defer { do { try shell("rm -rf \(path)") } catch { XCTFail("\(error)") } }
        let directory = NetworkListDirectory(path: path)
        let log = try FakeHost.make().log
        XCTAssertNil(try NetworkListDirectory(path: "/nowhere").find("", log: log))
        XCTAssertNil(try directory.find("", log: log), "an empty directory")
        func write(_ name: String, _ text: String) throws {
            try AtomicFile.write(Array(text.utf8), to: "\(path)/\(name)")
        }
        try write("05-readme.txt", "no configuration")
        XCTAssertNil(try directory.find("", log: log), "other files are none")
        try write("10-bad.conflist", "{")
        XCTAssertThrowsError(try directory.find("", log: log), "somebody has configured something") {
            XCTAssertTrue("\($0)".contains("10-bad.conflist"), "\($0)")
        }
        try write("30-b.conf", "{\"cniVersion\":\"1.0.0\",\"name\":\"b\",\"type\":\"ptp\"}")
        try write("20-a.conflist", "{\"cniVersion\":\"1.0.0\",\"name\":\"a\",\"plugins\":[{\"type\":\"bridge\"}]}")
        XCTAssertEqual(try directory.find("", log: log)?.name, "a")
        XCTAssertEqual(try directory.find("b", log: log)?.types, ["ptp"])
        XCTAssertNil(try directory.find("c", log: log))
    }
}
