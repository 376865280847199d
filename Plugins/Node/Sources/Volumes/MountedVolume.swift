/// A volume of a pod that is ready to be bound into containers.
struct MountedVolume: Sendable, Equatable {
    /// Empty for an image.
    var hostPath: String
    /// An image that the runtime mounts.
    var image: String?
    var readOnly = false
    /// A device instead of a file system.
    var isBlock = false
    /// fsGroup applies to it.
    var takesGroup = false
}
