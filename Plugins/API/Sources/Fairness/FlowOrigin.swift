import Objects

/// Where a request that waits comes from, for whoever looks into the server.
struct FlowOrigin: Sendable {
    /// The FlowSchema that it matched.
    var schema: String
    /// What tells the flows of that schema apart; empty when it is one flow.
    var flow: String
    var arrival: Timestamp
    var user: String
    var info: RequestInfo
    /// Without the query.
    var path: String

    init(_ schema: FlowSchema, _ info: RequestInfo, _ request: APIRequest) {
        self.schema = schema.name
        flow = schema.flow(info, request.user)
        arrival = .now()
        user = request.user.name
        self.info = info
        path = request.rawPath
    }
}
