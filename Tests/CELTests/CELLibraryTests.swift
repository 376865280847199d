import CEL
import Objects
import XCTest

/// What Kubernetes' libraries give.
final class CELLibraryTests: XCTestCase {
    private func check(_ rows: [(String, String)], file: StaticString = #filePath, line: UInt = #line) {
        for (source, expected) in rows {
            XCTAssertEqual(CELEvaluationTests.outcome(source), expected, source, file: file, line: line)
        }
    }

    func testRegex() {
        check([
            ("'abc 123'.find('[0-9]+')", "123"), ("'abc'.find('[0-9]+')", ""),
            ("'123 abc 456'.findAll('[0-9]+')", "[123, 456]"),
            ("'123 abc 456'.findAll('[0-9]+', 1)", "[123]"), ("'a'.findAll('b')", "[]"),
            ("'a'.matches('[' + 'a')", "error: error parsing regexp: missing closing ]: `[a`"),
        ])
    }

    func testURLs() {
        let url = "url('https://user@example.com:8443/a%20b/c?k=v1&k=v2&m=x%20y#f')"
        check([
            ("\(url).getScheme()", "https"), ("\(url).getHost()", "example.com:8443"),
            ("\(url).getHostname()", "example.com"),
            ("\(url).getPort()", "8443"), ("\(url).getEscapedPath()", "/a%20b/c"),
            ("\(url).getQuery()['k']", "[v1, v2]"),
            ("url('/path').getHost()", ""), ("url('https://[::1]:80/').getHostname()", "::1"),
            ("isURL('https://example.com/')", "true"),
            ("isURL('/absolute')", "true"), ("isURL('relative/path')", "false"), ("isURL('https://a:b:c/')", "false"),
            ("isURL('http://exa mple.com')", "false"), ("isURL('')", "false"), ("url('/a') == url('/a')", "true"),
        ])
    }

