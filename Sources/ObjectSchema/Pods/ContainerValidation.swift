import Objects

/// Rules of a container as part of its pod: of whatever kind, and those that only some kinds are held to.
enum ContainerValidation {
    /// What a container needs to know of its pod.
    struct Surroundings {
        /// The pod's volumes by name.
        var volumes: [String: JSON] = [:]
        var restartPolicy = "Always"
        /// Seconds; nil where the pod has none.
        var gracePeriod: Int64?
        var sharesUsers = true

        init(_ spec: JSON) {
            for volume in spec["volumes"].arrayValue {
                guard let name = volume["name"].stringValue, volumes[name] == nil else { continue }
                volumes[name] = volume
            }
            restartPolicy = spec["restartPolicy"].stringValue ?? ""
            gracePeriod = spec["terminationGracePeriodSeconds"].integerValue
            sharesUsers = spec["hostUsers"].boolValue != false
        }
    }

    /// The rules of every container.
    static func common(
        _ container: JSON, _ pod: Surroundings, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        ports(container["ports"].arrayValue, at: "\(place()).ports", &errors)
        if container["envFrom"].exists { environments(container["envFrom"], at: "\(place()).envFrom", &errors) }
        MountValidation.mounts(container, pod, at: place(), &errors)
        MountValidation.devices(container, pod, at: place(), &errors)
        resizePolicy(container["resizePolicy"], pod, at: "\(place()).resizePolicy", &errors)
        let security = container["securityContext"]
        if security.exists {
            SecurityValidation.container(security, pod, at: "\(place()).securityContext", &errors)
        }
    }

    private static let protocols = ["SCTP", "TCP", "UDP"]

    private static func ports(_ ports: [JSON], at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        var names: Set<String> = []
        for (index, port) in ports.enumerated() {
            func refuse(_ field: String, _ complaints: [String]) {
                errors += complaints.map { .invalid("\(place())[\(index)].\(field)", port[field], $0) }
            }
            if let name = port["name"].stringValue, !name.isEmpty {
                let complaints = NameChecks.portName(name)
                refuse("name", complaints)
                if complaints.isEmpty, !names.insert(name).inserted {
                    errors.append(.duplicate("\(place())[\(index)].name", port["name"]))
                }
            }
            let number = port["containerPort"].integerValue ?? 0
            if number == 0 {
                errors.append(.required("\(place())[\(index)].containerPort"))
            } else {
                refuse("containerPort", NameChecks.portNumber(number))
            }
            if let number = port["hostPort"].integerValue, number != 0 {
                refuse("hostPort", NameChecks.portNumber(number))
            }
            if let name = port["protocol"].stringValue, !protocols.contains(name) {
                errors.append(.notSupported("\(place())[\(index)].protocol", port["protocol"], protocols))
            }
        }
    }

    /// Sources of variables: what is wrong with their number is said of the whole list.
    private static func environments(
        _ sources: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        for source in sources.arrayValue {
            let count = ["configMapRef", "secretRef"].filter { source[$0].exists }.count
            if count == 0 {
                errors.append(.invalid(place(), "", "must specify one of: `configMapRef` or `secretRef`"))
            } else if count > 1 {
                errors.append(.invalid(place(), "", "may not have more than one field specified at a time"))
            }
        }
    }

    private static func resizePolicy(
        _ list: JSON, _ pod: Surroundings, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        var seen: Set<String> = []
        for (index, policy) in list.arrayValue.enumerated() {
            let resource = policy["resourceName"].stringValue ?? ""
            let restart = policy["restartPolicy"].stringValue ?? ""
            if !seen.insert(resource).inserted {
                errors.append(.duplicate("\(place())[\(index)]", .string(resource)))
            }
            choose(resource, ["cpu", "memory"], at: place(), &errors)
            choose(restart, ["NotRequired", "RestartContainer"], at: place(), &errors)
            if pod.restartPolicy == "Never", restart != "NotRequired" {
                errors.append(
                    .invalid(place(), .string(restart), "must be 'NotRequired' when `restartPolicy` is 'Never'"))
            }
        }
    }

    /// One of a few words, which is not left out.
    static func choose(
        _ word: String, _ words: [String], at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        if word.isEmpty {
            errors.append(.required(place()))
        } else if !words.contains(word) {
            errors.append(.notSupported(place(), .string(word), words))
        }
    }

    // MARK: - Probes and hooks

    /// Of containers that serve: those of the pod itself, and init containers that keep running.
    static func serving(
        _ container: JSON, _ pod: Surroundings, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        for probe in ["livenessProbe", "startupProbe"] where container[probe].exists {
            let threshold = container[probe]["successThreshold"]
            if threshold.exists, threshold != 1 {
                errors.append(.invalid("\(place()).\(probe).successThreshold", threshold, "must be 1"))
            }
        }
        let seconds = container["readinessProbe"]["terminationGracePeriodSeconds"]
        if seconds.exists {
            errors.append(
                .invalid(
                    "\(place()).readinessProbe.terminationGracePeriodSeconds", seconds,
                    "must not be set for readinessProbes"))
        }
        guard container["lifecycle"].exists, let period = pod.gracePeriod else { return }
        for hook in ["postStart", "preStop"] {
            let sleep = container["lifecycle"][hook]["sleep"]
            guard sleep.exists else { continue }
            let seconds = sleep["seconds"].integerValue ?? 0
            if seconds < 0 || seconds > period {
                errors.append(
                    .invalid(
                        "\(place()).lifecycle.\(hook).sleep", .integer(seconds),
                        "must be non-negative and less than terminationGracePeriodSeconds (\(period))"))
            }
        }
    }

    /// A probe or hook does exactly one thing.
    static func handler(_ handler: JSON, _ kinds: [String], _ errors: inout [FieldError]) {
        let present = kinds.filter { handler[$0].exists }
        if present.isEmpty { errors.append(.required("", "must specify a handler type")) }
        for kind in present.dropFirst() {
            errors.append(.forbidden(kind, "may not specify more than 1 handler type"))
        }
        // A port that is left out is 0 to Kubernetes.
        for kind in ["httpGet", "tcpSocket", "grpc"] where handler[kind].exists && handler[kind]["port"].isNull {
            errors += NameChecks.portNumber(0).map { .invalid("\(kind).port", 0, $0) }
        }
    }

    /// Headers are named without their place in the list.
    static func request(_ request: JSON, _ errors: inout [FieldError]) {
        for header in request["httpHeaders"].arrayValue {
            let name = header["name"].stringValue ?? ""
            errors += NameChecks.headerName(name).map { .invalid("httpHeaders", .string(name), $0) }
        }
    }
}
