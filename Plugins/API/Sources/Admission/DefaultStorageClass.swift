import Objects
import PluginKit

/// Claims that name no class get the default one.
/// See https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass.
struct DefaultStorageClass: AdmissionPlugin {
    let name = "DefaultStorageClass"
    static let resources: Set<String>? = ["persistentvolumeclaims"]
    let store: StoreClient

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "persistentvolumeclaims", .create),
            request.object["spec"]["storageClassName"].isNull,
            request.object.annotations["volume.beta.kubernetes.io/storage-class"].isNull
        else { return }
        let classes: [JSON]
        do {
            classes = try store.list(prefix: "storageclasses.storage.k8s.io/").records.map { try $0.object() }
        } catch {
            throw .unavailable("\(error)")
        }
        if let chosen = Self.defaultClass(of: classes) { request.object["spec"]["storageClassName"] = .string(chosen) }
    }

    /// The name of the default class, the newest one of several; of equally old ones the first by name.
    static func defaultClass(of classes: [JSON]) -> String? {
        classes.filter { storageClass in
            ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
                .contains { storageClass.annotations[$0].stringValue == "true" }
        }.max { ($0.creationTimestamp ?? "", $1.name) < ($1.creationTimestamp ?? "", $0.name) }?.name
    }
}
