import Objects
import PluginKit

extension PodWorker {
    static let resourceTimeout = 120.0
    /// What the kernel takes, in bytes.
    private static let longestHostName = 64

    /// Volumes, sandbox, network, name files. False when something failed and will be tried again.
    func createSandbox(_ entry: PodEntry, attempt: Int64) -> Bool {
        let pod = entry.pod
        guard ensureVolumes(entry), hasDevices(entry) else { return false }
        let facts = services.facts()
        var config = SandboxConfiguration.build(
            pod.with(resources: entry.read(\.resources.granted)), attempt: attempt,
            logDirectory: paths.logDirectory(pod), clusterDomain: facts.clusterDomain)
        do {
            try Files.makeDirectories(paths.logDirectory(pod))
            if let name = config["hostname"].stringValue, name.utf8.count > Self.longestHostName {
                throw PluginError.invalid(
                    "failed to construct FQDN from pod hostname and cluster domain, FQDN \(name) is too long "
                        + "(\(Self.longestHostName) characters is the max, \(name.utf8.count) characters requested)")
            }
            if pod.specification["hostUsers"].boolValue == false {
                config["userNamespace"] = try users.range(of: pod.uid)
            }
            let answer = try runSandbox(pod, config)
            guard let sandbox = ObservedSandbox(answer["sandbox"]) else {
                throw PluginError.internal("the runtime answered without a sandbox")
            }
            runtimeState.apply(sandbox)
            do {
                try attach(entry, sandbox)
            } catch {
                try discard(sandbox, pod)
                throw error
            }
        } catch {
            sandboxFailed(entry, "\(error)")
            return false
        }
        entry.update { memory in
            memory.sandboxFailures = 0
            memory.sandboxRetryAt = 0
            memory.isReleased = false
        }
        return true
    }

    /// Whether the pod has the devices that it claims. When it does not, it is looked at again.
    private func hasDevices(_ entry: PodEntry) -> Bool {
        let pod = entry.pod
        guard PodDeviceClaims.areUsed(by: pod) else { return true }
        let problem: String?
        do {
            problem = try PodDeviceClaims.problem(of: pod) { name in
                try services.objects.object("resourceclaims.resource.k8s.io/\(pod.namespace)/\(name)")
            }
        } catch {
            problem = "\(error)"
        }
        guard let problem else { return true }
        services.events.warning(
            pod, "FailedPrepareDynamicResources",
            "Failed to prepare dynamic resources: prepare dynamic resources: \(problem)")
        delaySandbox(entry)
        return false
    }

    private func runSandbox(_ pod: Pod, _ config: JSON) throws -> JSON {
        let deadline = WallClock.deadline(seconds: Self.resourceTimeout)
        let name = pod.specification["runtimeClassName"].stringValue ?? ""
        var handler = ""
        if !name.isEmpty {
            guard let found = try services.objects.object("runtimeclasses.node.k8s.io//\(name)") else {
                throw PluginError.notFound("failed to get sandbox runtime: RuntimeClass \"\(name)\" not found")
            }
            handler = found["handler"].stringValue ?? ""
        }
        if handler.isEmpty { return try services.runtime.runSandbox(["config": config], deadline: deadline) }
        return try services.runtime.runSandbox(["config": config], handler: handler, deadline: deadline)
    }

    private func discard(_ sandbox: ObservedSandbox, _ pod: Pod) throws {
        let deadline = WallClock.deadline(seconds: Self.resourceTimeout)
        if !sandbox.networkNamespace.isEmpty {
            _ = try services.network.detach(attachment(sandbox, pod), deadline: deadline)
        }
        _ = try services.runtime.stopSandbox(["id": .string(sandbox.id)], deadline: deadline)
        _ = try services.runtime.removeSandbox(["id": .string(sandbox.id)], deadline: deadline)
        runtimeState.removeSandbox(sandbox.id)
    }

    private func sandboxFailed(_ entry: PodEntry, _ message: String) {
        let pod = entry.pod
        services.events.warning(pod, "FailedCreatePodSandBox", "Failed to create pod sandbox: \(message)")
        services.log.warning("a sandbox could not be made", NodeLog.fields(pod, ["error": .string(message)]))
        delaySandbox(entry)
    }

