import XCTest

import Objects

final class FieldSelectorTests: XCTestCase {
    func testParsesAndMatches() throws {
        let pod: JSON = ["metadata": ["name": "a"], "spec": ["nodeName": "n", "unschedulable": true, "replicas": 3]]
        let rows: [(selector: String, matches: Bool)] = [
            ("", true), ("metadata.name=a", true), ("metadata.name==a", true), ("metadata.name!=a", false),
            ("metadata.name=b", false), ("spec.nodeName=n,metadata.name=a", true),
            ("spec.nodeName=n,metadata.name=b", false),
            ("status.phase=", true), ("status.phase!=Running", true), ("spec.unschedulable=true", true),
            ("spec.hostNetwork=false", true), ("spec.replicas=3", true), (",", true),
        ]
        for row in rows {
            XCTAssertEqual(try FieldSelector(parsing: row.selector).matches(object: pod), row.matches, row.selector)
        }
        for bad in ["a", "=b", "!=b", "a=b=c", "a=\\x", "a=b\\"] {
            XCTAssertThrowsError(try FieldSelector(parsing: bad), bad)
        }
        let escaped = try FieldSelector(parsing: #"a=x\,y\=z\\,b!=c"#)
        XCTAssertEqual(escaped.requirements[0].value, #"x,y=z\"#)
        XCTAssertEqual(try FieldSelector(parsing: escaped.description), escaped)
        XCTAssertEqual(try FieldSelector(parsing: "metadata.name=a").requiredValue(of: "metadata.name"), "a")
    }
}
