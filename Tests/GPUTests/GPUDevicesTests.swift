import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

@testable import GPU

/// The plugin's role against the recorded NVML, opened with dlopen as the real one is.
final class GPUDevicesTests: XCTestCase {
    private var root = ""
    private var options = GPUDevices.Options()

    override func setUpWithError() throws {
        root = "/tmp/hostd-gpu-\(makeUID())"
        try AtomicFile.makeDirectory("\(root)/state")
        try AtomicFile.makeDirectory("\(root)/dev")
        try AtomicFile.makeDirectory("\(root)/driver/usr/lib/x86_64-linux-gnu")
        try AtomicFile.makeDirectory("\(root)/driver/usr/bin")
        for name in [
            "libcuda.so.550.54.15", "libcuda.so.1", "libnvidia-ml.so.550.54.15", "libcuda.so.535.1", "libc.so.6",
        ] {
            try AtomicFile.write([], to: "\(root)/driver/usr/lib/x86_64-linux-gnu/\(name)")
        }
        try AtomicFile.write([], to: "\(root)/driver/usr/bin/nvidia-smi", mode: 0o755)
        for name in ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"] {
            try AtomicFile.write([], to: "\(root)/dev/\(name)")
        }
        let record =
            "GPU-aaaa NVIDIA-H200 0 150754820096 00000000:17:00.0\nGPU-bbbb NVIDIA-H200 1 150754820096 00000000:2A:00.0\n"
        try AtomicFile.write(Array(record.utf8), to: "\(root)/gpus")
        XCTAssertEqual(mkfifo("\(root)/events", 0o600), 0)
        setenv("HOSTD_RECORDED_NVML", "\(root)/gpus", 1)
        setenv("HOSTD_RECORDED_NVML_EVENTS", "\(root)/events", 1)
        options.library = try Self.recordedLibrary()
        options.driverRoot = "\(root)/driver"
        options.nodes = "\(root)/dev"
        options.directory = "\(root)/state"
    }

    override func tearDownWithError() throws { try FileTree.remove(root) }

    /// Builds the recorded library once per run.
    private static func recordedLibrary() throws -> String {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let source = "/\(tests)/Fixtures/RecordedNVML/nvml.c"
        let library = "/tmp/hostd-recorded-nvml-\(getpid()).so"
        if access(library, F_OK) == 0 { return library }
        let arguments = ["cc", "-shared", "-fPIC", "-o", library, source]
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        var process = pid_t()
        XCTAssertEqual(posix_spawnp(&process, "cc", nil, nil, &pointers, environ), 0)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        guard status == 0 else { throw PluginError.internal("cc could not build \(source)") }
        return library
    }

    override class func tearDown() { unlink("/tmp/hostd-recorded-nvml-\(getpid()).so") }

    private func allocate(_ devices: GPUDevices, pod: String, container: String = "main", count: Int64 = 1) throws
        -> JSON
    {
        try devices.allocate(
            [
                "podUID": .string(pod), "podNamespace": "default", "podName": .string(pod),
                "container": .string(container), "resource": "nvidia.com/gpu", "count": .integer(count),
            ], deadline: 0)
    }

    private func code(_ body: () throws -> Void) -> Int32? {
        do {
            try body()
            return nil
        } catch { return PluginError(error).code }
    }

    func testDiscoveryListsEveryGPU() throws {
        let devices = try GPUDevices(options: options, log: nil)
        try devices.start()
        defer { devices.stop() }
        let resource = try devices.listDevices([:], deadline: 0)["resources"][0]
        XCTAssertEqual(resource["name"], "nvidia.com/gpu")
        XCTAssertEqual(resource["devices"].arrayValue.map { $0["id"] }, ["GPU-aaaa", "GPU-bbbb"])
        XCTAssertEqual(resource["devices"][1]["attributes"]["bus"], "00000000:2A:00.0")
        XCTAssertEqual(resource["devices"][0]["attributes"]["memoryBytes"], "150754820096")
        XCTAssertEqual(try JSON(parsing: AtomicFile.read("\(root)/state/cdi.json"))["devices"].count, 2)
    }

    func testAllocationIsExclusiveIdempotentAndSurvivesRestart() throws {
        var devices = try GPUDevices(options: options, log: nil)
        try devices.start()
        XCTAssertEqual(try allocate(devices, pod: "p1")["deviceIDs"], ["GPU-aaaa"])
        XCTAssertEqual(try allocate(devices, pod: "p1")["deviceIDs"], ["GPU-aaaa"])
        devices.stop()
        devices = try GPUDevices(options: options, log: nil)
        try devices.start()
        defer { devices.stop() }
        XCTAssertEqual(try allocate(devices, pod: "p2")["deviceIDs"], ["GPU-bbbb"])
        XCTAssertEqual(code { _ = try self.allocate(devices, pod: "p3") }, HOSTD_ERROR_RESOURCE_EXHAUSTED)
        XCTAssertEqual(code { _ = try self.allocate(devices, pod: "p1", count: 2) }, HOSTD_ERROR_CONFLICT)
        XCTAssertEqual(try devices.release(["podUID": "p1"], deadline: 0)["deviceIDs"], ["GPU-aaaa"])
        XCTAssertEqual(try devices.release(["podUID": "p1"], deadline: 0)["deviceIDs"], [])
        XCTAssertEqual(try allocate(devices, pod: "p3")["deviceIDs"], ["GPU-aaaa"])
        XCTAssertEqual(try devices.listAllocations([:], deadline: 0)["allocations"].count, 2)
    }

    func testEditsHoldNodesLibrariesAndEnvironment() throws {
        let devices = try GPUDevices(options: options, log: nil)
        try devices.start()
        defer { devices.stop() }
        let edits = try allocate(devices, pod: "p", count: 2)["edits"]
        XCTAssertEqual(edits["env"], ["NVIDIA_VISIBLE_DEVICES=GPU-aaaa,GPU-bbbb"])
        XCTAssertEqual(
            edits["deviceNodes"].arrayValue.map { $0["path"] },
            ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"])
        let directory = "/usr/lib/x86_64-linux-gnu"
        XCTAssertEqual(
            edits["mounts"].arrayValue.map { $0["containerPath"] },
            [
                .string("\(directory)/libcuda.so.550.54.15"), .string("\(directory)/libcuda.so.1"),
                .string("\(directory)/libnvidia-ml.so.550.54.15"), "/usr/bin/nvidia-smi",
            ])
        XCTAssertEqual(edits["mounts"][1]["hostPath"], .string("\(root)/driver\(directory)/libcuda.so.550.54.15"))
    }

    func testCriticalEventTakesAGPUOutOfUse() throws {
        let devices = try GPUDevices(options: options, log: nil)
        try devices.start()
        defer { devices.stop() }
        let unhealthy = expectation(description: "reported unhealthy")
        let watch = try devices.watch { message in
            let states = message["resources"][0]["devices"].arrayValue
            if states.count == 2, states[0]["healthy"] == false { unhealthy.fulfill() }
        }
        try send(gpu: 0, type: 0x8, data: 31)
        try send(gpu: 0, type: 0x8, data: 79)
        wait(for: [unhealthy], timeout: 60)
        try devices.watchCancel(watch)
        XCTAssertEqual(
            try devices.listDevices([:], deadline: 0)["resources"][0]["devices"][0]["reason"], "Xid 79")
        XCTAssertEqual(try allocate(devices, pod: "p")["deviceIDs"], ["GPU-bbbb"])
        XCTAssertEqual(code { _ = try self.allocate(devices, pod: "q") }, HOSTD_ERROR_RESOURCE_EXHAUSTED)
    }

    private func send(gpu: UInt64, type: UInt64, data: UInt64) throws {
        let descriptor = open("\(root)/events", O_WRONLY | O_NONBLOCK)
        guard descriptor >= 0 else { throw PluginError.system("open", "\(root)/events", errno: errno) }
        defer { close(descriptor) }
        let record = [gpu, type, data]
        XCTAssertEqual(record.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }, 24)
    }

    func testWithoutDriverItIsIdle() throws {
        options.library = "libhostd-no-such-library.so.1"
        let devices = try GPUDevices(options: options, log: nil)
        try devices.start()
        defer { devices.stop() }
        XCTAssertEqual(try devices.listDevices([:], deadline: 0), ["resources": []])
        XCTAssertEqual(code { _ = try self.allocate(devices, pod: "p") }, HOSTD_ERROR_RESOURCE_EXHAUSTED)
    }

    func testDriverThatIsNotLoadedIsAClearError() throws {
        setenv("HOSTD_RECORDED_NVML", "\(root)/none", 1)
        let devices = try GPUDevices(options: options, log: nil)
        XCTAssertThrowsError(try devices.start()) { XCTAssertTrue("\($0)".contains("Driver Not Loaded"), "\($0)") }
    }

    func testDamagedAllocationsAreNotForgotten() throws {
        try AtomicFile.write(Array("{\"format\":2}".utf8), to: "\(root)/state/allocations.json")
        XCTAssertThrowsError(try GPUDevices(options: options, log: nil))
    }

    func testEventsThatMatter() {
        let rows: [(UInt64, UInt64, String?)] = [
            (0x8, 31, nil), (0x8, 43, nil), (0x8, 79, "Xid 79"), (0x8, 48, "Xid 48"),
            (0x2, 0, "uncorrectable ECC error"),
        ]
        for (type, data, reason) in rows { XCTAssertEqual(GPUHealth.after(event: type, data: data)?.reason, reason) }
    }
}
