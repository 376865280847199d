/// A volume of a pod that is ready to be bound into containers.
struct MountedVolume: Sendable, Equatable {
    var hostPath: String
    var readOnly = false
    /// A device instead of a file system.
    var isBlock = false
    /// fsGroup applies to it.
    var takesGroup = false
}
