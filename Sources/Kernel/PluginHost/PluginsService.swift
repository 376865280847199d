import Objects
import PluginAPI

/// hostd.plugins/1 over a `PluginHost`.
final class PluginsService: @unchecked Sendable {
    // SAFETY: written once; the host that it asks is Sendable.
    private let host: PluginHost
    private var storage: UnsafeMutablePointer<hostd_plugins_1>?

    /// The service and the host live as long as the process.
    init(_ host: PluginHost) {
        self.host = host
        let table = UnsafeMutablePointer<hostd_plugins_1>.allocate(capacity: 1)
        table.initialize(
            to: hostd_plugins_1(
                interface: NativeTable.head(
                    hostd_plugins_1.self, HOSTD_PLUGINS_1, HOSTD_PLUGINS_1_SLOTS,
                    Unmanaged.passRetained(self).toOpaque()),
                describe: { this, json, _ in
                    json.pointee = hostd_buffer(owning: PluginsService.of(this).host.describe().serialized())
                    return HOSTD_OK
                },
                watch: { this, sink, context, watch, report in
                    do throws(StoreError) {
                        watch.pointee = try PluginsService.of(this).host.watchPlugins(sink, context)
                        return HOSTD_OK
                    } catch {
                        return report.fail(error.code, error.message)
                    }
                },
                unwatch: { this, watch, _ in
                    PluginsService.of(this).host.pluginWatchers.remove(watch)
                    return HOSTD_OK
                },
                request: { this, request, size, answer, report in
                    do throws(PluginFailure) {
                        let json = try PluginsService.of(this).request(ForeignBytes.borrowed(request, size))
                        answer.pointee = hostd_buffer(owning: json.serialized())
                        return HOSTD_OK
                    } catch {
                        return report.fail(error.code, error.message)
                    }
                }))
        storage = table
    }

    private func request(_ bytes: UnsafeBufferPointer<UInt8>) throws(PluginFailure) -> JSON {
        let json: JSON
        do { json = try JSON(parsing: UnsafeRawBufferPointer(bytes)) } catch {
            throw PluginFailure(.request, code: HOSTD_ERROR_INVALID_ARGUMENT, "the request is not JSON: \(error)")
        }
        return try host.enqueue(try SwapRequest(json))
    }

    private static func of(_ pointer: UnsafeMutableRawPointer?) -> PluginsService {
        // SAFETY: `self` of the table is the service that made it, retained for ever.
        Unmanaged<PluginsService>.fromOpaque(pointer!).takeUnretainedValue()
    }

    var table: UnsafePointer<hostd_interface>? {
        storage.map { UnsafeRawPointer($0).assumingMemoryBound(to: hostd_interface.self) }
    }
}
