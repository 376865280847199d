import CEL
import XCTest

/// What the libraries' functions say of text that they cannot read, in Kubernetes' words, and the names of their types.
final class CELLibraryErrorTests: XCTestCase {
    func testRows() {
        let rows: [(source: String, outcome: String)] = [
            ("type(ip('192.168.0.1')) == net.IP", "true"), ("type(cidr('192.168.0.0/24')) == net.CIDR", "true"),
            ("string(ip('192.168.0.1'))", "192.168.0.1"), ("string(cidr('192.168.0.0/24'))", "192.168.0.0/24"),
            ("cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')", "true"),
            ("quantity('10Mm')", "error: unable to parse quantity's suffix"),
            (
                "quantity('9999999999999999999999999999999999999G').asInteger()",
                "error: cannot convert value to integer"
            ),
            ("quantity('9999999999999999999999999999999999999G').isInteger()", "false"),
            ("quantity('50k').add(20).sub(quantity('100k')).sub(-50000).asInteger()", "20"),
            ("semver('v1.0')", "error: No Major.Minor.Patch elements found"),
            ("isSemver('', true)", "false"), ("isSemver(' 1.0.0', true)", "false"),
            ("isSemver('1. 0.0', true)", "false"),
            ("isSemver('v1.0.0', true)", "true"), ("isSemver('01.01.01', true)", "true"),
            ("isSemver('1', true)", "true"),
            ("semver('v01.01', true) == semver('1.1.0')", "true"),
            ("format.byte().validate('aGVsbG8').value()[0]", "invalid base64"),
            ("format.date().validate('2020-01-32').value()[0]", "invalid date"),
            ("format.datetime().validate('2020-01-32T00:00:00Z').value()[0]", "invalid datetime"),
            ("format.dns1123SubdomainPrefix().validate('mysubdomain.prefix.-').hasValue()", "false"),
            ("format.qualifiedName().validate('apiextensions.k8s.io/v1beta1').hasValue()", "false"),
            ("has(dyn(null).name)", "false"), ("has(dyn(1).name)", "false"), ("dyn(null).?name.hasValue()", "false"),
            ("dyn({'a': null}).?a.?b.hasValue()", "false"), ("has(dyn([]).name)", "error: no such overload"),
            ("format.named('unknown').hasValue()", "false"),
        ]
        for row in rows { XCTAssertEqual(CELEvaluationTests.outcome(row.source), row.outcome, row.source) }
    }
}
