import Glibc
import Objects
import PluginAPI
import PluginKit

extension PodWorker {
    /// Image, environment, mounts, devices, then create and start. False when the container must wait.
    func startContainer(_ entry: PodEntry, name: String, attempt: Int64) -> Bool {
        let pod = entry.pod
        guard let wanted = pod.container(named: name), let sandbox = currentSandbox(entry) else { return false }
        let container = entry.read { $0.resources.granted[name] }.map(wanted.with(resources:)) ?? wanted
        guard ensureAttached(entry, sandbox), ensureVolumes(entry) else { return false }
        do {
            guard let image = try images(entry, container, in: sandbox) else { return false }
            try SecurityTranslation.checkNotRoot(container, pod: pod, image: image)
            let config = try configuration(entry, container, attempt: attempt)
            try create(entry, container, sandbox, config: config, attempt: attempt)
            return true
        } catch let error as ContainerConfigurationError {
            startFailed(entry, container, WaitingReason(reason: error.reason, message: error.message))
        } catch let error as PluginError {
            let reason = error.code == HOSTD_ERROR_FORBIDDEN ? "CreateContainerConfigError" : "CreateContainerError"
            startFailed(entry, container, WaitingReason(reason: reason, message: "\(error)"))
        } catch {
            startFailed(entry, container, WaitingReason(reason: "CreateContainerError", message: "\(error)"))
        }
        return false
    }

    private func currentSandbox(_ entry: PodEntry) -> ObservedSandbox? {
        entry.snapshot(runtimeState.pod(entry.uid), now: 0).sandbox
    }

    /// After a restart the addresses are asked for once more.
    func ensureAttached(_ entry: PodEntry, _ sandbox: ObservedSandbox) -> Bool {
        if entry.read({ $0.isAttached }) { return true }
        do {
            try attach(entry, sandbox)
            return true
        } catch {
            services.log.warning(
                "a sandbox could not be attached", NodeLog.fields(entry.pod, ["error": .string("\(error)")]))
            enqueue(entry.uid, 1_000_000_000)
            return false
        }
    }

    /// The next try comes after a second, doubling to a minute.
    private func startFailed(_ entry: PodEntry, _ container: PodContainer, _ reason: WaitingReason) {
        let failures = entry.update { memory -> Int in
            memory.startFailures[container.name, default: 0] += 1
            return memory.startFailures[container.name] ?? 1
        }
        services.events.warning(entry.pod, "Failed", "Error: \(reason.message)", container: container)
        wait(entry, container, reason, seconds: min(Double(1 << min(failures - 1, 6)), 60))
    }

    // MARK: - Configuration

    private func configuration(_ entry: PodEntry, _ container: PodContainer, attempt: Int64) throws -> JSON {
        let pod = entry.pod
        let facts = services.facts()
        let volumes = entry.read { $0.volumes ?? [:] }
        let environment = try EnvironmentBuilder(
            pod: pod, container: container, facts: runtimeFacts(entry), allocatable: facts.allocatable,
            services: services.services(pod),
            object: { [services] in try services.objects.object("\($0)/\(pod.namespace)/\($1)") },
            file: { name, path in
                guard let volume = volumes[name] else { return nil }
                return try VolumeFile.read(path, below: volume.hostPath, limit: EnvironmentFile.limit)
            }
        ).build()
        var variables: [String: String] = [:]
        for variable in environment { variables[variable.name] = variable.value }
        var mounts = try services.volumes.mounts(container, pod: pod, volumes: volumes, variables: variables)
        mounts += try managedMounts(pod, container, attempt: attempt, present: Set(mounts.map(\.containerPath)))
        let edits = try services.devices.allocate(container, pod: pod)
        var config = try ContainerConfiguration(
            pod: pod, container: container, attempt: attempt, image: container.image, environment: environment,
            mounts: mounts, edits: edits, nodeMemoryBytes: facts.memoryBytes, seccompDirectory: paths.seccomp,
            target: try target(of: container, entry)
        ).build()
        let devices = services.volumes.devices(container, volumes: volumes)
        if !devices.isEmpty { config["devices"] = .array(devices) }
        return config
    }

    /// The container that an ephemeral one is to look into.
    private func target(of container: PodContainer, _ entry: PodEntry) throws -> String? {
        guard container.kind == .ephemeral, let name = container.object["targetContainerName"].stringValue,
            !name.isEmpty
        else { return nil }
        let running = runtimeState.pod(entry.uid).containers.values.first { $0.name == name && $0.state == .running }
        guard let running else {
            throw ContainerConfigurationError(
                reason: "CreateContainerError", message: "unable to find target container \(name), or it does not run")
        }
        return running.id
    }

    /// /etc/hosts and its like, and the file for the termination message, unless a volume is mounted there.
    private func managedMounts(
        _ pod: Pod, _ container: PodContainer, attempt: Int64, present: Set<String>
    ) throws -> [ContainerMount] {
        let directory = paths.pod(pod.uid)
        var result: [ContainerMount] = []
        for (path, file) in [
            ("/etc/hosts", "etc-hosts"), ("/etc/hostname", "etc-hostname"), ("/etc/resolv.conf", "resolv.conf"),
        ] where !present.contains(path) {
            result.append(ContainerMount(containerPath: path, hostPath: "\(directory)/\(file)"))
        }
        let path = container.object["terminationMessagePath"].stringValue ?? "/dev/termination-log"
        if !path.isEmpty, !present.contains(path) {
            let file = paths.terminationMessage(pod.uid, container.name, attempt: attempt)
            try Files.makeDirectories(paths.container(pod.uid, container.name), mode: 0o750)
            try Files.write([], to: file, mode: 0o666)
            result.append(ContainerMount(containerPath: path, hostPath: file))
        }
        return result
    }

