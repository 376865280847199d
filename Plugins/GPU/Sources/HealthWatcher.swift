import Glibc
import Objects
import PluginKit
import Synchronization

/// One thread that waits for the critical events of the GPUs, and owns NVML.
final class HealthWatcher: @unchecked Sendable {
    // SAFETY: the handles are immutable; the flag is atomic; the thread is joined before they go.
    private let library: NVML
    private let set: NVML.Device
    private let names: [NVML.Device: String]
    private let report: @Sendable (String, GPUHealth) -> Void
    private let isStopping = Atomic<Bool>(false)
    private var thread = pthread_t()
    /// NVML cannot be woken: a stop waits at most this long.
    private static let waitMilliseconds: UInt32 = 1_000

    init(
        library: NVML, devices: [(handle: NVML.Device, description: GPUDescription)],
        report: @escaping @Sendable (String, GPUHealth) -> Void
    ) throws {
        self.library = library
        self.report = report
        names = Dictionary(uniqueKeysWithValues: devices.map { ($0.handle, $0.description.uuid) })
        set = try library.makeEventSet(devices.map(\.handle))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 256 << 10)
        defer { pthread_attr_destroy(&attributes) }
        let code = pthread_create(
            &thread, &attributes,
            { context in
                if let context { Unmanaged<HealthWatcher>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        if code != 0 {
            Unmanaged.passUnretained(self).release()
            library.freeEventSet(set)
            throw PluginError.exhausted("cannot start a thread for GPU events: \(String(cString: strerror(code)))")
        }
    }

    private func run() {
        while !isStopping.load(ordering: .acquiring) {
            do {
                guard let event = try library.wait(set, milliseconds: Self.waitMilliseconds) else { continue }
                guard let health = GPUHealth.after(event: event.type, data: event.data) else { continue }
                if let uuid = names[event.device] { report(uuid, health) }
            } catch {
                // The driver itself is gone: no GPU can be trusted any more.
                for uuid in names.values { report(uuid, GPUHealth(isHealthy: false, reason: "\(error)")) }
                return
            }
        }
    }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        pthread_join(thread, nil)
        library.freeEventSet(set)
        library.close()
    }
}
