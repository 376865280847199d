import PluginAPI
import PluginKit
import RuntimeOCI

@c(hostd_plugin_entry)
public func entry(
    _ host: UnsafePointer<hostd_host>, _ plugin: UnsafeMutablePointer<hostd_plugin>,
    _ error: UnsafeMutablePointer<hostd_error>
) -> Int32 { PluginEntry.enter(RuntimeOCIPlugin.self, host, plugin, error) }
