/// Which resources' values lie encrypted on disk, and where their keys are.
public struct EncryptionSettings: Sendable, Equatable {
    /// What keys begin with, up to the first slash, such as "secrets"; "*" = every resource.
    public var resources: Set<String>
    /// See `KeyRing`.
    public var keyFile: String

    public init(resources: Set<String>, keyFile: String) {
        self.resources = resources
        self.keyFile = keyFile
    }
}
