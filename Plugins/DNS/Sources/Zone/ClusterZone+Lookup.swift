/// What the zone makes of a question.
public enum Resolution: Equatable, Sendable {
    case answer(Answer)
    /// An alias that leads out of the zone: these records, then whatever the target has.
    case alias([Record], target: DomainName)
    /// The name is nobody's here.
    case foreign
}

extension ClusterZone {
    /// Complexity: grows with the records of the answer.
    public func resolve(_ question: Question) -> Resolution {
        guard question.recordClass == 1 || question.recordClass == 255 else {
            return .answer(Answer(code: .refused, isAuthoritative: false))
        }
        if question.type == RecordType.axfr || question.type == RecordType.ixfr {
            return .answer(Answer(code: .refused, isAuthoritative: false))
        }
        if let address = Self.reverseAddress(question.name) { return reverse(question, address) }
        guard let labels = question.name.labels(below: domain) else { return .foreign }
        let parts = labels.map { String(decoding: $0, as: UTF8.self) }
        switch parts.last {
        case nil: return apex(question)
        case "svc": return service(question, Array(parts.dropLast()))
        case "pod": return pod(question, Array(parts.dropLast()))
        case "dns-version" where parts.count == 1: return records(question, [.text(Array("1.1.0".utf8))])
        case "dns" where parts == ["ns", "dns"] || parts == ["dns"]: return noData(exists: true)
        default: return noData(exists: false)
        }
    }

    private var authority: Record {
        let primary = domain.prefixed("ns", "dns") ?? domain
        let mailbox = domain.prefixed("hostmaster") ?? domain
        return Record(
            name: domain, timeToLive: timeToLive,
            data: .authority(primary: primary, mailbox: mailbox, serial: serial, minimum: timeToLive))
    }

    /// No record of the type (the name exists), or no such name.
    private func noData(exists: Bool) -> Resolution {
        .answer(Answer(code: exists ? .noError : .nameError, authority: [authority]))
    }

    /// The answer of a name that has exactly these records: those of the type asked for.
    private func records(_ question: Question, _ data: [RecordData], additional: [Record] = []) -> Resolution {
        let matching = data.filter { $0.type == question.type || question.type == RecordType.any }
        if matching.isEmpty { return noData(exists: true) }
        return .answer(
            Answer(
                answers: matching.map { Record(name: question.name, timeToLive: timeToLive, data: $0) },
                additional: additional))
    }

    private func apex(_ question: Question) -> Resolution {
        records(question, [authority.data, .nameServer(domain.prefixed("ns", "dns") ?? domain)])
    }

    /// `parts` are the labels in front of "svc".
    private func service(_ question: Question, _ parts: [String]) -> Resolution {
        guard let namespace = parts.last else { return noData(exists: true) }
        guard parts.count > 1 else { return noData(exists: serviceNamespaces[namespace] != nil) }
        let key = ObjectKey(namespace: namespace, name: parts[parts.count - 2])
        guard let service = services[key] else { return noData(exists: false) }
        let front = Array(parts.dropLast(2))
        switch service.kind {
        case .external(let target): return external(question, front, target)
        case .cluster(let addresses):
            if front.isEmpty { return records(question, addresses.map { .address($0) }) }
            guard front.allSatisfy({ $0.hasPrefix("_") }) else { return noData(exists: false) }
            let name = serviceName(key)
            let additional = addresses.map { Record(name: name, timeToLive: timeToLive, data: .address($0)) }
            return ports(question, front, service.ports, targets: [name], additional)
        case .headless: return headless(question, front, key, service)
        }
    }

    private func external(_ question: Question, _ front: [String], _ target: DomainName) -> Resolution {
        guard front.isEmpty else { return noData(exists: false) }
        let alias = Record(name: question.name, timeToLive: timeToLive, data: .canonicalName(target))
        if question.type == RecordType.cname { return .answer(Answer(answers: [alias])) }
        return .alias([alias], target: target)
    }