    /// The next try comes after 0.5 s, doubling to 2 minutes.
    private func delaySandbox(_ entry: PodEntry) {
        entry.update { memory in
            let delay = min(0.5 * Double(1 << min(memory.sandboxFailures, 8)), 122)
            memory.sandboxFailures += 1
            memory.sandboxRetryAt = WallClock.now() + delay
        }
    }

    /// Gives the sandbox its address and writes the files that tell names. Idempotent, also over a restart.
    func attach(_ entry: PodEntry, _ sandbox: ObservedSandbox) throws {
        let pod = entry.pod
        var addresses: [String] = []
        if !sandbox.networkNamespace.isEmpty && !pod.hostNetwork {
            var request = attachment(sandbox, pod)
            if let bandwidth = try PodBandwidth.json(of: pod.object) { request["bandwidth"] = bandwidth }
            let result = try services.network.attach(
                request, deadline: WallClock.deadline(seconds: Self.resourceTimeout))
            addresses = result["ips"].arrayValue.compactMap { entry in
                entry["address"].stringValue.map { String($0.prefix { $0 != "/" }) }
            }
            if addresses.isEmpty { throw PluginError.internal("the network gave the sandbox no address") }
            try services.isolate(pod, addresses)
        } else {
            addresses = services.facts().addresses
        }
        entry.update { memory in
            memory.podIPs = addresses
            memory.isAttached = true
        }
        try writeNameFiles(pod, addresses)
    }

    func attachment(_ sandbox: ObservedSandbox, _ pod: Pod) -> JSON {
        var request: JSONObject = [
            "sandboxID": .string(sandbox.id), "networkNamespace": .string(sandbox.networkNamespace),
            "interfaceName": "eth0", "podNamespace": .string(pod.namespace), "podName": .string(pod.name),
            "podUID": .string(pod.uid),
        ]
        var mappings: [JSON] = []
        for container in pod.containers {
            for port in container.object["ports"].arrayValue {
                guard let hostPort = port["hostPort"].integerValue, hostPort > 0 else { continue }
                var mapping: JSON = [
                    "hostPort": .integer(hostPort), "containerPort": port["containerPort"],
                    "protocol": port["protocol"].exists ? port["protocol"] : "TCP",
                ]
                if let address = port["hostIP"].stringValue, !address.isEmpty { mapping["hostIP"] = .string(address) }
                mappings.append(mapping)
            }
        }
        if !mappings.isEmpty { request["portMappings"] = .array(mappings) }
        return .object(request)
    }

    private func writeNameFiles(_ pod: Pod, _ addresses: [String]) throws {
        let facts = services.facts()
        let files = NameResolutionFiles(
            pod: pod, podIPs: addresses, clusterDomain: facts.clusterDomain, clusterDNS: facts.clusterDNS,
            hostResolver: try Files.text("/etc/resolv.conf"), hostHosts: try Files.text("/etc/hosts"))
        let directory = paths.pod(pod.uid)
        try Files.makeDirectories(directory, mode: 0o755)
        try Files.write(Array(files.hosts.utf8), to: "\(directory)/etc-hosts", mode: 0o644)
        try Files.write(Array(files.hostname.utf8), to: "\(directory)/etc-hostname", mode: 0o644)
        try Files.write(Array(files.resolver.utf8), to: "\(directory)/resolv.conf", mode: 0o644)
    }

    // MARK: - Volumes

    /// Sets the pod's volumes up unless this process did so already. False when that failed and will be tried again.
    func ensureVolumes(_ entry: PodEntry) -> Bool {
        if entry.read({ $0.volumes != nil }) { return true }
        let pod = entry.pod
        references.set(pod)
        do {
            let volumes = try services.volumes.setUp(
                pod, facts: runtimeFacts(entry), allocatable: services.facts().allocatable)
            entry.update { memory in
                memory.volumes = volumes
                memory.volumesAreStale = false
            }
            return true
        } catch {
            services.events.warning(pod, "FailedMount", "\(error)")
            services.log.info("volumes are not ready", NodeLog.fields(pod, ["error": .string("\(error)")]))
            delaySandbox(entry)
            return false
        }
    }