    // MARK: - Create and start

    private func create(
        _ entry: PodEntry, _ container: PodContainer, _ sandbox: ObservedSandbox, config: JSON, attempt: Int64
    ) throws {
        let pod = entry.pod
        let now = WallClock.now()
        // Before the new instance shows up beside the one that ended.
        noteTry(entry, container, now: now)
        try Files.makeDirectories("\(paths.logDirectory(pod))/\(container.name)")
        let deadline = WallClock.deadline(seconds: Self.resourceTimeout)
        let answer = try services.runtime.createContainer(
            ["sandboxID": .string(sandbox.id), "config": config], deadline: deadline)
        guard let id = answer["id"].stringValue else {
            throw PluginError.internal("the runtime created a container without an id")
        }
        services.events.normal(pod, "Created", "Container created", container: container)
        entry.update { memory in
            memory.health[id] = ContainerHealth(
                started: !container.hasPostStart && !container.hasStartupProbe, ready: !container.hasReadinessProbe,
                hookPending: container.hasPostStart)
            memory.resources.apply(to: id, named: container.name)
        }
        do {
            let answer = try services.runtime.startContainer(["id": .string(id)], deadline: deadline)
            guard let started = ObservedContainer(answer["container"]) else {
                throw PluginError.internal("the runtime started a container without telling its state")
            }
            runtimeState.apply(started)
        } catch {
            recordFailedStart(entry, container, sandbox, id: id, attempt: attempt, config: config, error: error)
            return
        }
        entry.update { memory in
            memory.waiting[container.name] = nil
            memory.retryAt[container.name] = nil
            memory.startFailures[container.name] = nil
        }
        services.events.normal(pod, "Started", "Container started", container: container)
        if container.hasPostStart { runPostStart(entry, container, id: id) }
    }

    private func noteTry(_ entry: PodEntry, _ container: PodContainer, now: Double) {
        let snapshot = entry.snapshot(runtimeState.pod(entry.uid), now: now)
        guard let last = snapshot.newest(container.name), last.state == .exited else { return }
        // It ended because the whole pod begins anew.
        let isInnocent = snapshot.isOfFormerRound(last) && container.rule(forExitCode: last.exitCode) == nil
        let failedAt = WallClock.seconds(rfc3339: last.finishedAt) ?? now
        entry.update { memory in
            // What is another program now has not failed yet.
            if last.isOfAnotherImage(than: container) { memory.backOff[container.name] = nil }
            if memory.replacing.contains(last.id) || isInnocent { return }
            memory.backOff[container.name, default: CrashBackOff()].registerTry(failedAt: failedAt, now: now)
        }
    }

    /// A command that cannot be executed counts as a container that ended at once, with reason StartError.
    private func recordFailedStart(
        _ entry: PodEntry, _ container: PodContainer, _ sandbox: ObservedSandbox, id: String, attempt: Int64,
        config: JSON, error: any Error
    ) {
        let now = Timestamp.now().formatted(fraction: .nano)
        let message = "\(error)"
        let json: JSON = [
            "id": .string(id), "sandboxID": .string(sandbox.id), "name": .string(container.name),
            "attempt": .integer(attempt), "state": "exited", "createdAt": .string(now), "finishedAt": .string(now),
            "exitCode": 128, "reason": "StartError", "message": .string(message), "image": .string(container.image),
            "annotations": config["annotations"],
        ]
        if let failed = ObservedContainer(json) { runtimeState.apply(failed) }
        entry.update { $0.waiting[container.name] = WaitingReason(reason: "RunContainerError", message: message) }
        services.events.warning(entry.pod, "Failed", "Error: \(message)", container: container)
    }

    func removeContainer(_ entry: PodEntry, id: String) throws -> Bool {
        guard let container = runtimeState.pod(entry.uid).containers[id] else { return false }
        _ = try services.runtime.removeContainer(
            ["id": .string(id)], deadline: WallClock.deadline(seconds: Self.resourceTimeout))
        runtimeState.removeContainer(id, sandboxID: container.sandboxID)
        return true
    }
}

extension SecurityTranslation {
    /// Refuses a container that must not be root when its image would run as root.
    static func checkNotRoot(_ container: PodContainer, pod: Pod, image: JSON) throws {
        let own = container.object["securityContext"]
        let shared = pod.specification["securityContext"]
        let mustNot = (own["runAsNonRoot"].boolValue ?? shared["runAsNonRoot"].boolValue) == true
        guard mustNot, !own["runAsUser"].exists, !shared["runAsUser"].exists else { return }
        let name = image["username"].stringValue ?? ""
        if image["uid"].integerValue ?? 0 == 0 && (name.isEmpty || name == "root" || name == "0") {
            throw ContainerConfigurationError(
                message: "container has runAsNonRoot and image will run as root (pod: \"\(pod.fullName)\", "
                    + "container: \(container.name))")
        }
        if image["uid"].integerValue == nil && !name.isEmpty {
            throw ContainerConfigurationError(
                message: "container has runAsNonRoot and image has non-numeric user (\(name)), cannot verify user is "
                    + "non-root (pod: \"\(pod.fullName)\", container: \(container.name))")
        }
    }
}
