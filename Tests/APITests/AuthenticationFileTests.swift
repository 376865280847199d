import Glibc
import Objects
import PluginKit
import XCTest

@testable import API

/// Files of kind AuthenticationConfiguration: what is wrong with them, and what happens when they change.
final class AuthenticationFileTests: XCTestCase {
    private static let kinds = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"

    private func read(_ text: String, anonymous: JSON = .null) throws -> AuthenticationSettings.Named {
        try AuthenticationFile(path: "/etc/a.yaml", anonymous: anonymous, reserved: ["https://own.example.com"])
            .settings(Array(text.utf8))
    }

    /// One issuer, its parts as JSON.
    private func issuer(
        _ issuer: String = #"{"url": "https://a.example.com", "audiences": ["x"]}"#,
        username: String = #"{"claim": "sub", "prefix": ""}"#, more: String = ""
    ) -> String {
        #"{"issuer": \#(issuer), "claimMappings": {"username": \#(username)}\#(more)}"#
    }

    func testMistakesAreToldWithTheirPlace() throws {
        let good = issuer()
        let rows: [(jwt: String, expected: String, reason: String)] = [
            (issuer(#"{"audiences": ["x"]}"#), "jwt[0].issuer.url: Required value", "no URL"),
            (issuer(#"{"url": "http://a", "audiences": ["x"]}"#), "URL scheme must be https", "no https"),
            (
                issuer(#"{"url": "https://u:p@a", "audiences": ["x"]}"#),
                #"jwt[0].issuer.url: Invalid value: "https://u:p@a": URL must not contain a username or password"#,
                "a user"
            ),
            (issuer(#"{"url": "https://a?b", "audiences": ["x"]}"#), "URL must not contain a query", "a query"),
            (issuer(#"{"url": "https://a#b", "audiences": ["x"]}"#), "URL must not contain a fragment", "a fragment"),
            (
                issuer(#"{"url": "https://own.example.com", "audiences": ["x"]}"#),
                "URL must not overlap with disallowed issuers", "the server's own issuer"
            ),
            (
                issuer(#"{"url": "https://a", "discoveryURL": "https://a/", "audiences": ["x"]}"#),
                "jwt[0].issuer.discoveryURL: Invalid value: \"https://a/\": discoveryURL must be different from URL",
                "a discovery URL that says nothing"
            ),
            (issuer(#"{"url": "https://a"}"#), "jwt[0].issuer.audiences: Required value", "no audience"),
            (
                issuer(#"{"url": "https://a", "audiences": ["x", "x"], "audienceMatchPolicy": "MatchAny"}"#),
                "jwt[0].issuer.audiences[1]: Duplicate value: \"x\"", "an audience twice"
            ),
            (
                issuer(#"{"url": "https://a", "audiences": ["x", "y"]}"#),
                "audienceMatchPolicy must be MatchAny for multiple audiences", "several audiences without a policy"
            ),
            (
                issuer(#"{"url": "https://a", "audiences": ["x"], "audienceMatchPolicy": "MatchAll"}"#),
                "audienceMatchPolicy must be empty or MatchAny for single audience", "a policy that is none"
            ),
            (
                issuer(#"{"url": "https://a", "audiences": ["x"], "certificateAuthority": "x"}"#),
                "jwt[0].issuer.certificateAuthority: Invalid value: \"<omitted>\"", "no certificate"
            ),
            (
                issuer(#"{"url": "https://a", "audiences": ["x"], "egressSelectorType": "cluster"}"#),
                "there are no egress selectors here", "what cannot be done is refused"
            ),
            (issuer(username: "{}"), "jwt[0].claimMappings.username: Required value", "no name"),
            (issuer(username: #"{"claim": "sub"}"#), "username.prefix: Required value", "a claim without prefix"),
            (
                issuer(username: #"{"expression": "claims.sub", "prefix": "a:"}"#),
                "prefix: Invalid value: \"a:\": may not be specified when expression is set",
                "a prefix of an expression"
            ),
            (
                issuer(username: #"{"expression": "claims.sub", "claim": "sub"}"#),
                "claim and expression can't both be set", "both"
            ),
            (
                issuer(username: #"{"expression": "claims.email"}"#),
                "claims.email_verified must be used", "an address that nobody has looked at"
            ),
            (
                issuer(more: #", "claimValidationRules": [{"expression": "true", "requiredValue": "x"}]"#),
                "claimValidationRules[0].requiredValue: Invalid value", "a value of an expression"
            ),
            (
                issuer(more: #", "claimValidationRules": [{"claim": "hd", "message": "x"}]"#),
                "claimValidationRules[0].message: Invalid value", "a message of a claim"
            ),
            (
                issuer(more: #", "claimValidationRules": [{"claim": "hd"}, {"claim": "hd"}]"#),
                "claimValidationRules[1].claim: Duplicate value: \"hd\"", "a claim twice"
            ),
            (
                issuer(more: #", "userValidationRules": [{"expression": "'x'"}]"#),
                "jwt[0].userValidationRules[0].expression: Invalid value: \"'x'\"",
                "a rule that is no condition"
            ),
            (issuer(more: #", "userValidationRules": [{}]"#), "expression: Required value", "a rule that says nothing"),
            (
                issuer(more: #", "userValidationRules": [{"expression": "user.name == 'a'"}]"#),
                "undefined field 'name'", "a member that users do not have"
            ),
            (
                issuer(more: #", "userValidationRules": [{"expression": "user.groups == 'a'"}]"#),
                "found no matching overload for '_==_'", "a member of another type"
            ),
            ("\(good), \(good)", "jwt[1].issuer.url: Duplicate value: \"https://a.example.com\"", "an issuer twice"),
            (issuer(more: #", "issuers": []"#), "unknown field \"jwt[0].issuers\"", "a member that is none"),
            (issuer(more: #", "claimValidationRules": {}"#), "claimValidationRules must be a list", "another type"),
        ]
        for (jwt, expected, reason) in rows {
            XCTAssertThrowsError(try read(Self.kinds + "jwt: [\(jwt)]\n"), reason) { error in
                let text = (error as? PluginError)?.message ?? ""
                XCTAssertTrue(text.hasPrefix("/etc/a.yaml: "), text)
                XCTAssertTrue(text.contains(expected), "\(reason): \(text)")
            }
        }
        let extra: [(key: String, expected: String)] = [
            ("", "key: Required value"), ("team", "must be a domain-prefixed path"), ("a.b/C", "must be lowercase"),
            ("a.k8s.io/team", "are reserved for Kubernetes use"),
        ]
        for (key, expected) in extra {
            let mapping = #"{"claim": "sub", "prefix": ""}, "extra": [{"key": "\#(key)", "valueExpression": "'x'"}]"#
            XCTAssertThrowsError(try read(Self.kinds + "jwt: [\(issuer(username: mapping))]\n"), expected) { error in
                XCTAssertTrue("\(error)".contains("jwt[0].claimMappings.extra[0].key: "), "\(error)")
                XCTAssertTrue("\(error)".contains(expected), "\(error)")
            }
        }
    }

    func testDocuments() throws {
        let rows: [(text: String, expected: String)] = [
            ("jwt: [", "/etc/a.yaml: line"),
            ("kind: AuthenticationConfiguration\n", "apiVersion apiserver.config.k8s.io/v1"),
            (Self.kinds + "anonymous: {enabled: false, conditions: [{path: /a}]}\n", "enabled should be set to true"),
            (
                Self.kinds + "anonymous: {enabled: true, conditions: [{}]}\n",
                "anonymous.conditions[0].path: Required value"
            ),
        ]
        for (text, expected) in rows {
            XCTAssertThrowsError(try read(text), expected) { XCTAssertTrue("\($0)".contains(expected), "\($0)") }
        }
        XCTAssertThrowsError(try read(Self.kinds + "anonymous: {enabled: true}\n", anonymous: ["enabled": false])) {
            XCTAssertTrue("\($0)".contains("anonymous: Forbidden"), "\($0)")
        }
        XCTAssertTrue(try read(Self.kinds).issuers.isEmpty, "issuers may come later")
        let beta = "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\n"
        let named = try read(
            beta + "anonymous: {enabled: true, conditions: [{path: /livez}]}\n"
                + "jwt: [\(issuer(username: #"{"expression": "claims.email_verified ? claims.email : ''"}"#))]\n")
        XCTAssertEqual(named.issuers.map(\.url), ["https://a.example.com"])
        XCTAssertTrue(named.anonymous.isOpen("/livez"))
        XCTAssertFalse(named.anonymous.isOpen("/livez/ping"), "a path is that path alone")
        XCTAssertThrowsError(try AuthenticationSettings(["configFile": "/etc/a.yaml", "jwt": []])) {
            XCTAssertTrue("\($0)".contains("jwt and configFile must not both be given"), "\($0)")
        }
    }

    func testTheFileIsFollowed() throws {
        let signer = try TokenSigner("a")
        let keys = JSON.array([try signer.webKey()])
        let server = try JSONServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let url = server.url("")
        server.answer { question in
            question.path == "/keys"
                ? ["keys": keys] : ["issuer": .string(url), "jwks_uri": .string(url + "/keys")]
        }
        let directory = try temporaryDirectory()
        defer { XCTAssertNoThrow(try FileTree.remove(directory)) }
        let path = directory + "/authentication.yaml"
        func write(_ prefix: String, _ more: JSON = .null) throws {
            var issuer: JSON = [
                "issuer": [
                    "url": .string(url), "certificateAuthority": .string(server.authority), "audiences": ["hostd"],
                ], "claimMappings": ["username": ["claim": "sub", "prefix": .string(prefix)]],
            ]
            if more.exists { issuer["more"] = more }
            let document: JSON = [
                "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [issuer],
            ]
            try AtomicFile.write(document.serialized(), to: path, isDurable: false)
        }
        try write("one:")
        let api = try TestServer(options: ["authentication": ["configFile": .string(path)]])
        defer { XCTAssertNoThrow(try api.stop()) }
        let token = try signer.token([
            "iss": .string(url), "sub": "ann", "aud": "hostd", "exp": .integer(Int64(time(nil)) + 600),
        ])
        func name() throws -> String {
            let answer = try api.request(
                "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"], token: token)
            XCTAssertEqual(answer.status, 201, answer.text)
            return try answer.json["status"]["userInfo"]["username"].stringValue ?? ""
        }
        func reloads(_ status: String) throws -> Bool {
            let text = try api.request("GET", "/metrics").text
            return text.split(separator: "\n").contains {
                $0.hasPrefix("apiserver_authentication_config_controller_automatic_reloads_total")
                    && $0.contains("status=\"\(status)\"") && $0.hasSuffix(" 1")
            }
        }
        XCTAssertEqual(try name(), "one:ann")
        try write("two:", "no such member")
        try api.eventually("the bad file is counted") { try reloads("failure") }
        XCTAssertEqual(try name(), "one:ann", "what it said before holds")
        try write("three:")
        try api.eventually("the good file is counted") { try reloads("success") }
        XCTAssertEqual(try name(), "three:ann")
    }
}
