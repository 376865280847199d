import Objects
import XCTest

@testable import Controllers

/// What becomes of claims, and what pods wait for.
final class ClaimPlanTests: XCTestCase {
    private func claim(
        reserved: [String] = [], isAllocated: Bool = true, isHeld: Bool = true, isDeleted: Bool = false,
        owner: String = ""
    ) -> JSON {
        var claim: JSON = ["metadata": ["name": "c", "namespace": "n", "uid": "c"], "spec": [:], "status": [:]]
        if isHeld { claim["metadata"]["finalizers"] = .array([.string(PodClaims.finalizer)]) }
        if isDeleted { claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
        if isAllocated { claim["status"]["allocation"] = ["devices": [:]] }
        for uid in reserved {
            claim["status"]["reservedFor"].append(["resource": "pods", "name": .string(uid), "uid": .string(uid)])
        }
        if !owner.isEmpty {
            claim["metadata"]["ownerReferences"] = [
                ["apiVersion": "v1", "kind": "Pod", "name": "p", "uid": .string(owner), "controller": true]
            ]
        }
        return claim
    }

    private func plan(_ claim: JSON, gone: Set<String> = [], pod: JSON? = nil) -> ClaimPlan {
        ClaimPlan(
            claim, consumer: { gone.contains($0["uid"].stringValue ?? "") ? .isGone : .needsIt }, pod: { _ in pod })
    }

    func testPlans() {
        XCTAssertEqual(plan(claim(reserved: ["a", "b"])).changesStatus, false, "all need it")
        let partly = plan(claim(reserved: ["a", "b"]), gone: ["a"])
        XCTAssertEqual(partly.reservations?.count, 1)
        XCTAssertFalse(partly.deallocates, "somebody is left")
        XCTAssertFalse(partly.releases)
        let last = plan(claim(reserved: ["a"]), gone: ["a"])
        XCTAssertTrue(last.deallocates && last.releases, "the last takes the devices along")
        XCTAssertEqual(last.status(of: claim(reserved: ["a"])), [:])
        let idle = plan(claim())
        XCTAssertFalse(idle.deallocates || idle.releases, "one that was never used keeps its devices")
        let deleted = plan(claim(isDeleted: true))
        XCTAssertTrue(deleted.deallocates && deleted.releases)
        let foreign = plan(claim(reserved: ["a"], isHeld: false), gone: ["a"])
        XCTAssertFalse(foreign.deallocates, "what somebody else allocated is theirs")
    }

    func testClaimsMadeForPods() {
        func pod(_ uid: String, _ phase: String) -> JSON {
            ["metadata": ["name": "p", "uid": .string(uid)], "status": ["phase": .string(phase)], "spec": [:]]
        }
        let rows: [(reason: String, claim: JSON, pod: JSON?, expected: Bool)] = [
            ("it runs", claim(owner: "u"), pod("u", "Running"), false),
            ("it has ended", claim(owner: "u"), pod("u", "Succeeded"), true),
            ("it is another", claim(owner: "u"), pod("v", "Running"), true),
            ("it is unknown", claim(owner: "u"), nil, false),
            ("it goes already", claim(isDeleted: true, owner: "u"), pod("u", "Failed"), false),
            ("of nobody", claim(), pod("u", "Failed"), false),
            ("still reserved", claim(reserved: ["u"], owner: "u"), pod("u", "Failed"), false),
        ]
        for row in rows { XCTAssertEqual(plan(row.claim, pod: row.pod).deletes, row.expected, row.reason) }
    }

    func testNames() {
        let template: JSON = [
            "metadata": ["name": "t"],
            "spec": ["metadata": ["labels": ["a": "b"], "annotations": ["x": "y"]], "spec": ["devices": [:]]],
        ]
        let pod: JSON = ["metadata": ["name": "p", "namespace": "n", "uid": "u"]]
        let made = PodClaims.made(of: template, for: pod, named: "gpu")
        XCTAssertEqual(made.metadata["generateName"], "p-gpu-")
        XCTAssertEqual(made.labels, ["a": "b"])
        XCTAssertEqual(made.annotations, ["x": "y", "resource.kubernetes.io/pod-claim-name": "gpu"])
        XCTAssertEqual(PodClaims.owner(of: made)?.uid, "u")
        let long: JSON = [
            "metadata": ["name": .string(String(repeating: "p", count: 60)), "namespace": "n", "uid": "u"]
        ]
        XCTAssertEqual(
            PodClaims.made(of: template, for: long, named: String(repeating: "c", count: 60)).metadata["generateName"],
            .string(String(repeating: "p", count: 28) + "-" + String(repeating: "c", count: 28)))
    }

    private let nodes: [JSON] = [["metadata": ["name": "a"]], ["metadata": ["name": "b"]]]

    private func look(_ pod: JSON, _ claims: [JSON], slices: [JSON] = [], isBeingAllocated: Bool = false) -> PodDevices
    {
        let deviceClass: (String) -> JSON? = { $0 == "gpu" ? ["metadata": ["name": "gpu"]] : nil }
        return PodDevices(
            pod, claim: { name in claims.first { $0.name == name } }, isBeingAllocated: { _ in isBeingAllocated },
            deviceClass: deviceClass, nodes: nodes, now: Timestamp(seconds: 1_790_000_000),
            allocator: { open in
                DeviceAllocator(
                    claims: open, inventory: DeviceInventory(slices), used: DevicesInUse([]),
                    selection: DeviceSelection(), makeShare: { "s" }, deviceClass: deviceClass)
            })
    }

    private func pod(_ entry: JSON, status: JSON = [:]) -> JSON {
        [
            "metadata": ["name": "p", "namespace": "n", "uid": "u"],
            "spec": ["resourceClaims": .array([entry])], "status": status,
        ]
    }

    private func open(_ deviceClass: String = "gpu") -> JSON {
        var claim = claim(isAllocated: false, isHeld: false)
        let wish: JSON = ["deviceClassName": .string(deviceClass), "allocationMode": "ExactCount", "count": 1]
        claim["spec"] = ["devices": ["requests": [["name": "r", "exactly": wish]]]]
        return claim
    }

    func testWhatPodsWaitFor() {
        let direct = pod(["name": "x", "resourceClaimName": "c"])
        let made = pod(["name": "x", "resourceClaimTemplateName": "t"])
        let told = pod(
            ["name": "x", "resourceClaimTemplateName": "t"],
            status: ["resourceClaimStatuses": [["name": "x", "resourceClaimName": "c"]]])
        let full = claim(reserved: (0..<256).map { "\($0)" })
        let rows: [(reason: String, pod: JSON, claims: [JSON], expected: String)] = [
            ("not made yet", made, [], "pod \"n/p\": ResourceClaim not created yet"),
            ("unknown", direct, [], "resourceclaim.resource.k8s.io \"c\" not found"),
            ("on its way out", direct, [claim(isDeleted: true)], "resourceclaim \"c\" is being deleted"),
            (
                "another's", told, [claim(owner: "v")],
                "ResourceClaim n/c was not created for pod n/p (pod is not owner)"
            ),
            ("full", direct, [full], "resourceclaim in use"),
            ("no class", direct, [open("none")], "request r: device class none does not exist"),
        ]
        for row in rows {
            guard case .blocked(let text) = look(row.pod, row.claims) else {
                XCTFail(row.reason)
                continue
            }
            XCTAssertEqual(text, row.expected, row.reason)
        }
        guard case .blocked(let text) = look(direct, [open()], isBeingAllocated: true) else { return XCTFail() }
        XCTAssertEqual(text, "resource claim n/c is in the process of being allocated")
        guard case .none = look(["metadata": ["name": "p"], "spec": [:]], []) else { return XCTFail() }
    }

    func testPlaces() throws {
        let direct = pod(["name": "x", "resourceClaimName": "c"])
        let slice: JSON = [
            "metadata": ["name": "s"],
            "spec": [
                "driver": "d.example", "nodeName": "b",
                "pool": ["name": "b", "generation": 1, "resourceSliceCount": 1], "devices": [["name": "one"]],
            ],
        ]
        guard case .ready(let plan) = look(direct, [open()], slices: [slice]) else { return XCTFail() }
        XCTAssertEqual(plan.terms, [NodeNames.term("b")])
        XCTAssertNil(plan.refusal)
        XCTAssertEqual(plan.allocation(of: open(), on: "b")?["devices"]["results"][0]["device"], "one")
        guard case .ready(let nowhere) = look(direct, [open()]) else { return XCTFail() }
        XCTAssertEqual(nowhere.refusal, "2 cannot allocate all claims")
        var elsewhere = claim()
        elsewhere["status"]["allocation"]["nodeSelector"] = ["nodeSelectorTerms": .array([NodeNames.term("z")])]
        guard case .ready(let away) = look(direct, [elsewhere]) else { return XCTFail() }
        XCTAssertEqual(away.refusal, "2 resourceclaim not available on the node")
        XCTAssertEqual(away.useless(for: direct)?.name, "c", "nobody uses it")
        elsewhere["status"]["reservedFor"] = [["resource": "pods", "name": "q", "uid": "q"]]
        guard case .ready(let kept) = look(direct, [elsewhere]) else { return XCTFail() }
        XCTAssertNil(kept.useless(for: direct))
        guard case .ready(let anywhere) = look(direct, [claim()]) else { return XCTFail() }
        XCTAssertNil(anywhere.terms, "every node will do")

        var held = HeldDevices()
        held.hold(plan, for: direct, on: "b")
        XCTAssertTrue(held.contains(open()))
        XCTAssertEqual(held.allocations.count, 1)
        held.beginWriting(for: "u")
        held.release(pod: "u", isOutcome: false)
        XCTAssertTrue(held.contains(open()), "what is on its way is left to its outcome")
        held.settle { _, _, _ in self.open() }
        XCTAssertTrue(held.contains(open()), "the claim does not tell of it yet")
        held.settle { _, _, _ in self.claim() }
        XCTAssertFalse(held.contains(open()))
        held.hold(plan, for: direct, on: "b")
        held.release(pod: "u", isOutcome: true)
        XCTAssertFalse(held.contains(open()))
    }
}
