import Objects
import PluginAPI

/// A plugin after a successful entry, wherever it runs: in this process (`OpenPlugin`) or in a child of its own. The
/// life-cycle functions are called by one thread at a time; `interface` may be called from any.
protocol PluginImage: AnyObject, Sendable {
    /// The file that was opened.
    var path: String { get }
    func describe() throws(PluginFailure) -> PluginDescription
    func schema() throws(PluginFailure) -> OptionSchema
    func configure(_ envelope: JSON) throws(PluginFailure)
    func activate() throws(PluginFailure)
    func deactivate() throws(PluginFailure)
    /// Ends the plugin; nothing of it may be used afterwards.
    func destroy()
    /// The plugin's table for a role that it declares, checked against what the headers say of that role. The table stays
    /// readable for ever; calls through it after `destroy` are the caller's fault.
    func interface(_ id: String) throws(PluginFailure) -> (UnsafePointer<hostd_interface>, SlotDescriptor)
}