    func testQuantities() {
        check([
            ("isQuantity('1.3Gi')", "true"), ("isQuantity('200K')", "false"),
            ("quantity('1Gi').isGreaterThan(quantity('1G'))", "true"),
            ("quantity('1k') == quantity('1000')", "true"), ("quantity('50k').add(20).asInteger()", "50020"),
            ("quantity('50k').sub(quantity('20k')).asInteger()", "30000"), ("quantity('1m').isInteger()", "false"),
            ("quantity('1500m').asApproximateFloat()", "1.5"), ("quantity('-1').sign()", "-1"),
            ("quantity('2').compareTo(quantity('10'))", "-1"),
            ("quantity('1m').asInteger()", "error: cannot convert value to integer"),
            (
                "quantity('x').sign()",
                "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ),
        ])
    }

    func testAddresses() {
        check([
            ("isIP('127.0.0.1')", "true"), ("isIP('127.0.0.01')", "false"), ("isIP('fe80::1%eth0')", "false"),
            ("isIP('::ffff:1.2.3.4')", "false"),
            ("ip('2001:DB8::0:1') == ip('2001:db8::1')", "true"), ("ip.isCanonical('2001:DB8::1')", "false"),
            ("ip.isCanonical('::1')", "true"),
            ("string(ip('2001:db8:0:0:1:0:0:1'))", "2001:db8::1:0:0:1"), ("ip('10.0.0.1').family()", "4"),
            ("ip('::1').family()", "6"), ("ip('0.0.0.0').isUnspecified()", "true"),
            ("ip('127.3.2.1').isLoopback()", "true"), ("ip('::1').isLoopback()", "true"),
            ("ip('224.0.0.9').isLinkLocalMulticast()", "true"), ("ip('fe80::1').isLinkLocalUnicast()", "true"),
            ("ip('10.1.2.3').isGlobalUnicast()", "true"), ("ip('255.255.255.255').isGlobalUnicast()", "false"),
            ("cidr('192.168.0.0/24').containsIP('192.168.0.7')", "true"),
            ("cidr('192.168.0.0/24').containsIP(ip('192.168.1.7'))", "false"),
            ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true"),
            ("cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))", "false"),
            ("string(cidr('10.1.2.3/8').masked())", "10.0.0.0/8"), ("cidr('10.1.2.3/8').prefixLength()", "8"),
            ("cidr('10.1.2.3/8').ip() == ip('10.1.2.3')", "true"),
            ("isCIDR('10.0.0.0/33')", "false"), ("isCIDR('2001:db8::/32')", "true"),
            ("cidr('2001:db8::/33').containsIP('2001:db8:8000::1')", "false"), ("type(ip('::1')) == net.IP", "true"),
        ])
    }

    func testVersions() {
        check([
            ("isSemver('1.2.3')", "true"), ("isSemver('v1.2')", "false"), ("isSemver('v1.2', true)", "true"),
            ("isSemver('01.2.3')", "false"), ("semver('1.2.3').minor()", "2"),
            ("semver('1.2.3-alpha.2').isLessThan(semver('1.2.3-alpha.10'))", "true"),
            ("semver('1.2.3').isGreaterThan(semver('1.2.3-rc'))", "true"),
            ("semver('1.2.3+a') == semver('1.2.3+b')", "true"), ("semver('2.0.0').compareTo(semver('10.0.0'))", "-1"),
            ("semver('v1', true).patch()", "0"),
        ])
    }

    func testFormats() {
        check([
            ("!format.dns1123Label().validate('my-name').hasValue()", "true"),
            ("format.dns1123Label().validate('My').value().size()", "1"),
            ("format.named('dns1123Label').hasValue()", "true"), ("format.named('nope').hasValue()", "false"),
            ("format.uuid().validate('3f2504e0-4f89-11d3-9a0c-0305e82c3301').hasValue()", "false"),
            ("format.labelValue().validate('a b').hasValue()", "true"),
            ("format.dns1123LabelPrefix().validate('a-').hasValue()", "false"),
            ("format.date().validate('2026-02-30').hasValue()", "true"),
        ])
    }

    private struct Answers: CELAuthorizer {
        func decide(_ question: CELAccessQuestion) throws(CELError) -> CELAccessDecision {
            let account = question.serviceAccount.map { "\($0.namespace):\($0.name)" } ?? "-"
            let asked =
                "\(account) \(question.verb) \(question.path ?? "\(question.group)/\(question.resource)/\(question.subresource)") \(question.namespace)/\(question.name)"
            return CELAccessDecision(isAllowed: question.verb == "get", reason: asked)
        }
    }

    func testAuthorizer() throws {
        let environment = CELEnvironment(variables: [
            .init("authorizer", .authorizer), .init("authorizer.requestResource", .resourceCheck),
        ])
        let question = CELAccessQuestion(
            group: "apps", resource: "deployments", subresource: "", namespace: "ns", name: "d")
        let activation: CELActivation = [
            "authorizer": .authorizer(Answers()), "authorizer.requestResource": .resourceCheck(Answers(), question),
        ]
        let rows: [(source: String, expected: String)] = [
            (
                "authorizer.group('apps').resource('deployments').subresource('status').namespace('a').name('b').check('get').reason()",
                "- get apps/deployments/status a/b"
            ),
            ("authorizer.path('/healthz').check('get').allowed()", "true"),
            ("authorizer.requestResource.check('delete').allowed()", "false"),
            ("authorizer.requestResource.check('get').reason()", "- get apps/deployments/ ns/d"),
            (
                "authorizer.serviceAccount('n', 's').group('').resource('pods').check('list').reason()",
                "n:s list /pods/ /"
            ),
            ("authorizer.path('/x').check('get').errored()", "false"),
        ]
        for row in rows {
            XCTAssertEqual(CELEvaluationTests.outcome(row.source, environment, activation), row.expected, row.source)
        }
        let three = "[1, 2, 3].all(x, authorizer.path('/x').check('get').allowed())"
        XCTAssertEqual(
            CELEvaluationTests.outcome(three, environment, activation),
            "error: operation cancelled: actual cost limit exceeded", "two questions fit into an expression")
    }

    func testObjectsThatExpressionsMake() throws {
        let container = CELObjectType(name: "Object.spec", fields: [:], isOpen: true, isConstructible: true)
        let root = CELObjectType(
            name: "Object", fields: ["spec": .init(jsonName: "spec", schema: CELSchema(.object(container)))],
            isConstructible: true)
        let environment = CELEnvironment(variables: [.init("n", .int)]) { name in
            [root, container].first { $0.name == name }
        }
        let program = try environment.compile(
            "Object{spec: Object.spec{replicas: n + 1, ?skipped: optional.none(), list: [n]}}")
        XCTAssertEqual(try program.evaluate(["n": .int(2)]).value.json(), ["spec": ["replicas": 3, "list": [2]]])
        XCTAssertThrowsError(try environment.compile("Object{spec: 1}")) {
            XCTAssertTrue("\($0)".contains("expected type of field 'spec' is 'Object.spec' but provided type is 'int'"))
        }
        XCTAssertThrowsError(try environment.compile("Object{status: 1}")) {
            XCTAssertTrue("\($0)".contains("undefined field 'status'"))
        }
        XCTAssertThrowsError(try environment.compile("Other{a: 1}")) {
            XCTAssertTrue("\($0)".contains("undeclared reference to 'Other'"))
        }
    }
}
