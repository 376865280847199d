import Objects
import XCTest

@testable import API

/// What nodes make for themselves.
final class NodeObjectsTests: XCTestCase {
    private func problem(
        _ operation: AdmissionRequest.Operation, _ plural: String, _ group: String, _ spec: JSON
    ) throws -> String? {
        let resource = Resource(
            group: group, version: "v1", kind: "K", plural: plural, singular: "k", isNamespaced: false,
            verbs: ["create"])
        let user = UserInfo(name: "system:node:a", groups: ["system:nodes"])
        let context = RequestContext(
            request: try APIRequest(method: .post, target: "/", user: user, isInternal: false), path: .init(),
            resource: resource)
        let object: JSON = ["metadata": ["name": "x"], "spec": spec]
        let (old, new) = operation == .create ? (JSON.null, object) : (object, JSON.null)
        return NodeRestriction.problem(AdmissionRequest(operation, resource, context, old: old, object: new), "a")
    }

    func testSlices() throws {
        let rows: [(operation: AdmissionRequest.Operation, node: JSON, expected: String?)] = [
            (.create, "a", nil), (.delete, "a", nil), (.update, "b", nil),
            (.create, "b", "can only create ResourceSlice with the same NodeName as the requesting node"),
            (.create, .null, "can only create ResourceSlice with the same NodeName as the requesting node"),
            (.delete, "b", "can only delete ResourceSlice with the same NodeName as the requesting node"),
        ]
        for row in rows {
            XCTAssertEqual(
                try problem(row.operation, "resourceslices", "resource.k8s.io", ["nodeName": row.node]), row.expected,
                "\(row.operation) \(row.node)")
        }
    }

    func testCertificates() throws {
        func ask(_ name: String, _ signer: String) throws -> String? {
            let request = Base64.encode(TestSigningRequest.make(name, organizations: ["system:nodes"]))
            return try problem(
                .create, "certificatesigningrequests", "certificates.k8s.io",
                ["signerName": .string(signer), "request": .string(request)])
        }
        for signer in ["kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"] {
            XCTAssertNil(try ask("system:node:a", signer), "its own")
            XCTAssertEqual(try ask("system:node:b", signer), "can only create a node CSR with CN=system:node:a")
        }
        XCTAssertNil(try ask("system:node:b", "kubernetes.io/kube-apiserver-client"), "for others to decide")
        XCTAssertEqual(
            try problem(
                .create, "certificatesigningrequests", "certificates.k8s.io",
                ["signerName": "kubernetes.io/kubelet-serving", "request": "eA=="]),
            "unable to parse csr: PEM block type must be CERTIFICATE REQUEST")
    }
}
