/// A table's elements of one pod: the pair by which traffic to itself is known, and its ports on the host.
enum FilterPods {
    static func add(_ pod: Attachment, to batch: inout FilterBatch) {
        for (set, elements) in elements(pod) { batch.addElements(set, elements) }
    }

    static func remove(_ pod: Attachment, from batch: inout FilterBatch) {
        for (set, elements) in elements(pod) {
            batch.deleteElements(set, elements.map { FilterElement(key: $0.key) })
        }
    }

    private static func elements(_ pod: Attachment) -> [(set: String, elements: [FilterElement])] {
        var bound: [FilterElement] = []
        var free: [FilterElement] = []
        for mapping in pod.portMappings where !pod.mapsPortsItself {
            let target = FilterElement.Data.bytes(
                bytes(Endpoint(address: pod.address, port: mapping.containerPort)))
            let port = bytes(mapping.transport, mapping.hostPort)
            if let address = mapping.hostAddress {
                bound.append(FilterElement(key: address.bytes + port, data: target))
            } else {
                free.append(FilterElement(key: port, data: target))
            }
        }
        return [
            (FilterTable.pods, [FilterElement(key: pod.address.bytes + pod.address.bytes)]),
            (FilterTable.direct, pod.answersDirectly ? [FilterElement(key: pod.address.bytes)] : []),
            (FilterTable.boundHostPorts, bound), (FilterTable.hostPorts, free),
        ]
    }

    /// A port as it lies in a register: two bytes and two of padding.
    private static func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255), 0, 0] }

    static func bytes(_ transport: Transport, _ port: UInt16) -> [UInt8] {
        [transport.rawValue, 0, 0, 0] + bytes(port)
    }

    static func bytes(_ endpoint: Endpoint) -> [UInt8] { endpoint.address.bytes + bytes(endpoint.port) }
}
