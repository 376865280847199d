import Objects
import XCTest

@testable import Controllers

/// Which devices claims get on a node.
final class DeviceAllocatorTests: XCTestCase {
    private static let driver = "gpu.example"
    private let node: JSON = ["metadata": ["name": "n", "labels": ["zone": "a"]]]

    private func slice(
        _ devices: [JSON], name: String = "s", pool: String = "p", generation: Int64 = 1, count: Int64 = 1,
        _ more: JSON = ["nodeName": "n"]
    ) -> JSON {
        var spec = more
        spec["driver"] = .string(Self.driver)
        spec["pool"] = [
            "name": .string(pool), "generation": .integer(generation), "resourceSliceCount": .integer(count),
        ]
        if !devices.isEmpty { spec["devices"] = .array(devices) }
        return ["metadata": ["name": .string(name)], "spec": spec]
    }

    private func device(_ name: String, _ more: JSON = [:]) -> JSON {
        var device = more
        device["name"] = .string(name)
        return device
    }

    private func model(_ name: String, _ model: String) -> JSON {
        device(name, ["attributes": ["model": ["string": .string(model)]]])
    }

    private func exactly(_ name: String, _ wish: JSON = [:]) -> JSON {
        var wish = wish
        wish["deviceClassName"] = "gpu"
        if wish["allocationMode"].isNull { wish["allocationMode"] = "ExactCount" }
        if wish["count"].isNull, wish["allocationMode"] == "ExactCount" { wish["count"] = 1 }
        return ["name": .string(name), "exactly": wish]
    }

    private func claim(_ requests: [JSON], name: String = "c", _ more: JSON = [:]) -> JSON {
        var devices = more
        devices["requests"] = .array(requests)
        return [
            "metadata": ["name": .string(name), "namespace": "default", "uid": .string(name)],
            "spec": ["devices": devices],
        ]
    }

    private func selector(_ text: String) -> JSON { [["cel": ["expression": .string(text)]]] }

    private func allocator(
        _ claims: [JSON], _ slices: [JSON], used: [JSON] = [], deviceClass: JSON = ["metadata": ["name": "gpu"]]
    ) -> DeviceAllocator {
        DeviceAllocator(
            claims: claims, inventory: DeviceInventory(slices), used: DevicesInUse(used), selection: DeviceSelection(),
            makeShare: { "share" }, deviceClass: { $0 == "gpu" ? deviceClass : nil })
    }

    /// "request=device" of each claim; nil when there is nothing.
    private func given(
        _ claims: [JSON], _ slices: [JSON], used: [JSON] = [], deviceClass: JSON = ["metadata": ["name": "gpu"]]
    ) throws -> [String]? {
        try allocator(claims, slices, used: used, deviceClass: deviceClass).allocations(on: node)?.map { allocation in
            allocation["devices"]["results"].arrayValue.map {
                "\($0["request"].stringValue ?? "")=\($0["device"].stringValue ?? "")"
            }.joined(separator: " ")
        }
    }

    func testCounts() throws {
        let two = [slice([device("a"), device("b")])]
        let rows: [(reason: String, claims: [JSON], expected: [String]?)] = [
            ("one", [claim([exactly("r")])], ["r=a"]),
            ("two of one request", [claim([exactly("r", ["count": 2])])], ["r=a r=b"]),
            ("more than there are", [claim([exactly("r", ["count": 3])])], nil),
            ("two claims", [claim([exactly("r")]), claim([exactly("s")], name: "d")], ["r=a", "s=b"]),
            ("all", [claim([exactly("r", ["allocationMode": "All"])])], ["r=a r=b"]),
            (
                "all, when one is taken",
                [claim([exactly("q")]), claim([exactly("r", ["allocationMode": "All"])], name: "d")], nil
            ),
            ("nothing is asked for", [claim([])], [""]),
        ]
        for row in rows { XCTAssertEqual(try given(row.claims, two), row.expected, row.reason) }
        XCTAssertNil(
            try given([claim([exactly("r", ["allocationMode": "All"])])], [slice([])]), "all of none")
    }

