import Dispatch
import PluginKit
import XCTest

@testable import API

final class EventLinesTests: XCTestCase {
    private final class Marker: Sendable {}
    private let pods = Marker()
    private let nodes = Marker()

    private func form(
        _ marker: Marker, _ form: ResponseForm = .object, _ include: String? = nil, columns: Bool = false
    ) -> EventLines.Form {
        EventLines.Form(resource: marker, form: form, includeObject: include, showsColumns: columns)
    }

    func testALineIsMadeOnceForEachFormAndChange() {
        let lines = EventLines()
        let rows:
            [(form: EventLines.Form, kind: WatchEncoder.Kind, revision: UInt64, key: String, made: Int, reason: String)] =
                [
                    (form(pods), .added, 1, "pods/d/a", 1, "the first watch"),
                    (form(pods), .added, 1, "pods/d/a", 1, "another watch of the form"),
                    (form(pods), .modified, 1, "pods/d/a", 2, "to another selector it is another kind of event"),
                    (form(pods), .added, 2, "pods/d/a", 3, "the next change"),
                    (form(pods), .added, 2, "pods/d/b", 4, "two keys of one transaction"),
                    (form(pods, .table(version: "v1")), .added, 2, "pods/d/b", 5, "as a table"),
                    (form(pods, .table(version: "v1"), "Object"), .added, 2, "pods/d/b", 6, "as a table with objects"),
                    (form(nodes), .added, 2, "pods/d/b", 7, "another resource over the same store"),
                    (form(pods), .added, 2, "pods/d/b", 7, "it is kept"),
                    (form(pods, .table(version: "v1"), columns: true), .added, 2, "pods/d/b", 8, "with its columns"),
                ]
        for row in rows {
            let line = lines.line(row.form, row.kind, revision: row.revision, key: row.key) {
                $0 = Array("\(row.key) \(row.revision)".utf8)
            }
            XCTAssertEqual(String(decoding: line, as: UTF8.self), "\(row.key) \(row.revision)", row.reason)
            XCTAssertEqual(lines.made, row.made, row.reason)
        }
    }

    func testWhatIsKeptIsBounded() {
        let lines = EventLines(limit: 10_000)
        func ask(_ revision: UInt64) {
            _ = lines.line(form(pods), .added, revision: revision, key: "k") {
                $0 = [UInt8](repeating: 1, count: 1000)
            }
        }
        for revision in 1...5000 { ask(UInt64(revision)) }
        XCTAssertEqual(lines.made, 5000)
        ask(5000)
        ask(4991)
        XCTAssertEqual(lines.made, 5000, "the last ten are there")
        ask(4990)
        XCTAssertEqual(lines.made, 5001, "the one before is made again")
    }

    func testTenThousandWatchesEncodeOnce() {
        let lines = EventLines()
        let shown = form(pods)
        DispatchQueue.concurrentPerform(iterations: 10_000) { _ in
            _ = lines.line(shown, .added, revision: 7, key: "pods/d/a") { $0 = [1, 2, 3] }
        }
        XCTAssertEqual(lines.made, 1)
    }
}
