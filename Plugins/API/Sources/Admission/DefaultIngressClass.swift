import Objects
import PluginKit

/// Ingresses that name no class get the default one.
/// See https://kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class.
struct DefaultIngressClass: AdmissionPlugin {
    let name = "DefaultIngressClass"
    static let resources: Set<String>? = ["ingresses.networking.k8s.io"]
    let store: StoreClient

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "ingresses.networking.k8s.io", .create),
            request.object["spec"]["ingressClassName"].isNull,
            request.object.annotations["kubernetes.io/ingress.class"].isNull
        else { return }
        let classes: [JSON]
        do {
            classes = try store.list(prefix: "ingressclasses.networking.k8s.io/").records.map { try $0.object() }
        } catch {
            throw .unavailable("\(error)")
        }
        if let chosen = Self.defaultClass(of: classes) { request.object["spec"]["ingressClassName"] = .string(chosen) }
    }

    /// The name of the default class, the newest one of several; of equally old ones the first by name.
    static func defaultClass(of classes: [JSON]) -> String? {
        classes.filter { $0.annotations["ingressclass.kubernetes.io/is-default-class"].stringValue == "true" }
            .max { ($0.creationTimestamp ?? "", $1.name) < ($1.creationTimestamp ?? "", $0.name) }?.name
    }
}
