import Objects
import PluginKit

/// Lets claims grow whose class allows it.
/// See https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims.
struct PersistentVolumeClaimResize: AdmissionPlugin {
    let name = "PersistentVolumeClaimResize"
    static let resources: Set<String>? = ["persistentvolumeclaims"]
    let store: StoreClient

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "persistentvolumeclaims", .update), Self.grows(request.object, from: request.old)
        else { return }
        guard request.old["status"]["phase"].stringValue == "Bound" else {
            throw request.forbidden("Only bound persistent volume claims can be expanded")
        }
        let beta = request.object.annotations["volume.beta.kubernetes.io/storage-class"].stringValue
        let name = beta ?? request.object["spec"]["storageClassName"].stringValue ?? ""
        let storageClass: JSON?
        do {
            storageClass = name.isEmpty ? nil : try store.object("storageclasses.storage.k8s.io//\(name)")
        } catch {
            throw .unavailable("\(error)")
        }
        guard storageClass?["allowVolumeExpansion"].boolValue == true else {
            throw request.forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                    + "support resize")
        }
    }

    static func grows(_ claim: JSON, from old: JSON) -> Bool {
        // What is no quantity is refused by the validation that follows.
        func size(_ claim: JSON) -> Quantity? { try? Quantity(claim["spec"]["resources"]["requests"]["storage"]) }
        guard let now = size(claim), let before = size(old) else { return false }
        return now > before
    }
}
