import ObjectSchema
import Objects
import XCTest

/// Validates objects as the API does: a merge patch on a base, pruned and defaulted.
enum ValidationCases {
    typealias Row = (patch: String, errors: [String])

    static func object(_ base: JSON, _ patch: String) throws -> (object: JSON, node: SchemaNode) {
        var object = try MergePatch.apply(JSON(parsing: patch), to: base)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        XCTAssertEqual(try Schema.shared.prune(&object, as: node), [], patch)
        Schema.shared.applyDefaults(&object, as: node)
        return (object, node)
    }

    /// What is wrong with new objects.
    static func check(_ base: JSON, _ rows: [Row], line: UInt = #line) throws {
        for row in rows {
            let (object, node) = try object(base, row.patch)
            XCTAssertEqual(
                Schema.shared.validate(object, as: node).map(\.description), row.errors, row.patch, line: line)
        }
    }

    /// What is wrong with changes of the base.
    static func checkUpdates(_ base: JSON, _ rows: [Row], line: UInt = #line) throws {
        let (old, node) = try object(base, "{}")
        for row in rows {
            let new = try object(base, row.patch).object
            XCTAssertEqual(
                Schema.shared.validateUpdate(from: old, to: new, as: node).map(\.description), row.errors, row.patch,
                line: line)
        }
    }

    /// What is wrong with changes of the base's status.
    static func checkStatuses(_ base: JSON, _ rows: [Row], line: UInt = #line) throws {
        let (old, node) = try object(base, "{}")
        for row in rows {
            let new = try object(base, row.patch).object
            XCTAssertEqual(
                Schema.shared.statusErrors(from: old, to: new, as: node).map(\.description), row.errors, row.patch,
                line: line)
        }
    }
}
