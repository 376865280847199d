import Objects
import XCTest

@testable import ObjectSchema

/// What is refused of the objects of dynamic resource allocation, and where.
final class DeviceValidationTests: XCTestCase {
    private let schema = Schema.shared

    /// What is done to a valid object, and how what is said begins; nil for nothing.
    private typealias Row = (reason: String, path: String, value: String?, error: String)

    private func complete(_ object: JSON, _ node: SchemaNode) -> JSON {
        var object = object
        object["metadata"] = ["name": "x"]
        schema.applyDefaults(&object, as: node)
        return object
    }

    private func errors(_ kind: String, _ object: JSON, from old: JSON? = nil) throws -> [String] {
        let node = try XCTUnwrap(
            schema.kind(GroupVersionKind(group: "resource.k8s.io", version: "v1", kind: kind)))
        let new = complete(object, node)
        guard let old else { return schema.validate(new, as: node).map(\.description) }
        return schema.validateUpdate(from: complete(old, node), to: new, as: node).map(\.description)
    }

    /// - Parameter value: JSON; nil to remove what is there.
    private func changed(_ object: JSON, _ path: String, _ value: String?) throws -> JSON {
        let step: JSON =
            if let value {
                ["op": "add", "path": .string(path), "value": try JSON(parsing: value)]
            } else {
                ["op": "remove", "path": .string(path)]
            }
        return try JSONPatch.apply([step], to: object)
    }

    private func check(_ kind: String, _ base: JSON, _ place: String, _ rows: [Row]) throws {
        XCTAssertEqual(try errors(kind, base), [], "\(kind) is valid")
        for row in rows {
            let found = try errors(kind, changed(base, "\(place)/\(row.path)", row.value))
            XCTAssertEqual(found.count, 1, "\(row.reason): \(found)")
            XCTAssertTrue((found.first ?? "").hasPrefix(row.error), "\(row.reason): \(found)")
        }
    }

    private let claim: JSON = [
        "spec": [
            "devices": [
                "requests": [
                    ["name": "one", "exactly": ["deviceClassName": "gpu"]],
                    ["name": "any", "firstAvailable": [["name": "big", "deviceClassName": "gpu"]]],
                ],
                "constraints": [["requests": ["one", "any/big"], "matchAttribute": "example.com/model"]],
                "config": [
                    ["requests": ["any"], "opaque": ["driver": "example.com", "parameters": ["a": 1]]]
                ],
            ]
        ]
    ]

