import CRuntime
import Glibc
import Objects
import PluginKit

extension RuntimeService {
    package func runSandbox(_ request: JSON) throws(PluginError) -> JSON {
        let configuration = try SandboxConfiguration(request["config"])
        let id = randomIdentifier(bytes: 32)
        let directory = "\(sandboxesDirectory)/\(id)"
        let cgroup = cgroups.pod(configuration.podUID)
        try AtomicFile.makeDirectory(directory, mode: 0o711)
        do throws(PluginError) {
            try cgroups.createPod(cgroup, configuration.resources)
            let holder = try makeNamespaces(configuration, directory, cgroup)
            let sandbox = Sandbox(
                id: id, configurationJSON: request["config"], configuration: configuration, directory: directory,
                cgroup: cgroup, createdAt: nanosecondsNow(), holder: holder, isReady: true)
            // Not synced: after a power loss the namespaces are gone anyway.
            try AtomicFile.write(sandbox.record.serialized(), to: "\(directory)/record.json", isDurable: false)
            state.withLock { $0.sandboxes[id] = sandbox }
            return ["sandbox": sandbox.json]
        } catch {
            dismantle(directory, holder: nil)
            removePodGroupIfUnused(cgroup, configuration.podUID)
            throw error
        }
    }

    private func makeNamespaces(
        _ configuration: SandboxConfiguration, _ directory: String, _ cgroup: CgroupPath
    ) throws(PluginError) -> ProcessIdentity? {
        // In a pure v2 hierarchy only leaves hold processes, so the holder gets one of its own.
        var group: CgroupPath?
        if configuration.sharesProcesses {
            let leaf = cgroup.child("holder")
            try cgroups.create(leaf, Resources())
            group = leaf
        }
        let plan = Sandbox.plan(
            configuration, directory: directory, unifiedCgroup: group.flatMap { cgroups.unifiedDirectory($0) })
        let helper = try launcher.start(.sandbox, plan)
        defer { Launcher.reap(helper.descriptor) }
        let subject = "sandbox of pod \(configuration.namespace)/\(configuration.name)"
        guard let report = try Launcher.receive(helper.reports, milliseconds: 10_000) else {
            throw .internal("\(subject): hostd-container-init ended without a word")
        }
        if report.kind != .started { throw LaunchFailure.error(report, subject: subject) }
        return configuration.sharesProcesses
            ? ProcessIdentity(process: report.process, startTime: report.startTime) : nil
    }

    package func stopSandbox(_ request: JSON) throws(PluginError) {
        guard let sandbox = try existing({ () throws(PluginError) in try self.sandbox(request) }) else { return }
        try stop(sandbox)
    }

    private func stop(_ sandbox: Sandbox) throws(PluginError) {
        for container in containers(of: sandbox) { try end(container, milliseconds: 10_000) }
        let wasReady = sandbox.isReady.withLock { ready in
            defer { ready = false }
            return ready
        }
        if wasReady {
            try AtomicFile.write(sandbox.record.serialized(), to: "\(sandbox.directory)/record.json", isDurable: false)
        }
        unmountNamespaces(sandbox.directory, holder: sandbox.holder)
    }

    package func removeSandbox(_ request: JSON) throws(PluginError) {
        guard let sandbox = try existing({ () throws(PluginError) in try self.sandbox(request) }) else { return }
        try stop(sandbox)
        for container in containers(of: sandbox) { try remove(container) }
        state.withLock { $0.sandboxes[sandbox.id] = nil }
        removePodGroupIfUnused(sandbox.cgroup, sandbox.configuration.podUID)
        dismantle(sandbox.directory, holder: sandbox.holder)
    }

    package func listSandboxes(_ request: JSON) -> JSON {
        let id = request["id"].stringValue
        let uid = request["podUID"].stringValue
        let found = state.withLock { state in
            state.sandboxes.values.filter {
                (id == nil || $0.id == id) && (uid == nil || $0.configuration.podUID == uid)
            }
        }
        return ["sandboxes": .array(found.sorted { $0.createdAt < $1.createdAt }.map(\.json))]
    }

    // MARK: Taking apart

    package func unmountNamespaces(_ directory: String, holder: ProcessIdentity?) {
        if let holder, let descriptor = try? holder.open() { runtime_pidfd_send_signal(descriptor.number, SIGKILL) }
        for name in ["net", "ipc", "uts", "user", "shm"] {
            if umount2("\(directory)/\(name)", Int32(MNT_DETACH)) != 0, errno != EINVAL, errno != ENOENT {
                log(
                    true, "A part of a sandbox could not be unmounted.",
                    [
                        "path": .string("\(directory)/\(name)"), "error": .string(String(cString: strerror(errno))),
                    ])
            }
        }
    }

    package func dismantle(_ directory: String, holder: ProcessIdentity?) {
        unmountNamespaces(directory, holder: holder)
        do throws(PluginError) {
            try discard(directory)
        } catch {
            log(
                true, "A sandbox's directory could not be removed; the next start tries again.",
                ["error": .string(error.message)])
        }
    }

    /// A pod may have a newer sandbox, whose containers live below the same cgroup.
    package func removePodGroupIfUnused(_ cgroup: CgroupPath, _ podUID: String) {
        let isUsed = state.withLock { state in
            state.sandboxes.values.contains { $0.configuration.podUID == podUID }
        }
        if isUsed { return }
        do throws(PluginError) {
            try cgroups.remove(cgroup)
        } catch {
            log(true, "A pod's cgroup could not be removed.", ["error": .string(error.message)])
        }
    }
}