    private func headless(_ question: Question, _ front: [String], _ key: ObjectKey, _ service: ZoneService)
        -> Resolution
    {
        let endpoints = endpoints(of: key, service)
        if front.isEmpty {
            // Without a ready endpoint the name has no addresses and, as the specification says, does not exist.
            if endpoints.isEmpty { return noData(exists: false) }
            return records(question, Self.unique(endpoints.map(\.address)).map { .address($0) })
        }
        if front.count == 1, !front[0].hasPrefix("_") {
            let named = endpoints.filter { $0.label == front[0] }
            if named.isEmpty { return noData(exists: false) }
            return records(question, Self.unique(named.map(\.address)).map { .address($0) })
        }
        guard front.allSatisfy({ $0.hasPrefix("_") }) else { return noData(exists: false) }
        let name = serviceName(key)
        var targets: [DomainName] = []
        var additional: [Record] = []
        for endpoint in endpoints {
            guard let target = name.prefixed(endpoint.label) else { continue }
            if !targets.contains(target) { targets.append(target) }
            additional.append(Record(name: target, timeToLive: timeToLive, data: .address(endpoint.address)))
        }
        // What clients connect to are the endpoints' own ports.
        var endpointPorts: [ZonePort] = []
        for slice in (slices[key] ?? [:]).sorted(by: { $0.key < $1.key }).map(\.value) {
            for port in slice.ports where !endpointPorts.contains(port) { endpointPorts.append(port) }
        }
        return ports(
            question, front, endpointPorts.isEmpty ? service.ports : endpointPorts, targets: targets, additional)
    }

    /// "_port._transport" in front of a service's name.
    private func ports(
        _ question: Question, _ front: [String], _ ports: [ZonePort], targets: [DomainName], _ additional: [Record]
    ) -> Resolution {
        let named = ports.filter { !$0.name.isEmpty && "_\($0.transport)" == front.last }
        if front.count == 1 { return noData(exists: !named.isEmpty) }
        guard front.count == 2 else { return noData(exists: false) }
        let matching = named.filter { "_\($0.name)" == front[0] }
        if matching.isEmpty || targets.isEmpty { return noData(exists: false) }
        let weight = UInt16(clamping: max(1, 100 / targets.count))
        let data = matching.flatMap { port in
            targets.map { RecordData.service(priority: 0, weight: weight, port: port.number, target: $0) }
        }
        return records(question, data, additional: additional)
    }

    /// `parts` are the labels in front of "pod".
    private func pod(_ question: Question, _ parts: [String]) -> Resolution {
        guard let namespace = parts.last else { return noData(exists: true) }
        guard parts.count > 1 else { return noData(exists: podNamespaces[namespace] != nil) }
        guard parts.count == 2, let address = parseAddress(parts[0], separator: "-"),
            podsByAddress[address]?.namespace == namespace
        else { return noData(exists: false) }
        return records(question, [.address(address)])
    }

    private func serviceName(_ key: ObjectKey) -> DomainName {
        domain.prefixed(key.name, key.namespace, "svc") ?? domain
    }

    private static func unique(_ addresses: [UInt32]) -> [UInt32] {
        var seen: Set<UInt32> = []
        return addresses.filter { seen.insert($0).inserted }
    }

    /// The address of "4.3.2.1.in-addr.arpa".
    static func reverseAddress(_ name: DomainName) -> UInt32? {
        guard name.labels.count == 6, let suffix = DomainName("in-addr.arpa"), let front = name.labels(below: suffix)
        else { return nil }
        return parseAddress(front.reversed().map { String(decoding: $0, as: UTF8.self) }.joined(separator: "."))
    }

    private func reverse(_ question: Question, _ address: UInt32) -> Resolution {
        if let key = servicesByAddress[address] { return records(question, [.pointer(serviceName(key))]) }
        if let key = podsByAddress[address] {
            return records(question, [.pointer(podName(address, key))])
        }
        let isOurs = reverseRanges.contains { address & $0.mask == $0.network }
        return isOurs ? noData(exists: false) : .foreign
    }

    /// The name that a headless service gives to a pod, else the one made from its address.
    private func podName(_ address: UInt32, _ pod: ObjectKey) -> DomainName {
        for (key, slices) in slices where key.namespace == pod.namespace {
            guard let service = services[key], service.kind == .headless else { continue }
            for endpoint in slices.values.flatMap(\.endpoints) where endpoint.address == address && endpoint.isReady {
                if let name = serviceName(key).prefixed(endpoint.label) { return name }
            }
        }
        return domain.prefixed(formatAddress(address, separator: "-"), pod.namespace, "pod") ?? domain
    }
}
