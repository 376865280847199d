import Objects
import XCTest

/// What decides on which nodes a pod may run.
final class PlacementRulesTests: XCTestCase {
    private let pods = try? ObjectTable(
        #"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i:1"}]}}
        """#)

    private func check(_ rows: [(String, [String])], line: UInt = #line) throws {
        try XCTUnwrap(pods).check(rows.map { (#"{"spec":{\#($0.0)}}"#, $0.1.map { "spec." + $0 }) }, line: line)
    }

    func testNodeAffinity() throws {
        let place = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        func required(_ terms: String) -> String {
            #""affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[\#(terms)]}}}"#
        }
        func preferred(_ term: String) -> String {
            #""affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[\#(term)]}}"#
        }
        try check([
            (required("{}"), []),
            (required(""), ["\(place): Required value: must have at least one node selector term"]),
            (
                required(#"{"matchExpressions":[{"key":"a","operator":"In"},{"key":"a","operator":"Near"}]}"#),
                [
                    "\(place)[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    #"\#(place)[0].matchExpressions[1].operator: Invalid value: "Near": not a valid selector operator"#,
                ]
            ),
            (
                required(#"{"matchExpressions":[{"key":"a","operator":"Gt","values":["1","2"]}]}"#),
                [
                    "\(place)[0].matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'"
                ]
            ),
            (
                required(#"{"matchFields":[{"key":"metadata.name","operator":"In","values":["a","b"]}]}"#),
                [
                    "\(place)[0].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
                ]
            ),
            (
                required(#"{"matchFields":[{"key":"metadata.uid","operator":"Exists"}]}"#),
                [
                    #"\#(place)[0].matchFields[0].operator: Invalid value: "Exists": not a valid selector operator"#,
                    #"\#(place)[0].matchFields[0].key: Invalid value: "metadata.uid": not a valid field selector key"#,
                ]
            ),
            (
                preferred(
                    #"{"weight":1,"preference":{"matchExpressions":[{"key":"a","operator":"In","values":["not a label"]}]}}"#
                ), []
            ),
            (
                preferred(#"{"weight":0,"preference":{}}"#),
                [
                    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100"
                ]
            ),
        ])
    }

    func testPodAffinity() throws {
        let place = "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
        func term(_ members: String) -> String {
            #""affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{\#(members)}]}}"#
        }
        try check([
            (term(#""topologyKey":"zone","namespaces":["a"]"#), []),
            (
                term(#""topologyKey":"zone","namespaces":["a.b"]"#),
                [#"\#(place).namespace: Invalid value: "a.b": must not contain dots"#]
            ),
            (
                term(#""topologyKey":"zone","matchLabelKeys":["a"]"#),
                ["\(place).matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"]
            ),
            (
                term(#""topologyKey":"zone","labelSelector":{},"matchLabelKeys":["a"],"mismatchLabelKeys":["a"]"#),
                [
                    #"\#(place).matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and mismatchLabelKeys"#
                ]
            ),
        ])
        XCTAssertEqual(
            try XCTUnwrap(pods).faults(#"{"spec":{\#(term(""))}}"#).map { $0.prefix(while: { $0 != "(" }) }.map(
                String.init),
            [
                "spec.\(place).topologyKey: Required value: can not be empty",
                #"spec.\#(place).topologyKey: Invalid value: "": name part must be non-empty"#,
                #"spec.\#(place).topologyKey: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "#,
            ])
    }

    func testSpread() throws {
        func constraint(_ members: String) -> String { #""topologySpreadConstraints":[{\#(members)}]"# }
        let fine = #""maxSkew":1,"topologyKey":"any key","whenUnsatisfiable":"DoNotSchedule""#
        let place = "topologySpreadConstraints[0]"
        try check([
            (constraint(fine), []),
            (
                constraint(""),
                [
                    "\(place).maxSkew: Invalid value: 0: must be greater than zero",
                    "\(place).topologyKey: Required value: can not be empty",
                    #"\#(place).whenUnsatisfiable: Unsupported value: "": supported values: "DoNotSchedule", "ScheduleAnyway""#,
                ]
            ),
            (
                constraint("\(fine)},{\(fine)"),
                [
                    #"\#(place).{topologyKey, whenUnsatisfiable}: Duplicate value: "{any key, DoNotSchedule}""#
                ]
            ),
            (
                constraint(#""maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway","minDomains":0"#),
                [
                    "\(place).minDomains: Invalid value: 0: must be greater than zero",
                    "\(place).minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
                ]
            ),
            (
                constraint("\(fine),\"nodeTaintsPolicy\":\"Some\""),
                [#"\#(place).nodeTaintsPolicy: Unsupported value: "Some": supported values: "Honor", "Ignore""#]
            ),
            (
                constraint("\(fine),\"labelSelector\":{\"matchLabels\":{\"a\":\"b\"}},\"matchLabelKeys\":[\"a\"]"),
                [
                    #"\#(place).matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector"#
                ]
            ),
            (
                constraint(
                    "\(fine),\"labelSelector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"b\"]}]},\"matchLabelKeys\":[\"a\"]"
                ), []
            ),
            (
                constraint("\(fine),\"matchLabelKeys\":[\"a\"]"),
                ["\(place).matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"]
            ),
        ])
    }

    func testTolerationsAndGates() throws {
        func toleration(_ members: String) -> String { #""tolerations":[{\#(members)}]"# }
        try check([
            (toleration(#""operator":"Exists""#), []), (toleration(#""key":"a","operator":"Gt","value":"-7""#), []),
            (
                toleration(#""key":"a","value":"not a label""#),
                [
                    #"tolerations[0].operator: Invalid value: "not a label": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#
                ]
            ),
            (
                toleration(#""key":"a","operator":"Lt","value":"007""#),
                [
                    #"tolerations[0].value: Invalid value: "007": must be a valid decimal integer in canonical form"#
                ]
            ),
            (
                toleration(#""key":"a","effect":"Never""#),
                [
                    #"tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#
                ]
            ),
            (
                #""schedulingGates":[{"name":"a"},{"name":"a"}]"#,
                [#"schedulingGates[1]: Duplicate value: "a""#]
            ),
        ])
    }
}