    func testSelectors() throws {
        let devices = [slice([model("a", "small"), model("b", "big")])]
        let big = exactly("r", ["selectors": selector("device.attributes['gpu.example'].model == 'big'")])
        XCTAssertEqual(try given([claim([big])], devices), ["r=b"])
        let deviceClass: JSON = [
            "metadata": ["name": "gpu"], "spec": ["selectors": selector("device.driver == 'other'")],
        ]
        XCTAssertNil(try given([claim([exactly("r")])], devices, deviceClass: deviceClass))
        let unknown = exactly("r", ["selectors": selector("device.attributes['gpu.example'].x == 1")])
        XCTAssertThrowsError(try given([claim([unknown])], devices)) { error in
            XCTAssertEqual(
                "\(error)",
                "claim default/c: selector #0 on device gpu.example/p/a: CEL runtime error: no such key: x")
        }
        let elsewhere = exactly("r", ["selectors": selector("!has(device.attributes['other.example'].x)")])
        XCTAssertEqual(try given([claim([elsewhere])], devices), ["r=a"], "a domain of nothing is empty")
        let memory = [slice([device("a", ["capacity": ["memory": ["value": "4Gi"]]])])]
        let much = exactly(
            "r", ["selectors": selector("device.capacity['gpu.example'].memory.isGreaterThan(quantity('1Gi'))")])
        XCTAssertEqual(try given([claim([much])], memory), ["r=a"])
        let version = [slice([device("a", ["attributes": ["v": ["version": "1.2.3"]]])])]
        let new = exactly(
            "r", ["selectors": selector("device.attributes['gpu.example'].v.isGreaterThan(semver('1.0.0'))")])
        XCTAssertEqual(try given([claim([new])], version), ["r=a"])
    }

    func testWhatIsTaken() throws {
        let devices = [slice([device("a"), device("b")])]
        func taken(_ device: String, _ more: JSON = [:]) -> JSON {
            var result = more
            (result["driver"], result["pool"], result["device"]) = (.string(Self.driver), "p", .string(device))
            return ["devices": ["results": .array([result])]]
        }
        let one = [claim([exactly("r")])]
        XCTAssertEqual(try given(one, devices, used: [taken("a")]), ["r=b"])
        XCTAssertNil(try given(one, devices, used: [taken("a"), taken("b")]))
        XCTAssertEqual(
            try given(one, devices, used: [taken("a", ["adminAccess": true])]), ["r=a"],
            "administration takes nothing away")
        let admin = claim([exactly("r", ["adminAccess": true]), exactly("s", ["adminAccess": true])])
        XCTAssertEqual(
            try given([admin], devices, used: [taken("a"), taken("b")]), ["r=a s=b"],
            "nor minds it what is taken, but each device once")
    }

    func testConstraints() throws {
        let devices = [slice([model("a", "x"), model("b", "y"), model("c", "y"), device("d")])]
        let two = [exactly("r"), exactly("s")]
        let same = claim(two, ["constraints": [["matchAttribute": "gpu.example/model"]]])
        XCTAssertEqual(try given([same], devices), ["r=b s=c"])
        let different = claim(two, ["constraints": [["distinctAttribute": "gpu.example/model"]]])
        XCTAssertEqual(try given([different], devices), ["r=a s=b"])
        let partly = claim(two, ["constraints": [["requests": ["s"], "matchAttribute": "gpu.example/model"]]])
        XCTAssertEqual(try given([partly], devices), ["r=a s=b"])
        let three = claim([exactly("r", ["count": 3])], ["constraints": [["matchAttribute": "gpu.example/model"]]])
        XCTAssertNil(try given([three], devices))
    }

