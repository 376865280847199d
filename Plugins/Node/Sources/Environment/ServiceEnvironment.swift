import Objects

/// Environment variables that describe services, as every container of a namespace gets them.
enum ServiceEnvironment {
    /// Variables of the services given, in their order: WEB_SERVICE_HOST, WEB_SERVICE_PORT, WEB_PORT_80_TCP_ADDR, ….
    static func variables(_ services: [JSON]) -> [(name: String, value: String)] {
        var result: [(String, String)] = []
        for service in services {
            let specification = service["spec"]
            guard let address = specification["clusterIP"].stringValue, !address.isEmpty, address != "None",
                let name = service["metadata"]["name"].stringValue
            else { continue }
            let prefix = environmentName(name)
            let ports = specification["ports"].arrayValue
            guard let first = ports.first?["port"].integerValue else { continue }
            result.append(("\(prefix)_SERVICE_HOST", address))
            result.append(("\(prefix)_SERVICE_PORT", String(first)))
            for port in ports {
                guard let portName = port["name"].stringValue, !portName.isEmpty, let number = port["port"].integerValue
                else { continue }
                result.append(("\(prefix)_SERVICE_PORT_\(environmentName(portName))", String(number)))
            }
            result += links(prefix, address, ports)
        }
        return result
    }

    private static func links(_ prefix: String, _ address: String, _ ports: [JSON]) -> [(String, String)] {
        var result: [(String, String)] = []
        let host = address.contains(":") ? "[\(address)]" : address
        for (position, port) in ports.enumerated() {
            guard let number = port["port"].integerValue else { continue }
            let transport = port["protocol"].stringValue ?? "TCP"
            let url = "\(transport.lowercased())://\(host):\(number)"
            if position == 0 { result.append(("\(prefix)_PORT", url)) }
            let base = "\(prefix)_PORT_\(number)_\(transport.uppercased())"
            result.append((base, url))
            result.append(("\(base)_PROTO", transport.lowercased()))
            result.append(("\(base)_PORT", String(number)))
            result.append(("\(base)_ADDR", address))
        }
        return result
    }

    private static func environmentName(_ name: String) -> String {
        String(name.uppercased().map { $0 == "-" || $0 == "." ? "_" : $0 })
    }
}
