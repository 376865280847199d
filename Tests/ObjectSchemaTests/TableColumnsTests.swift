import Objects
import XCTest

@testable import ObjectSchema

final class TableColumnsTests: XCTestCase {
    private let now = Timestamp(seconds: 1_767_323_045)

    func testEveryTypeAndPathExists() throws {
        for type in TableColumns.table.types where type != "io.k8s.api.default" {
            guard let node = Schema.shared.definition(named: type) else {
                XCTFail("columns.txt: no type \(type)")
                continue
            }
            for column in TableColumns.table.rows(for: type) {
                let paths: [[String]]
                switch column.source {
                case .path(let path), .age(let path), .labels(let path), .selector(let path), .text(let path, _):
                    paths = [path]
                case .each(let path, let field): paths = [field.isEmpty ? path : path + [field]]
                case .count(let several): paths = several
                case .ratio(let first, let second): paths = [first, second]
                case .computed: paths = []
                }
                for path in paths {
                    XCTAssertNotNil(node.node(at: path), "columns.txt: \(type) \(path.joined(separator: "."))")
                }
                XCTAssertTrue(
                    ["string", "integer", "boolean", "date"].contains(column.type), "\(type) \(column.header)")
            }
        }
    }

    func testCells() throws {
        let deployment: JSON = [
            "metadata": ["name": "web", "creationTimestamp": "2026-01-02T03:03:05Z"],
            "spec": [
                "replicas": 3, "selector": ["matchLabels": ["b": "1", "a": "2"]],
                "template": ["spec": ["containers": [["name": "x", "image": "i:1"], ["name": "y", "image": "j"]]]],
            ], "status": ["readyReplicas": 2, "availableReplicas": 2],
        ]
        let columns = TableColumns.for(GroupVersionKind(apiVersion: "apps/v1", kind: "Deployment"))
        XCTAssertEqual(
            columns.map { $0.cell(of: deployment, now: now) }, ["web", "2/3", 0, 2, "60s", "x,y", "i:1,j", "a=2,b=1"])
        XCTAssertEqual(columns.map(\.priority), [0, 0, 0, 0, 0, 1, 1, 1])
        XCTAssertEqual(columns[0].format, "name")
        let pod = TableColumns.for(GroupVersionKind(apiVersion: "v1", kind: "Pod"))
        XCTAssertNil(pod[1].cell(of: [:], now: now))
        XCTAssertEqual(pod[5].cell(of: [:], now: now), "<none>")
        XCTAssertEqual(
            TableColumns.for(GroupVersionKind(apiVersion: "apps/v1", kind: "None")).map(\.header),
            ["Name", "Created At"])
    }

    func testHumanDuration() {
        let rows: [(seconds: Int64, text: String)] = [
            (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (599, "9m59s"),
            (600, "10m"), (10_799, "179m"),
            (10_800, "3h"), (10_860, "3h1m"), (28_800, "8h"), (172_799, "47h"), (172_800, "2d"), (176_400, "2d1h"),
            (691_200, "8d"),
            (86_400 * 729, "729d"), (86_400 * 731, "2y1d"), (86_400 * 365 * 9, "9y"),
        ]
        for row in rows { XCTAssertEqual(TableColumn.humanDuration(seconds: row.seconds), row.text, "\(row.seconds)") }
        XCTAssertEqual(TableColumn.age(.null, now: now), "<unknown>")
    }
}