    func testAlternatives() throws {
        func way(_ name: String, _ model: String, count: Int64 = 1) -> JSON {
            [
                "name": .string(name), "deviceClassName": "gpu", "allocationMode": "ExactCount",
                "count": .integer(count),
                "selectors": selector("device.attributes['gpu.example'].model == '\(model)'"),
            ]
        }
        let request: JSON = ["name": "r", "firstAvailable": [way("big", "big", count: 2), way("small", "small")]]
        let devices = [slice([model("a", "small"), model("b", "big")])]
        let config: JSON = [
            ["requests": ["r/big"], "opaque": ["driver": "gpu.example", "parameters": ["a": 1]]],
            ["requests": ["r/small"], "opaque": ["driver": "gpu.example", "parameters": ["a": 2]]],
        ]
        let wanted = claim([request, exactly("s")], ["config": config])
        XCTAssertEqual(try given([wanted], devices), ["r/small=a s=b"])
        let allocation = try XCTUnwrap(try allocator([wanted], devices).allocations(on: node)?.first)
        XCTAssertEqual(
            allocation["devices"]["config"].arrayValue.map { $0["opaque"]["parameters"]["a"] }, [2],
            "what is about another alternative does not count")
        let more = [slice([model("a", "small"), model("b", "big"), model("c", "big")])]
        XCTAssertEqual(try given([claim([request])], more), ["r/big=b r/big=c"], "the first that can be had")
    }

    func testTaints() throws {
        func tainted(_ effect: String) -> [JSON] {
            [slice([device("a", ["taints": [["key": "k", "value": "v", "effect": .string(effect)]]])])]
        }
        let rows: [(effect: String, toleration: JSON, isGiven: Bool)] = [
            ("NoSchedule", [], false), ("NoExecute", [], false), ("None", [], true),
            ("NoSchedule", [["key": "k", "operator": "Exists"]], true),
            ("NoSchedule", [["operator": "Exists", "effect": "NoExecute"]], false),
            ("NoSchedule", [["key": "k", "operator": "Equal", "value": "w"]], false),
            ("NoSchedule", [["key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"]], true),
        ]
        for row in rows {
            let wanted = claim([exactly("r", ["tolerations": row.toleration])])
            XCTAssertEqual(try given([wanted], tainted(row.effect)) != nil, row.isGiven, "\(row)")
        }
    }

    func testPlaces() throws {
        let selector: JSON = [
            "nodeSelectorTerms": [["matchExpressions": [["key": "zone", "operator": "In", "values": ["a"]]]]]
        ]
        let byName: JSON = ["nodeSelectorTerms": .array([NodeNames.term("n")])]
        let rows: [(reason: String, slice: JSON, selector: JSON)] = [
            ("of the node", slice([device("a")]), byName),
            ("of all nodes", slice([device("a")], ["allNodes": true]), .null),
            ("of some nodes", slice([device("a")], ["nodeSelector": selector]), selector),
            (
                "of a node each",
                slice(
                    [device("z", ["nodeName": "m"]), device("a", ["nodeName": "n"])], ["perDeviceNodeSelection": true]),
                byName
            ),
            (
                "of all nodes, and bound to one",
                slice([device("a", ["bindsToNode": true])], ["allNodes": true]), byName
            ),
        ]
        for row in rows {
            let found = try allocator([claim([exactly("r")])], [row.slice]).allocations(on: node)
            XCTAssertEqual(found?[0]["devices"]["results"][0]["device"], "a", row.reason)
            XCTAssertEqual(found?[0]["nodeSelector"], row.selector, row.reason)
        }
        XCTAssertNil(try given([claim([exactly("r")])], [slice([device("a")], ["nodeName": "m"])]))
    }

    func testPools() throws {
        let one = [claim([exactly("r")])]
        let all = [claim([exactly("r", ["allocationMode": "All"])])]
        let partial = [slice([device("a")], count: 2)]
        XCTAssertNil(try given(one, partial), "a pool that is being written gives nothing")
        XCTAssertThrowsError(try given(all, partial)) { error in
            XCTAssertEqual(
                "\(error)",
                "claim default/c, request r: asks for all devices, but resource pool gpu.example/p is currently being updated"
            )
        }
        let renewed = [slice([device("old")], name: "s1"), slice([device("new")], name: "s2", generation: 2)]
        XCTAssertEqual(try given(one, renewed), ["r=new"])
        let twice = [slice([device("a")], name: "s1", count: 2), slice([device("a")], name: "s2", count: 2)]
        XCTAssertNil(try given(one, twice), "names are unique")
        let several = [slice([device("a")], pool: "q"), slice([device("b")], pool: "p")]
        XCTAssertEqual(try given(one, several), ["r=b"], "in the order of their names")
        let conditions: JSON = ["bindingConditions": ["ready"], "bindingFailureConditions": ["failed"]]
        let late = [slice([device("a", conditions)], pool: "a"), slice([device("b")], pool: "b")]
        XCTAssertEqual(try given(one, late), ["r=b"], "those without conditions first")
    }