    /// Writes changed objects into mounted volumes; answers seconds until a token must be renewed.
    func refreshVolumes(_ entry: PodEntry) -> Double? {
        let now = WallClock.now()
        let (pod, isReady, isStale) = entry.read { ($0.pod, $0.volumes != nil && !$0.isReleased, $0.volumesAreStale) }
        guard isReady, pod.deletionTimestamp == nil else { return nil }
        let due = services.volumes.secondsToRenewal(pod, now: now).map { $0 <= 1 } ?? false
        if isStale || due {
            entry.update { $0.volumesAreStale = false }
            do {
                try services.volumes.refresh(
                    pod, facts: runtimeFacts(entry), allocatable: services.facts().allocatable)
            } catch {
                services.events.warning(pod, "FailedMount", "\(error)")
                entry.update { $0.volumesAreStale = true }
                return 5
            }
        }
        return services.volumes.secondsToRenewal(pod, now: now)
    }

    // MARK: - Ending

    /// Begins to end a sandbox beside the worker. Few end at a time: the kernel tears links and namespaces down under
    /// locks that pods which start need too.
    func endSandbox(_ entry: PodEntry, id: String, removes: Bool) throws {
        guard entry.update({ $0.ending.insert(id).inserted }) else { return }
        if removes {
            // The last status is computed before the records go.
            try readTerminationMessages(entry)
            if !entry.read({ $0.isOrphan }) { try writeStatus(entry) }
        }
        services.endings.run { [weak self] in
            guard let self else { return }
            var delay: UInt64 = 0
            do {
                try end(entry, id: id, removes: removes)
            } catch {
                delay = 1_000_000_000
                services.log.warning(
                    "a sandbox could not be ended and is tried again",
                    NodeLog.fields(entry.pod, ["sandbox": .string(id), "error": .string("\(error)")]))
            }
            entry.update { _ = $0.ending.remove(id) }
            enqueue(entry.uid, delay)
        }
    }

    private func end(_ entry: PodEntry, id: String, removes: Bool) throws {
        let deadline = WallClock.deadline(seconds: Self.resourceTimeout)
        try detach(entry, id: id)
        _ = try services.runtime.stopSandbox(["id": .string(id)], deadline: deadline)
        if removes {
            _ = try services.runtime.removeSandbox(["id": .string(id)], deadline: deadline)
            runtimeState.removeSandbox(id)
        } else {
            runtimeState.sandboxStopped(id)
        }
        entry.update { memory in
            memory.isAttached = false
            memory.supervised.removeAll()
        }
    }

    private func detach(_ entry: PodEntry, id: String) throws {
        guard let sandbox = runtimeState.pod(entry.uid).sandboxes[id], !sandbox.networkNamespace.isEmpty else { return }
        _ = try services.network.detach(
            attachment(sandbox, entry.pod), deadline: WallClock.deadline(seconds: Self.resourceTimeout))
    }

    func releaseResources(_ entry: PodEntry) throws -> Bool {
        probes.remove(podUID: entry.uid)
        try services.volumes.tearDown(podUID: entry.uid)
        try services.devices.release(podUID: entry.uid)
        references.forget(entry.uid)
        entry.update { memory in
            memory.volumes = nil
            memory.isReleased = true
        }
        retryDeferredResizes()
        return true
    }

    /// Removes files and the API object; afterwards the node knows nothing of the pod.
    func finalize(_ entry: PodEntry) throws {
        let (pod, isOrphan) = entry.read { ($0.pod, $0.isOrphan) }
        if !isOrphan, !pod.object.finalizers.isEmpty { try writeStatus(entry) }
        try services.volumes.remove(podUID: entry.uid)
        try FileTree.remove(paths.logDirectory(pod))
        if !isOrphan {
            do {
                try services.api.delete(
                    "v1", "pods", namespace: pod.namespace, name: pod.name, gracePeriodSeconds: 0, uid: pod.uid)
            } catch let error as APIError where error.isNotFound || error.isConflict {
                // Someone was faster, or a new pod has the name already.
            }
        }
        forget(entry.uid)
    }
}
