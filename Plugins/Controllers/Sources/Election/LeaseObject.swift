import Glibc
import Objects

/// What the election's key holds while this process leads: a Lease, so that `kubectl get leases -n kube-system` shows who does.
struct LeaseObject {
    let holder: String
    let value: [UInt8]
    let index: [UInt8]

    /// - Parameter name: of the object, in kube-system.
    static func make(name: String, _ options: ElectionOptions, now: Timestamp = .now()) -> LeaseObject {
        let holder = "\(hostName())_\(makeUID())"
        let object: JSON = [
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": [
                "name": .string(name), "namespace": "kube-system", "uid": .string(makeUID()),
                "creationTimestamp": .string(now.formatted()),
            ],
            "spec": [
                "holderIdentity": .string(holder),
                "leaseDurationSeconds": .integer(Int64(options.leaseMilliseconds / 1000)),
            ],
        ]
        let pairs = ".metadata.name\0\(name)\0.metadata.namespace\0kube-system\0"
        return LeaseObject(holder: holder, value: object.serialized(), index: Array(pairs.utf8))
    }

    private static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, 255) == 0 else { return "host" }
        return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}