    func testCounters() throws {
        func part(_ name: String, _ amount: String) -> JSON {
            device(
                name, ["consumesCounters": [["counterSet": "c", "counters": ["memory": ["value": .string(amount)]]]]])
        }
        let counters = slice(
            [], name: "s1", count: 2,
            ["nodeName": "n", "sharedCounters": [["name": "c", "counters": ["memory": ["value": "4Gi"]]]]])
        let devices = slice([part("whole", "4Gi"), part("half1", "2Gi"), part("half2", "2Gi")], name: "s2", count: 2)
        XCTAssertEqual(try given([claim([exactly("r", ["count": 2])])], [counters, devices]), ["r=half1 r=half2"])
        XCTAssertNil(try given([claim([exactly("r", ["count": 3])])], [counters, devices]))
        let used: JSON = [
            "devices": ["results": [["driver": .string(Self.driver), "pool": "p", "device": "half2"]]]
        ]
        XCTAssertEqual(try given([claim([exactly("r")])], [counters, devices], used: [used]), ["r=half1"])
    }

    func testSharedDevices() throws {
        let policy: JSON = ["default": "1Gi", "validRange": ["min": "1Gi", "step": "1Gi", "max": "4Gi"]]
        let shared = [
            slice([
                device(
                    "a",
                    [
                        "allowMultipleAllocations": true,
                        "capacity": ["memory": ["value": "4Gi", "requestPolicy": policy]],
                    ])
            ])
        ]
        func wish(_ amount: String) -> JSON {
            exactly("r", ["capacity": ["requests": ["memory": .string(amount)]]])
        }
        let allocations = try XCTUnwrap(
            try allocator([claim([wish("1500Mi")]), claim([exactly("r")], name: "d")], shared).allocations(on: node))
        let results = allocations.map { $0["devices"]["results"][0] }
        XCTAssertEqual(results.map { $0["consumedCapacity"]["memory"] }, ["2Gi", "1Gi"], "rounded, and by default")
        XCTAssertEqual(results.map { $0["shareID"] }, ["share", "share"])
        XCTAssertNil(try given([claim([wish("3Gi")]), claim([wish("2Gi")], name: "d")], shared))
        XCTAssertNil(try given([claim([wish("5Gi")])], shared), "beyond the range")
        XCTAssertNil(try given([claim([wish("2Gi")])], shared, used: [allocations[0], allocations[1]]))
        XCTAssertEqual(try given([claim([wish("1Gi")])], shared, used: [allocations[0], allocations[1]]), ["r=a"])
        let other = exactly("r", ["capacity": ["requests": ["bandwidth": "1"]]])
        XCTAssertNil(try given([claim([other])], shared), "of a capacity that it does not have")
        let whole = [slice([device("a", ["capacity": ["memory": ["value": "4Gi"]]])])]
        XCTAssertEqual(try given([claim([wish("4Gi")])], whole), ["r=a"])
        XCTAssertNil(try given([claim([wish("5Gi")])], whole))
    }

    func testConfigurations() throws {
        func config(_ value: Int64) -> JSON {
            ["opaque": ["driver": .string(Self.driver), "parameters": ["a": .integer(value)]]]
        }
        let deviceClass: JSON = ["metadata": ["name": "gpu"], "spec": ["config": .array([config(1)])]]
        var partial = config(2)
        partial["requests"] = ["s"]
        let wanted = claim([exactly("r"), exactly("s")], ["config": .array([partial, config(3)])])
        let allocation = try allocator(
            [wanted], [slice([device("a"), device("b")])], deviceClass: deviceClass
        ).allocations(on: node)?.first
        XCTAssertEqual(
            allocation?["devices"]["config"].arrayValue.map {
                "\($0["source"].stringValue ?? "") \($0["opaque"]["parameters"]["a"]) \($0["requests"])"
            }, ["FromClass 1 null", #"FromClaim 2 ["s"]"#, "FromClaim 3 null"])
    }
}
