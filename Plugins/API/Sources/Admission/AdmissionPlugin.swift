/// One rule of the server's own about writes, under the name that Kubernetes gives it. They see every write of the resources that
/// they are about, in the order of Kubernetes: first `admit` of each, then, once the object is found valid, `validate` of each.
///
/// Both run where the request runs, on an event loop: they do not wait, but for webhooks, of whose resources writes run
/// elsewhere (`Admission.mayWait`). What they need to know of other objects comes from
/// caches that are kept by watches, so that a write costs nothing for rules of which there is no object.
/// See https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/.
protocol AdmissionPlugin: Sendable {
    /// As in `--enable-admission-plugins`.
    var name: String { get }
    /// The resources whose writes it looks at, as `Resource.qualified`; nil = all.
    static var resources: Set<String>? { get }
    /// Whether its part in a write is timed: that of rules that users have stored, while there are any.
    var isTimed: Bool { get }
    /// Changes the object, or refuses it. It may be called again for the same write, with what came of the first time.
    func admit(_ request: inout AdmissionRequest) throws(APIStatus)
    /// Looks at the object as it will be written, and refuses it, adds warnings or steps. It leaves the object as it is.
    func validate(_ request: inout AdmissionRequest) throws(APIStatus)
}

extension AdmissionPlugin {
    static var resources: Set<String>? { nil }
    var isTimed: Bool { false }
    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {}
    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {}
}