    func testClaims() throws {
        let rows: [Row] = [
            (
                "no name", "requests/1/firstAvailable/1", #"{"name":"","deviceClassName":"gpu"}"#,
                #"spec.devices.requests[1].firstAvailable[1].name: Invalid value: "": a lowercase RFC 1123 label"#
            ),
            (
                "neither form", "requests/0/exactly", nil,
                #"spec.devices.requests[0]: Required value: exactly one of"#
            ),
            (
                "both forms", "requests/0/firstAvailable", #"[{"name":"b","deviceClassName":"gpu"}]"#,
                #"spec.devices.requests[0]: Invalid value: null: exactly one of"#
            ),
            (
                "no class", "requests/0/exactly/deviceClassName", #""""#,
                #"spec.devices.requests[0].exactly.deviceClassName: Required value"#
            ),
            (
                "a count of all", "requests/0/exactly", #"{"deviceClassName":"gpu","allocationMode":"All","count":2}"#,
                #"spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'"#
            ),
            (
                "none", "requests/0/exactly/count", #"-1"#,
                #"spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero"#
            ),
            (
                "another mode", "requests/0/exactly/allocationMode", #""Some""#,
                #"spec.devices.requests[0].exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount""#
            ),
            (
                "a toleration of a value that exists", "requests/0/exactly/tolerations",
                #"[{"operator":"Exists","value":"v"}]"#,
                #"spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: "v": must be empty for operator `Exists`"#
            ),
            (
                "an effect", "requests/0/exactly/tolerations", #"[{"operator":"Exists","effect":"Now"}]"#,
                #"spec.devices.requests[0].exactly.tolerations[0].effect: Unsupported value: "Now""#
            ),
            (
                "an unknown request", "constraints/0/requests/0", #""two""#,
                #"spec.devices.constraints[0].requests[0]: Invalid value: "two": must be the name of a request"#
            ),
            (
                "an unknown alternative", "constraints/0/requests", #"["any/small"]"#,
                #"spec.devices.constraints[0].requests[0]: Invalid value: "any/small""#
            ),
            (
                "a request twice", "constraints/0/requests", #"["one","one"]"#,
                #"spec.devices.constraints[0].requests[1]: Duplicate value: "one""#
            ),
            (
                "an attribute without its domain", "constraints/0/matchAttribute", #""model""#,
                #"spec.devices.constraints[0].matchAttribute: Invalid value: "model": a fully qualified name"#
            ),
            (
                "no attribute", "constraints/0/matchAttribute", nil,
                #"spec.devices.constraints[0]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is required"#
            ),
            (
                "parameters that are no object", "config/0/opaque/parameters", #""x""#,
                #"spec.devices.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object"#
            ),
            (
                "no driver", "config/0/opaque/driver", #""""#,
                #"spec.devices.config[0].opaque.driver: Required value"#
            ),
            (
                "nothing", "config/0/opaque", nil,
                #"spec.devices.config[0].opaque: Required value"#
            ),
        ]
        try check("ResourceClaim", claim, "/spec/devices", rows)
        let other = try changed(claim, "/spec/devices/config", nil)
        XCTAssertEqual(
            try errors("ResourceClaim", other, from: claim).map { $0.prefix(20) }, ["spec: Invalid value:"],
            "a claim does not change")
        let wrong = try changed(claim, "/spec/devices/requests/0/name", #""Two""#)
        XCTAssertEqual(
            try errors("ResourceClaim", wrong, from: claim).map { $0.prefix(20) }, ["spec: Invalid value:"],
            "nor is it looked at again")
    }

    func testExpressions() throws {
        let rows: [(reason: String, text: String, error: String)] = [
            (
                "a driver", #"device.driver == 'example.com'"#,
                #""#
            ),
            (
                "an attribute", #"device.attributes['example.com'].model == 'a'"#,
                #""#
            ),
            (
                "a capacity", #"device.capacity['example.com'].memory.compareTo(quantity('1Gi')) >= 0"#,
                #""#
            ),
            (
                "a version", #"device.attributes['example.com'].version.isGreaterThan(semver('1.2.3'))"#,
                #""#
            ),
            (
                "a name for a value", #"cel.bind(d, device.attributes['example.com'], d.model == 'a')"#,
                #""#
            ),
            (
                "syntax", #"device.driver =="#,
                #"Invalid value: "device.driver ==": compilation failed: "#
            ),
            (
                "an unknown field", #"device.name == 'a'"#,
                #"Invalid value: "device.name == 'a'": compilation failed: "#
            ),
            (
                "an unknown variable", #"object.x"#,
                #"Invalid value: "object.x": compilation failed: "#
            ),
            (
                "no answer", #"device.driver"#,
                #"Invalid value: "device.driver": must evaluate to bool or the unknown type, not string"#
            ),
            (
                "too costly",
                #"device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, true))))"#,
                #"Forbidden: too complex, exceeds cost limit"#
            ),
        ]
        let place = "spec.devices.requests[0].exactly.selectors[0].cel.expression: "
        func check(_ reason: String, _ text: String, _ error: String) throws {
            let selectors: JSON = [["cel": ["expression": .string(text)]]]
            let found = try errors(
                "ResourceClaim",
                changed(claim, "/spec/devices/requests/0/exactly/selectors", selectors.serializedString()))
            XCTAssertEqual(found.count, error.isEmpty ? 0 : 1, "\(reason): \(found)")
            XCTAssertTrue((found.first ?? place).hasPrefix(place + error), "\(reason): \(found)")
        }
        for row in rows { try check(row.reason, row.text, row.error) }
        try check(
            "too long", String(repeating: "true && ", count: 1300) + "true",
            "Too long: may not be more than 10240 bytes")
    }

    func testClasses() throws {
        let rows: [Row] = [
            (
                "no expression", "selectors", #"[{}]"#,
                #"spec.selectors[0].cel: Required value"#
            ),
            (
                "a native resource", "extendedResourceName", #""cpu""#,
                #"spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name"#
            ),
            (
                "nothing", "config", #"[{}]"#,
                #"spec.config[0].opaque: Required value"#
            ),
        ]
        let base: JSON = [
            "spec": ["selectors": [["cel": ["expression": "true"]]], "extendedResourceName": "example.com/gpu"]
        ]
        try check("DeviceClass", base, "/spec", rows)
        let many = JSON(Array(repeating: JSON.object(["opaque": ["driver": "a", "parameters": [:]]]), count: 33))
        XCTAssertEqual(
            try errors("DeviceClass", changed(base, "/spec/config", many.serializedString())),
            ["spec.config: Too many: 33: must have at most 32 items"])
    }

    private let slice: JSON = [
        "spec": [
            "driver": "example.com", "nodeName": "n",
            "pool": ["name": "n/a", "generation": 0, "resourceSliceCount": 1],
            "devices": [
                [
                    "name": "d", "allowMultipleAllocations": true,
                    "attributes": [
                        "model": ["string": "m"], "other.com/v": ["version": "1.2.3-a.1+b"], "l": ["ints": [1, 2]],
                    ],
                    "capacity": [
                        "memory": [
                            "value": "8Gi",
                            "requestPolicy": ["default": "1Gi", "validRange": ["min": "1Gi", "step": "1Gi"]],
                        ]
                    ],
                    "taints": [["key": "example.com/broken", "effect": "NoSchedule"]],
                ]
            ],
        ]
    ]

    func testSlices() throws {
        let rows: [Row] = [
            (
                "no driver", "driver", #""""#,
                #"spec.driver: Required value"#
            ),
            (
                "no pool", "pool/name", #""""#,
                #"spec.pool.name: Required value"#
            ),
            (
                "no slices", "pool/resourceSliceCount", #"0"#,
                #"spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero"#
            ),
            (
                "a generation", "pool/generation", #"-1"#,
                #"spec.pool.generation: Invalid value: -1: must be greater than or equal to zero"#
            ),
            (
                "nowhere", "nodeName", nil,
                #"spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"#
            ),
            (
                "two places", "allNodes", #"true"#,
                #"spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of"#
            ),
            (
                "not all nodes", "allNodes", #"false"#,
                #"spec.allNodes: Invalid value: false: must be either unset or set to true"#
            ),
            (
                "a place of a device", "devices/0/nodeName", #""n""#,
                #"spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if"#
            ),
            (
                "counters beside devices", "sharedCounters", #"[{"name":"c","counters":{"a":{"value":"1"}}}]"#,
                #"spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed"#
            ),
            (
                "two values", "devices/0/attributes/model/int", #"1"#,
                #"spec.devices[0].attributes[model]: Invalid value: {"string":"m","int":1}: exactly one value must be specified"#
            ),
            (
                "no value", "devices/0/attributes/model", #"{}"#,
                #"spec.devices[0].attributes[model]: Invalid value: "": exactly one value must be specified"#
            ),
            (
                "an empty list", "devices/0/attributes/l/ints", #"[]"#,
                #"spec.devices[0].attributes[l].ints: Invalid value: []: must not be empty if specified"#
            ),
            (
                "a version", "devices/0/attributes/other.com~1v/version", #""1.02.3""#,
                #"spec.devices[0].attributes[other.com/v].version: Invalid value: "1.02.3": must be a string compatible with semver.org"#
            ),
            (
                "a long text", "devices/0/attributes/model/string",
                #""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#,
                #"spec.devices[0].attributes[model].string: Too long: may not be more than 64 bytes"#
            ),
            (
                "a name that is none", "devices/0/attributes/a-b", #"{"bool":true}"#,
                #"spec.devices[0].attributes: Invalid value: "a-b": a valid C identifier"#
            ),
            (
                "two slashes", "devices/0/attributes/a~1b~1c", #"{"bool":true}"#,
                #"spec.devices[0].attributes: Invalid value: "a/b/c": must not contain more than one slash"#
            ),
            (
                "a taint without an effect", "devices/0/taints", #"[{"key":"k"}]"#,
                #"spec.devices[0].taints[0].effect: Required value"#
            ),
            (
                "a taint's effect", "devices/0/taints/0/effect", #""Now""#,
                #"spec.devices[0].taints[0].effect: Unsupported value: "Now": supported values: "NoExecute", "NoSchedule", "None""#
            ),
            (
                "a policy of one user", "devices/0/allowMultipleAllocations", #"false"#,
                #"spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true"#
            ),
            (
                "a default that no step reaches", "devices/0/capacity/memory/requestPolicy",
                #"{"default":"1500Mi","validRange":{"min":"1Gi","step":"1Gi"}}"#,
                #"spec.devices[0].capacity[memory].requestPolicy.validRange.step: Invalid value: "1500Mi": value is not a multiple"#
            ),
            (
                "no default", "devices/0/capacity/memory/requestPolicy", #"{"validRange":{"min":"1Gi"}}"#,
                #"spec.devices[0].capacity[memory].requestPolicy.default: Required value: required when validRange is defined"#
            ),
            (
                "values and a range", "devices/0/capacity/memory/requestPolicy",
                #"{"default":"1","validValues":["1"],"validRange":{"min":"1"}}"#,
                #"spec.devices[0].capacity[memory].requestPolicy: Forbidden: exactly one policy can be specified, cannot specify "validValues" and"#
            ),
            (
                "a step beyond all", "devices/0/capacity/memory/requestPolicy",
                #"{"default":"4Gi","validRange":{"min":"4Gi","step":"6Gi"}}"#,
                #"spec.devices[0].capacity[memory].requestPolicy.validRange.step: Invalid value: "6Gi": one step 10Gi is larger than capacity value: 8Gi"#
            ),
            (
                "less than nothing", "devices/0/capacity/memory/requestPolicy",
                #"{"default":"1Gi","validRange":{"min":"-1Gi","step":"1Gi"}}"#,
                #"spec.devices[0].capacity[memory].requestPolicy.validRange.min: Invalid value: "-1Gi": must be greater than or equal to 0"#
            ),
            (
                "values in disorder", "devices/0/capacity/memory/requestPolicy",
                #"{"default":"1","validValues":["2","1"]}"#,
                #"spec.devices[0].capacity[memory].requestPolicy.validValues[1]: Invalid value: "1": values must be sorted in ascending order"#
            ),
            (
                "a default of none", "devices/0/capacity/memory/requestPolicy",
                #"{"default":"3","validValues":["1","2"]}"#,
                #"spec.devices[0].capacity[memory].requestPolicy.validValues: Invalid value: "3": default value is not valid"#
            ),
            (
                "counters of none", "devices/0/consumesCounters", #"[{"counterSet":"c","counters":{}}]"#,
                #"spec.devices[0].consumesCounters[0].counters: Required value"#
            ),
            (
                "conditions alone", "devices/0/bindingConditions", #"["a"]"#,
                #"spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required"#
            ),
        ]
        try check("ResourceSlice", slice, "/spec", rows)
        XCTAssertEqual(
            try errors("ResourceSlice", changed(slice, "/spec/devices", #"[{"name":"d"},{"name":"d"}]"#)),
            ["spec.devices[1]: Duplicate value: \"d\""])
        let many = JSON((0..<129).map { JSON.object(["name": .string("d\($0)")]) })
        XCTAssertEqual(
            try errors("ResourceSlice", changed(slice, "/spec/devices", many.serializedString())),
            ["spec.devices: Too many: 129: must have at most 128 items"])
        let long = String(repeating: "a", count: 64) + "/" + String(repeating: "b", count: 64)
        let shown = String(repeating: "a", count: 47) + "..." + String(repeating: "b", count: 46)
        XCTAssertEqual(
            try errors(
                "ResourceSlice", changed(slice, "/spec/devices/0/attributes", "{\"\(long)\":{}}")
            ).filter { $0.contains("exactly one value") },
            ["spec.devices[0].attributes[\(shown)]: Invalid value: \"\": exactly one value must be specified"])
        for path in ["driver", "nodeName", "pool/name"] {
            let moved = try changed(slice, "/spec/\(path)", #""other""#)
            XCTAssertEqual(
                try errors("ResourceSlice", moved, from: slice),
                ["spec.\(path.replacing("/", with: ".")): Invalid value: \"other\": field is immutable"])
        }
    }

    private let allocated: JSON = [
        "metadata": ["name": "x"],
        "spec": ["devices": ["requests": [["name": "one", "exactly": ["deviceClassName": "gpu"]]]]],
        "status": [
            "allocation": [
                "devices": [
                    "results": [["request": "one", "driver": "example.com", "pool": "p", "device": "d"]]
                ]
            ],
            "reservedFor": [["resource": "pods", "name": "p", "uid": "u"]],
        ],
    ]

    func testStatus() throws {
        let rows: [Row] = [
            (
                "another request", "allocation/devices/results/0/request", #""two""#,
                #"status.allocation.devices.results[0].request: Invalid value: "two""#
            ),
            (
                "a reservation of nothing", "allocation", nil,
                #"status.reservedFor: Forbidden: may not be specified when `allocated` is not set"#
            ),
            (
                "nobody", "reservedFor/0/uid", #""""#,
                #"status.reservedFor[0].uid: Required value"#
            ),
            (
                "twice", "reservedFor/1", #"{"resource":"pods","name":"q","uid":"u"}"#,
                #"status.reservedFor[1]: Duplicate value: "u""#
            ),
            (
                "a device that was not given", "devices", #"[{"driver":"example.com","pool":"p","device":"e"}]"#,
                #"status.devices[0]: Invalid value: "example.com/p/e": must be an allocated device in the claim"#
            ),
            (
                "an address", "devices",
                #"[{"driver":"example.com","pool":"p","device":"d","networkData":{"ips":["10.1.2.3"]}}]"#,
                #"status.devices[0].networkData.ips[0]: Invalid value: "10.1.2.3": must be a valid address in CIDR form"#
            ),
            (
                "no pool", "allocation/devices/results/1", #"{"request":"one","driver":"example.com","device":"e"}"#,
                #"status.allocation.devices.results[1].pool: Required value"#
            ),
            (
                "a share", "allocation/devices/results/1",
                #"{"request":"one","driver":"example.com","pool":"p","device":"e","shareID":"X"}"#,
                #"status.allocation.devices.results[1].shareID: Invalid value: "X": error validating uid: invalid UUID length: 1"#
            ),
            (
                "a share in capital letters", "allocation/devices/results/1",
                #"{"request":"one","driver":"example.com","pool":"p","device":"e","shareID":"550E8400-E29B-41D4-A716-446655440000"}"#,
                #"status.allocation.devices.results[1].shareID: Invalid value: "550E8400-E29B-41D4-A716-446655440000": uid must be in RFC 4122"#
            ),
            (
                "no node", "allocation/nodeSelector", #"{"nodeSelectorTerms":[]}"#,
                #"status.allocation.nodeSelector.nodeSelectorTerms: Required value"#
            ),
            (
                "a state of no kind", "devices",
                #"[{"driver":"example.com","pool":"p","device":"d","conditions":[{"type":"R","status":"","reason":"A","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]"#,
                #"status.devices[0].conditions[0].status: Unsupported value: "": supported values: "False", "True", "Unknown""#
            ),
            (
                "a state of no time", "devices",
                #"[{"driver":"example.com","pool":"p","device":"d","conditions":[{"type":"R","status":"True","reason":"A"}]}]"#,
                #"status.devices[0].conditions[0].lastTransitionTime: Required value: must be set"#
            ),
            (
                "an address in another form", "devices",
                #"[{"driver":"example.com","pool":"p","device":"d","networkData":{"ips":["2001:DB8::1/64"]}}]"#,
                #"status.devices[0].networkData.ips[0]: Invalid value: "2001:DB8::1/64": must be in canonical form ("2001:db8::1/64")"#
            ),
        ]
        var before = allocated
        before["status"] = [:]
        XCTAssertEqual(schema.claimStatusErrors(from: before, to: allocated), [])
        let told = #"[{"driver":"example.com","pool":"p","device":"d","networkData":{"ips":["10.1.2.3/24"]}}]"#
        XCTAssertEqual(
            schema.claimStatusErrors(from: before, to: try changed(allocated, "/status/devices", told)), [])
        for row in rows {
            let claim = try changed(allocated, "/status/\(row.path)", row.value)
            let found = schema.claimStatusErrors(from: before, to: claim).map(\.description)
            XCTAssertEqual(found.count, 1, "\(row.reason): \(found)")
            XCTAssertTrue((found.first ?? "").hasPrefix(row.error), "\(row.reason): \(found)")
        }
        let moved = try changed(allocated, "/status/allocation/devices/results/0/pool", #""q""#)
        XCTAssertEqual(
            schema.claimStatusErrors(from: allocated, to: moved).map { $0.description.prefix(33) },
            ["status.allocation: Invalid value:"], "an allocation does not change")
    }
}
