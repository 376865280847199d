import Objects
import PluginKit
import Synchronization

/// Where a pod or container lies in every hierarchy: PARENT/podUID or PARENT/podUID/ID.
package struct CgroupPath: Sendable, Hashable {
    package let components: [String]
    package var text: String { components.joined(separator: "/") }
    package func child(_ name: String) -> CgroupPath { CgroupPath(components: components + [name]) }
}

/// Makes, limits, measures and removes cgroups on v1, v2 and hybrid machines alike. Paths and values are decided here,
/// the kernel is reached through `CgroupFiles`. Any thread.
package final class CgroupDriver: Sendable {
    package let layout: CgroupLayout
    package let files: any CgroupFiles
    /// Relative to each hierarchy's mount point.
    package let parent: CgroupPath
    let podPrefix: String
    /// v2 controllers that this machine hands to children of the parent.
    private let delegated = Mutex<[String]>([])

    package init(layout: CgroupLayout, files: any CgroupFiles, parent: String, podPrefix: String = "pod")
        throws(PluginError)
    {
        let components = parent.split(separator: "/").map(String.init)
        guard !components.isEmpty, !components.contains(where: { $0 == ".." || $0 == "." }) else {
            throw .invalid("the setting cgroupParent must be a path such as hostd, not \"\(parent)\"")
        }
        self.layout = layout
        self.files = files
        self.podPrefix = podPrefix
        self.parent = CgroupPath(components: components)
    }

    /// v1 controllers that every container joins. With a v2 mount beside, CPU time is read, processes are killed and
    /// devices are guarded there.
    package var joinedControllers: [String] {
        let wanted =
            layout.unified == nil
            ? ["memory", "cpu", "cpuacct", "pids", "devices", "freezer"] : ["memory", "cpu", "pids"]
        return wanted.filter { layout.controllers[$0] != nil }
    }

    /// Makes the parent in every hierarchy.
    package func prepare() throws(PluginError) {
        for mount in mounts(joinedControllers + ["cpuset", "hugetlb"].filter { layout.controllers[$0] != nil }) {
            try makeDirectories(mount, parent)
        }
        guard let unified = layout.unified else { return }
        if layout.mode == .v2 { try enableControllers(unified) } else { try makeDirectories(unified, parent) }
    }

    /// Directories of a hierarchy for a list of controllers, each once: some share a mount.
    private func mounts(_ controllers: [String]) -> [String] {
        var seen: [String] = []
        for controller in controllers {
            if let mount = layout.controllers[controller], !seen.contains(mount) { seen.append(mount) }
        }
        return seen
    }

    private func makeDirectories(_ mount: String, _ path: CgroupPath) throws(PluginError) {
        var directory = mount
        for component in path.components {
            directory += "/\(component)"
            try files.makeDirectory(directory)
            try inheritCpuset(mount, directory)
        }
    }

    /// A v1 cpuset is born empty, and nothing can run in it until it has CPUs and memory nodes.
    private func inheritCpuset(_ mount: String, _ directory: String) throws(PluginError) {
        guard mount == layout.controllers["cpuset"] else { return }
        let above = String(directory[..<(directory.lastIndex(of: "/") ?? directory.endIndex)])
        for file in ["cpuset.cpus", "cpuset.mems"] {
            guard let present = try files.read("\(directory)/\(file)"), Self.trim(present).isEmpty,
                let inherited = try files.read("\(above)/\(file)")
            else { continue }
            try files.write("\(directory)/\(file)", Self.trim(inherited))
        }
    }

    private func enableControllers(_ unified: String) throws(PluginError) {
        let available = Set(
            (try files.read("\(unified)/cgroup.controllers") ?? "").split(whereSeparator: \.isWhitespace).map(
                String.init))
        let wanted = ["cpu", "memory", "pids", "cpuset", "hugetlb", "io"].filter(available.contains)
        guard wanted.contains("memory"), wanted.contains("pids") else {
            throw .unavailable(
                "the cgroup controllers memory and pids are not available at \(unified) (there are: "
                    + "\(available.sorted().joined(separator: ", "))): enable them in the kernel's command line or in the parent"
            )
        }
        delegated.withLock { $0 = wanted }
        var directory = unified
        for component in [""] + parent.components {
            if !component.isEmpty {
                directory += "/\(component)"
                try files.makeDirectory(directory)
            }
            try enable(wanted, in: directory)
        }
    }

    private func enable(_ controllers: [String], in directory: String) throws(PluginError) {
        let present = (try files.read("\(directory)/cgroup.subtree_control") ?? "").split(
            whereSeparator: \.isWhitespace
        ).map(String.init)
        let missing = controllers.filter { !present.contains($0) }
        if missing.isEmpty { return }
        try files.write("\(directory)/cgroup.subtree_control", missing.map { "+\($0)" }.joined(separator: " "))
    }

    // MARK: Pods and containers

    package func pod(_ uid: String) -> CgroupPath { parent.child("\(podPrefix)\(uid)") }

    package func createPod(_ path: CgroupPath, _ resources: Resources) throws(PluginError) {
        try create(path, resources)
        if layout.mode == .v2, let unified = layout.unified {
            try enable(delegated.withLock { $0 }, in: "\(unified)/\(path.text)")
        }
    }

    package func create(_ path: CgroupPath, _ resources: Resources) throws(PluginError) {
        for mount in mounts(joinedControllers) { try files.makeDirectory("\(mount)/\(path.text)") }
        for mount in mounts(resources.extraControllers) { try makeDirectories(mount, path) }
        if let unified = layout.unified { try files.makeDirectory("\(unified)/\(path.text)") }
        try update(path, resources)
    }

    /// Directory in which a process of the cgroup is born, v2 only.
    package func unifiedDirectory(_ path: CgroupPath) -> String? { layout.unified.map { "\($0)/\(path.text)" } }

    /// Files that a process writes itself into to join the v1 hierarchies. It is single-threaded then, and a thread that
    /// moves itself through `tasks` spares the kernel the global lock (and its grace periods, some 10 ms) that
    /// `cgroup.procs` takes.
    package func joinFiles(_ path: CgroupPath) -> [String] {
        let extra = ["cpuset", "hugetlb"].filter { name in
            layout.controllers[name].map { files.exists("\($0)/\(path.text)") } ?? false
        }
        return mounts(joinedControllers + extra).map { "\($0)/\(path.text)/tasks" }
    }

    /// The file that has a line "oom_kill N".
    package func oomFile(_ path: CgroupPath) -> String? {
        if let memory = layout.controllers["memory"] { return "\(memory)/\(path.text)/memory.oom_control" }
        return layout.unified.map { "\($0)/\(path.text)/memory.events" }
    }

    /// What to mount below /sys/fs/cgroup in a container: controllers ("" for v2) and the directory there.
    package var containerMounts: [(controllers: String, target: String)] {
        if layout.mode == .v2 { return [("", "/sys/fs/cgroup")] }
        var mounts: [(controllers: String, target: String)] = []
        for mount in self.mounts(joinedControllers) {
            let shared = layout.controllers.filter { $0.value == mount }.keys.sorted().joined(separator: ",")
            mounts.append((shared, "/sys/fs/cgroup/\(mount.split(separator: "/").last ?? "")"))
        }
        return mounts
    }

    // MARK: Limits

    package func update(_ path: CgroupPath, _ resources: Resources) throws(PluginError) {
        for setting in settings(path, resources) {
            do throws(PluginError) {
                try files.write(setting.file, setting.value)
            } catch {
                if setting.isOptional { continue }
                throw error
            }
        }
    }

    package struct Setting: Equatable {
        package let file: String
        package let value: String
        /// Some kernels lack the file, and the limit holds without it.
        package var isOptional = false
    }

    /// The writes that bring about `resources`, in order.
    package func settings(_ path: CgroupPath, _ resources: Resources) -> [Setting] {
        layout.mode == .v2 ? unifiedSettings(path, resources) : legacySettings(path, resources)
    }

    private func unifiedSettings(_ path: CgroupPath, _ resources: Resources) -> [Setting] {
        guard let directory = unifiedDirectory(path) else { return [] }
        var settings: [Setting] = []
        func set(_ file: String, _ value: String, isOptional: Bool = false) {
            settings.append(Setting(file: "\(directory)/\(file)", value: value, isOptional: isOptional))
        }
        if let memory = resources.memoryLimitBytes {
            set("memory.max", memory > 0 ? String(memory) : "max")
            if memory > 0 { set("memory.swap.max", "0", isOptional: true) }
        }
        if let shares = resources.cpuShares, shares > 0 { set("cpu.weight", String(Resources.weight(shares: shares))) }
        if let quota = resources.cpuQuota {
            set("cpu.max", "\(quota > 0 ? String(quota) : "max") \(Self.period(resources))")
        }
        if let pids = resources.pidsLimit { set("pids.max", pids > 0 ? String(pids) : "max") }
        if let cpus = resources.cpusetCPUs { set("cpuset.cpus", cpus) }
        if let nodes = resources.cpusetMemoryNodes { set("cpuset.mems", nodes) }
        for limit in resources.hugepageLimits { set("hugetlb.\(limit.pageSize).max", String(limit.limit)) }
        return settings
    }

    private func legacySettings(_ path: CgroupPath, _ resources: Resources) -> [Setting] {
        var settings: [Setting] = []
        func set(_ controller: String, _ file: String, _ value: String, isOptional: Bool = false) {
            guard let mount = layout.controllers[controller] else { return }
            settings.append(Setting(file: "\(mount)/\(path.text)/\(file)", value: value, isOptional: isOptional))
        }
        if let memory = resources.memoryLimitBytes {
            // Memory with swap may never be less than memory: on the way up it has to go first, on the way down last.
            let value = String(memory > 0 ? memory : -1)
            set("memory", "memory.memsw.limit_in_bytes", value, isOptional: true)
            set("memory", "memory.limit_in_bytes", value)
            set("memory", "memory.memsw.limit_in_bytes", value, isOptional: true)
        }
        if let shares = resources.cpuShares, shares > 0 { set("cpu", "cpu.shares", String(max(2, shares))) }
        if let quota = resources.cpuQuota {
            set("cpu", "cpu.cfs_period_us", String(Self.period(resources)))
            set("cpu", "cpu.cfs_quota_us", String(quota > 0 ? max(quota, 1000) : -1))
        }
        if let pids = resources.pidsLimit { set("pids", "pids.max", pids > 0 ? String(pids) : "max") }
        if let cpus = resources.cpusetCPUs { set("cpuset", "cpuset.cpus", cpus) }
        if let nodes = resources.cpusetMemoryNodes { set("cpuset", "cpuset.mems", nodes) }
        for limit in resources.hugepageLimits {
            set("hugetlb", "hugetlb.\(limit.pageSize).limit_in_bytes", String(limit.limit))
        }
        return settings
    }

    private static func period(_ resources: Resources) -> Int64 {
        let period = resources.cpuPeriod ?? 0
        return period > 0 ? max(period, 1000) : 100_000
    }

    package static func trim(_ text: String) -> String {
        String(text.drop(while: \.isWhitespace).prefix { !$0.isNewline })
    }
}
