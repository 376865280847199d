import Objects
import XCTest

@testable import API

final class DefinitionWritesTests: XCTestCase {
    func testWhatIsTrusted() {
        let writes = DefinitionWrites()
        /// Ends a write; the store is at a revision then, or says nothing.
        func end(_ turn: UInt64, at revision: UInt64?) {
            if writes.end(turn), let revision { writes.settle(at: revision) }
        }
        writes.advance()
        XCTAssertEqual(writes.settledRevision, 0, "the first state")
        writes.begin(1)
        XCTAssertEqual(writes.settledRevision, 0, "its own writes")
        writes.advance()
        XCTAssertEqual(writes.settledRevision, .max, "a write of the state before is under way")
        writes.begin(2)
        writes.begin(1)
        end(1, at: 7)
        XCTAssertEqual(writes.settledRevision, .max, "another one is")
        end(1, at: 9)
        XCTAssertEqual(writes.settledRevision, 9, "what is written later is of the present state")
        end(2, at: 20)
        XCTAssertEqual(writes.settledRevision, 9, "its own writes change nothing")
        writes.begin(1)
        XCTAssertEqual(writes.settledRevision, .max, "one that comes late")
        end(1, at: nil)
        XCTAssertEqual(writes.settledRevision, .max, "the store does not say how far it is")
        writes.advance()
        XCTAssertEqual(writes.settledRevision, .max)
        writes.begin(2)
        end(2, at: 30)
        XCTAssertEqual(writes.settledRevision, 30)
    }

    /// A write that began before its definition changed comes to the store after that.
    func testWhatIsWrittenLateIsShownByTheNewSchema() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let (definitions, widgets) = (CustomDefinitions.path, CustomDefinitions.widgetsPath)
        XCTAssertEqual(try server.request("POST", definitions, CustomDefinitions.widgets()).status, 201)
        let made = try server.request("POST", widgets, CustomDefinitions.widget("a", ["size": 3, "replicas": 1]))
        XCTAssertEqual(made.status, 201, made.text)
        let key = "widgets.example.com/default/a"
        let record = try XCTUnwrap(try server.store.get(key))
        let pipeline = try XCTUnwrap(server.plugin.provider.pipeline)
        let registry = pipeline.customResources.registry
        var write: DefinitionWrites.Entry? = DefinitionWrites.Entry(
            try XCTUnwrap(registry.stored("widgets.example.com")?.custom), server.store, pipeline.retries)
        let place = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
        let changed = try server.request(
            "PATCH", definitions + "/widgets.example.com",
            [
                ["op": "remove", "path": .string(place + "/replicas")],
                ["op": "add", "path": .string(place + "/mode"), "value": ["type": "string", "default": "new"]],
            ], headers: ["Content-Type": "application/json-patch+json"])
        XCTAssertEqual(changed.status, 200, changed.text)
        try server.store.update(key, value: Array(record.valueBytes), index: Array(record.indexBytes))
        for isUnderWay in [true, false] {
            if !isUnderWay { write = nil }
            let shown = try server.request("GET", widgets + "/a").json["spec"]
            XCTAssertEqual(shown["mode"], "new", "under way: \(isUnderWay)")
            XCTAssertTrue(shown["replicas"].isNull, "under way: \(isUnderWay)")
        }
        XCTAssertNil(write)
        let custom = try XCTUnwrap(registry.stored("widgets.example.com")?.custom)
        try server.eventually("newer records are trusted again") { custom.settledRevision < .max }
        let next = try server.request("POST", widgets, CustomDefinitions.widget("b"))
        XCTAssertEqual(next.status, 201)
        XCTAssertGreaterThan(
            try XCTUnwrap(try server.store.get("widgets.example.com/default/b")).revision, custom.settledRevision)
    }
}
