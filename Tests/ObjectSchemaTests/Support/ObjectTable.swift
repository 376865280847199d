import Objects
import XCTest

import ObjectSchema

/// Objects that differ from one that is valid, and what the rules say of each.
struct ObjectTable {
    let base: JSON

    init(_ base: String) throws { self.base = try JSON(parsing: base) }

    /// The base with a merge patch, as the API would have read it.
    func object(_ patch: String) throws -> JSON {
        var object = try MergePatch.apply(JSON(parsing: patch), to: base)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        XCTAssertEqual(try Schema.shared.prune(&object, as: node), [], patch)
        Schema.shared.applyDefaults(&object, as: node)
        return object
    }

    /// What is wrong with a new object.
    func faults(_ patch: String) throws -> [String] {
        let object = try object(patch)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        let errors = Schema.shared.validate(object, as: node) + Schema.shared.creationErrors(in: object, as: node)
        return errors.map(\.description)
    }

    /// What is wrong with a change.
    func faults(from old: String, to new: String) throws -> [String] {
        let (old, new) = (try object(old), try object(new))
        let node = try XCTUnwrap(Schema.shared.kind(of: new))
        return Schema.shared.validateUpdate(from: old, to: new, as: node).map(\.description)
    }

    /// What is wrong with a change of a status.
    func statusFaults(from old: String, to new: String) throws -> [String] {
        let (old, new) = (try object(old), try object(new))
        let node = try XCTUnwrap(Schema.shared.kind(of: new))
        return Schema.shared.statusErrors(from: old, to: new, as: node).map(\.description)
    }

    func check(_ rows: [(patch: String, faults: [String])], file: StaticString = #filePath, line: UInt = #line) throws {
        for row in rows { XCTAssertEqual(try faults(row.patch), row.faults, row.patch, file: file, line: line) }
    }
}
