import Glibc
import PluginKit

extension CgroupDriver {
    /// What is measured of a cgroup, in nanoseconds and bytes.
    package struct Usage: Sendable, Equatable {
        package var cpuNanoseconds: UInt64 = 0
        package var memoryBytes: UInt64 = 0
        /// Without what the kernel can drop at once: usage minus inactive file pages.
        package var workingSetBytes: UInt64 = 0
        package var residentBytes: UInt64 = 0
        package var processes: UInt64 = 0
    }

    package func usage(_ path: CgroupPath) throws(PluginError) -> Usage {
        var usage = Usage()
        if let unified = unifiedDirectory(path) {
            let cpu = Self.fields(try files.read("\(unified)/cpu.stat") ?? "")
            usage.cpuNanoseconds = (cpu["usage_usec"] ?? 0) * 1000
        } else if let mount = layout.controllers["cpuacct"] {
            usage.cpuNanoseconds = try number("\(mount)/\(path.text)/cpuacct.usage")
        }
        var inactive: UInt64 = 0
        if layout.mode == .v2, let unified = unifiedDirectory(path) {
            usage.memoryBytes = try number("\(unified)/memory.current")
            usage.processes = try number("\(unified)/pids.current")
            let memory = Self.fields(try files.read("\(unified)/memory.stat") ?? "")
            usage.residentBytes = memory["anon"] ?? 0
            inactive = memory["inactive_file"] ?? 0
        } else {
            if let mount = layout.controllers["memory"] {
                usage.memoryBytes = try number("\(mount)/\(path.text)/memory.usage_in_bytes")
                let memory = Self.fields(try files.read("\(mount)/\(path.text)/memory.stat") ?? "")
                usage.residentBytes = memory["total_rss"] ?? 0
                inactive = memory["total_inactive_file"] ?? 0
            }
            if let mount = layout.controllers["pids"] {
                usage.processes = try number("\(mount)/\(path.text)/pids.current")
            }
        }
        usage.workingSetBytes = usage.memoryBytes > inactive ? usage.memoryBytes - inactive : 0
        return usage
    }

    private func number(_ file: String) throws(PluginError) -> UInt64 {
        UInt64(Self.trim(try files.read(file) ?? "")) ?? 0
    }

    /// "name value" per line.
    package static func fields(_ text: String) -> [String: UInt64] {
        var fields: [String: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, let value = UInt64(parts[1]) { fields[String(parts[0])] = value }
        }
        return fields
    }

    // MARK: End

    /// Kills every process in the cgroup and below it. What has none is success.
    package func killAll(_ path: CgroupPath) throws(PluginError) {
        if let unified = unifiedDirectory(path) {
            guard files.exists(unified) else { return }
            if files.exists("\(unified)/cgroup.kill") {
                try files.write("\(unified)/cgroup.kill", "1")
                return
            }
        }
        try killOneByOne(path)
    }

    /// Frozen processes cannot fork away from the list of those to kill; the signal takes effect when they thaw.
    private func killOneByOne(_ path: CgroupPath) throws(PluginError) {
        let freezer = layout.controllers["freezer"].map { "\($0)/\(path.text)" }.flatMap { files.exists($0) ? $0 : nil }
        guard
            let directory = freezer ?? unifiedDirectory(path)
                ?? layout.controllers["pids"].map({ "\($0)/\(path.text)" })
        else { return }
        if let freezer { try files.write("\(freezer)/freezer.state", "FROZEN") }
        for process in try processes(below: directory) { kill(process, SIGKILL) }
        if let freezer { try files.write("\(freezer)/freezer.state", "THAWED") }
    }

    private func processes(below directory: String) throws(PluginError) -> [pid_t] {
        guard let text = try files.read("\(directory)/cgroup.procs") else { return [] }
        var all = text.split(separator: "\n").compactMap { pid_t($0) }
        for child in try files.directories(in: directory) { all += try processes(below: "\(directory)/\(child)") }
        return all
    }

    /// Kills what is left in a cgroup and removes it everywhere with what is below. What is gone already is success.
    package func remove(_ path: CgroupPath) throws(PluginError) {
        try killAll(path)
        if let unified = unifiedDirectory(path), files.exists(unified) {
            files.waitUntilEmpty(eventsFile: "\(unified)/cgroup.events", milliseconds: 5_000)
        }
        var roots = Set(layout.controllers.values).union(layout.others).sorted()
        if let unified = layout.unified { roots.append(unified) }
        for root in roots { try removeTree("\(root)/\(path.text)") }
    }

    private func removeTree(_ directory: String) throws(PluginError) {
        guard files.exists(directory) else { return }
        for child in try files.directories(in: directory) { try removeTree("\(directory)/\(child)") }
        // A process that is being torn down leaves its v1 cgroups a moment after its v2 one; no event tells of it.
        for attempt in 0..<200 {
            if try files.removeDirectory(directory) { return }
            if attempt > 0 { usleep(attempt < 20 ? 500 : 10_000) }
        }
        throw .unavailable(
            "the cgroup \(directory) still has processes: they ignore SIGKILL, as one in a hung file system does")
    }

    /// Names of this runtime's pods that have a cgroup, in whatever hierarchy.
    package func pods() throws(PluginError) -> [String] {
        var names: Set<String> = []
        for root in Set(layout.controllers.values).union(layout.unified.map { [$0] } ?? []) {
            let directory = "\(root)/\(parent.text)"
            guard files.exists(directory) else { continue }
            for name in try files.directories(in: directory) where name.hasPrefix(podPrefix) { names.insert(name) }
        }
        return names.sorted()
    }
}
