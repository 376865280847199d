import Objects

/// The ports at which a node tells how it routes services: two of its own, and those at which balancers ask for a service.
final class HealthPorts: Sendable {
    private let own: [HealthServer.Site]
    private let server: HealthServer

    /// - Parameters:
    ///   - options: the plugin's.
    ///   - report: told once of a service's port that is another program's.
    init(
        _ options: JSON, health: @escaping @Sendable () -> RoutingHealth, log: NodeLog,
        report: @escaping @Sendable (HealthCheck, any Error) -> Void
    ) throws {
        let pages: [(String, Int64, HealthServer.Page)] = [
            ("routingHealthPort", 10256, .routing), ("routingStatusPort", 10249, .status),
        ]
        own = pages.compactMap { name, usual, page in
            let port = UInt16(clamping: options[name].integerValue ?? usual)
            return port == 0 ? nil : HealthServer.Site(port: port, page: page)
        }
        server = try HealthServer(health: health) { site, error in
            if case .service(let check) = site.page { return report(check, error) }
            log.warning("the health of service routing is not served: \(error)", ["port": JSON(site.port)])
        }
    }

    /// Answers for exactly these services from now on.
    func serve(_ checks: [HealthCheck]) {
        server.serve(own + checks.map { HealthServer.Site(port: $0.port, page: .service($0)) })
    }

    /// Services are routed by this mechanism from now on.
    func routes(by mode: String) { server.routes(by: mode) }

    func stop() { server.stop() }
}
