import Objects

/// Subresources by which a client is connected to what a pod, a service or a node runs: before that, policies and webhooks are
/// asked, as of writes. What they see is the options of the connection.
extension RequestPipeline {
    /// Whether somebody has to be asked about it.
    func mustAsk(aboutConnection context: RequestContext) -> Bool {
        ConnectOptions.isConnection(context) && admission.looksAtConnections
    }

    /// - Returns: The request as it goes on, and warnings for the client.
    /// - Throws: the refusal.
    func admitConnection(_ context: RequestContext) throws(APIStatus) -> (RequestContext, warnings: [String]) {
        let options = ConnectOptions.of(context)
        var request = AdmissionRequest(
            .connect, resources.working(context.resource), subresource: context.path.subresource, context,
            object: options)
        try admission.connect(&request)
        guard request.object != options else { return (context, request.warnings) }
        var admitted = context
        admitted.request.query = try ConnectOptions.query(request.object, context)
        return (admitted, request.warnings)
    }
}

/// How a client wants to be connected: the object that stands for it. Pure.
enum ConnectOptions {
    private static let flags = ["stdin", "stdout", "stderr", "tty"]

    static func isConnection(_ context: RequestContext) -> Bool {
        guard context.resource.group.isEmpty else { return false }
        switch (context.resource.plural, context.path.subresource) {
        case ("pods", "exec"), ("pods", "attach"), ("pods", "portforward"), ("pods", "proxy"), ("services", "proxy"),
            ("nodes", "proxy"):
            return true
        default: return false
        }
    }

    /// Such as a PodExecOptions.
    static func of(_ context: RequestContext) -> JSON {
        let (query, path) = (context.query, context.path)
        let kind = context.resource.subresource(path.subresource)?.kind ?? ""
        var options: JSON = ["kind": .string(kind), "apiVersion": "v1"]
        switch path.subresource {
        case "exec", "attach":
            for flag in flags where query.flag(flag) { options[flag] = true }
            if let container = query["container"], !container.isEmpty { options["container"] = .string(container) }
            let command = query.all("command")
            if path.subresource == "exec", !command.isEmpty { options["command"] = JSON(command) }
        case "portforward":
            let ports = query.all("ports").flatMap { $0.split(separator: ",") }.compactMap { Int64($0) }
            if !ports.isEmpty { options["ports"] = .array(ports.map { .integer($0) }) }
        default: if !path.rest.isEmpty { options["path"] = .string(path.rest) }
        }
        return options
    }

    /// The query by which a client is connected as options say that policies or webhooks have changed.
    /// - Throws: 500 for options that are none, and for those of a proxy, whose path is the client's.
    static func query(_ options: JSON, _ context: RequestContext) throws(APIStatus) -> Query {
        let before = of(context)
        guard options.objectValue != nil, options.kind == before.kind, options.apiVersion == before.apiVersion,
            context.path.subresource != "proxy"
        else {
            throw .internalError("the options of a connection were changed in a way that is not supported")
        }
        let own = Set(flags + ["container", "command", "ports"])
        var pairs = context.query.pairs.filter { !own.contains($0.name) }
        pairs += flags.compactMap { options[$0].boolValue == true ? ($0, "true") : nil }
        if let container = options["container"].stringValue { pairs.append(("container", container)) }
        pairs += options["command"].arrayValue.compactMap(\.stringValue).map { ("command", $0) }
        pairs += options["ports"].arrayValue.compactMap(\.integerValue).map { ("ports", String($0)) }
        return Query(pairs: pairs)
    }
}
