import Glibc
import Objects
import PluginAPI
import Synchronization

/// Facts about this process, as hostd.environment/1.
public final class HostEnvironment: @unchecked Sendable {
    // SAFETY: `table` is written once; everything that changes is in the mutex or atomic.
    public static let version = "0.1.0"

    public let dataDirectory: String
    public let listen: String
    private let startedAt = Timestamp.now()
    private let stopsWorkloads: Atomic<Bool>
    private let onStop: @Sendable (_ exitCode: Int32, _ reason: String) -> Void
    private var tableStorage: UnsafeMutablePointer<hostd_environment_1>?

    /// `onStop` is called from any thread when a plugin asks for the end.
    public init(
        dataDirectory: String, listen: String, stopWorkloads: Bool,
        onStop: @escaping @Sendable (_ exitCode: Int32, _ reason: String) -> Void
    ) {
        self.dataDirectory = dataDirectory
        self.listen = listen
        self.onStop = onStop
        stopsWorkloads = Atomic(stopWorkloads)
        let table = UnsafeMutablePointer<hostd_environment_1>.allocate(capacity: 1)
        table.initialize(
            to: hostd_environment_1(
                interface: NativeTable.head(
                    hostd_environment_1.self, HOSTD_ENVIRONMENT_1, HOSTD_ENVIRONMENT_1_SLOTS,
                    Unmanaged.passRetained(self).toOpaque()),
                describe: { this, json, _ in
                    json.pointee = hostd_buffer(owning: HostEnvironment.of(this).description.serialized())
                    return HOSTD_OK
                },
                stop: { this, exitCode, reason, reasonSize, _ in
                    HostEnvironment.of(this).onStop(exitCode, Log.cut(ForeignBytes.text(reason, min(reasonSize, 8192))))
                    return HOSTD_OK
                }))
        tableStorage = table
    }

    private static func of(_ pointer: UnsafeMutableRawPointer?) -> HostEnvironment {
        // SAFETY: `self` of the table is the object that made it, retained for ever.
        Unmanaged<HostEnvironment>.fromOpaque(pointer!).takeUnretainedValue()
    }

    var table: UnsafePointer<hostd_interface>? {
        tableStorage.map { UnsafeRawPointer($0).assumingMemoryBound(to: hostd_interface.self) }
    }

    /// Workloads are to be ended with the host.
    public func stopWorkloads() { stopsWorkloads.store(true, ordering: .releasing) }

    private var description: JSON {
        [
            "version": .string(Self.version), "startedAt": .string(startedAt.formatted()),
            "processID": .integer(Int64(getpid())), "dataDirectory": .string(dataDirectory), "listen": .string(listen),
            "stopWorkloads": .bool(stopsWorkloads.load(ordering: .acquiring)),
        ]
    }
}
