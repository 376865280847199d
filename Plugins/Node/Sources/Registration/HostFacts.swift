import Glibc

/// What the kernel says about the machine.
struct HostFacts: Sendable, Equatable {
    var cpus: Int64
    var memoryBytes: Int64
    var architecture: String
    var kernelVersion: String
    var osImage: String
    var machineID: String
    var systemUUID: String
    var bootID: String
    var swapBytes: Int64 = 0

    static func read() throws -> HostFacts {
        var names = utsname()
        uname(&names)
        func text<T>(_ tuple: T) -> String {
            withUnsafeBytes(of: tuple) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        let machine = text(names.machine)
        let memory = meminfo(try Files.text("/proc/meminfo"))
        let machineID = try line("/etc/machine-id")
        let product = try line("/sys/class/dmi/id/product_uuid").lowercased()
        return HostFacts(
            cpus: Int64(max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1)),
            memoryBytes: memory["MemTotal"] ?? 0,
            architecture: machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine,
            kernelVersion: text(names.release),
            osImage: prettyName(try Files.text("/etc/os-release")),
            machineID: machineID, systemUUID: product.isEmpty ? machineID : product,
            bootID: try line("/proc/sys/kernel/random/boot_id"), swapBytes: memory["SwapTotal"] ?? 0)
    }

    private static func line(_ path: String) throws -> String {
        String(try Files.text(path).prefix { !$0.isNewline })
    }

    /// Lines "Name:   123 kB" as bytes.
    static func meminfo(_ text: String) -> [String: Int64] {
        var result: [String: Int64] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == ":" || $0 == " " })
            if parts.count >= 2, let value = Int64(parts[1]) { result[String(parts[0])] = value * 1024 }
        }
        return result
    }

    /// PRETTY_NAME of os-release(5).
    static func prettyName(_ text: String) -> String {
        for line in text.split(separator: "\n") where line.hasPrefix("PRETTY_NAME=") {
            return String(line.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" })
        }
        return "Linux"
    }
}

/// What may run short, as of now.
struct HostPressure: Sendable, Equatable {
    var memory = false
    var disk = false
    var processes = false

    /// Thresholds are Kubernetes' defaults: 100 MiB of memory, 10 % of the disk, 5 % of inodes.
    static func read(dataDirectory: String) throws -> HostPressure {
        var pressure = HostPressure()
        let memory = HostFacts.meminfo(try Files.text("/proc/meminfo"))
        if let available = memory["MemAvailable"] { pressure.memory = available < 100 << 20 }
        var disk = statvfs()
        if statvfs(dataDirectory, &disk) == 0 {
            pressure.disk =
                disk.f_bavail * 10 < disk.f_blocks || (disk.f_files > 0 && disk.f_favail * 20 < disk.f_files)
        }
        let limit = Int64((try Files.text("/proc/sys/kernel/pid_max")).prefix { $0.isNumber }) ?? 0
        let running = (try Files.text("/proc/loadavg")).split(separator: " ")
        if limit > 0, running.count > 3, let all = Int64(running[3].split(separator: "/").last ?? "") {
            pressure.processes = all * 10 > limit * 9
        }
        return pressure
    }

    /// Bytes of the file system that holds pods' data.
    static func diskBytes(_ path: String) -> Int64 {
        var disk = statvfs()
        return statvfs(path, &disk) == 0 ? Int64(disk.f_blocks) * Int64(disk.f_frsize) : 0
    }
}
