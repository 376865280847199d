import PluginAPI
import PluginKit

/// The one function that the image exports; PluginKit does the rest.
@c(hostd_plugin_entry)
public func entry(
    _ host: UnsafePointer<hostd_host>, _ plugin: UnsafeMutablePointer<hostd_plugin>,
    _ error: UnsafeMutablePointer<hostd_error>
) -> Int32 { PluginEntry.enter(@MODULE@.self, host, plugin, error) }
