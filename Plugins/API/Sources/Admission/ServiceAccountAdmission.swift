import Objects
import PluginKit

/// Gives pods their service account and its token.
/// See https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/.
struct ServiceAccountAdmission: AdmissionPlugin {
    let name = "ServiceAccount"
    static let resources: Set<String>? = ["pods"]
    private static let tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"
    private static let mirrorAnnotation = "kubernetes.io/config.mirror"
    let store: StoreClient

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        if request.isWrite(of: "pods", .create) { try admit(&request.object) }
    }

    private func admit(_ pod: inout JSON) throws(APIStatus) {
        guard pod.annotations[Self.mirrorAnnotation].isNull else { return }
        let name = pod["spec"]["serviceAccountName"].stringValue ?? ""
        let accountName = name.isEmpty ? "default" : name
        pod["spec"]["serviceAccountName"] = .string(accountName)
        pod["spec"]["serviceAccount"] = .string(accountName)
        let account = try read(accountName, pod)
        if pod["spec"]["imagePullSecrets"].arrayValue.isEmpty, !account["imagePullSecrets"].arrayValue.isEmpty {
            pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"]
        }
        let mounts =
            pod["spec"]["automountServiceAccountToken"].boolValue ?? account["automountServiceAccountToken"].boolValue
            ?? true
        if mounts { Self.mountToken(&pod["spec"]) }
    }

    private func read(_ name: String, _ pod: JSON) throws(APIStatus) -> JSON {
        let account: JSON?
        do {
            account = try store.object("serviceaccounts/\(pod.namespace)/\(name)")
        } catch {
            throw .unavailable("\(error)")
        }
        guard let account else {
            var status = APIStatus(
                code: 403, reason: "Forbidden",
                message:
                    "pods \"\(pod.name)\" is forbidden: error looking up service account \(pod.namespace)/\(name): "
                    + "serviceaccount \"\(name)\" not found")
            status.name = pod.name
            status.kind = "pods"
            throw status
        }
        return account
    }

    /// Adds the projected volume and mounts it wherever nothing is mounted at its place.
    static func mountToken(_ spec: inout JSON) {
        let existing = spec["volumes"].arrayValue.first {
            $0["name"].stringValue?.hasPrefix("kube-api-access-") == true
        }
        let name = existing?["name"].stringValue ?? "kube-api-access-" + makeNameSuffix()
        var needsVolume = false
        for list in ["initContainers", "containers"] {
            spec[list].updateElements { (_, container: inout JSON) throws(Never) in
                let isMounted = container["volumeMounts"].arrayValue.contains {
                    $0["mountPath"].stringValue == tokenPath
                }
                guard !isMounted else { return }
                needsVolume = true
                container["volumeMounts"].append([
                    "name": .string(name), "readOnly": true, "mountPath": .string(tokenPath),
                ])
            }
        }
        guard needsVolume, existing == nil else { return }
        spec["volumes"].append([
            "name": .string(name),
            "projected": [
                "sources": [
                    ["serviceAccountToken": ["expirationSeconds": 3607, "path": "token"]],
                    [
                        "configMap": [
                            "name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]],
                        ]
                    ],
                    [
                        "downwardAPI": [
                            "items": [
                                [
                                    "path": "namespace",
                                    "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"],
                                ]
                            ]
                        ]
                    ],
                ],
                "defaultMode": 420,
            ],
        ])
    }
}
