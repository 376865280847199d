import Objects
import PluginKit

/// The subresource pods/eviction: a deletion that disruption budgets may forbid (`Eviction`).
extension RequestPipeline {
    func evict(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.request.method == .post else { throw .methodNotAllowed }
        var eviction = try Self.parseBody(context.request)
        guard eviction.kind.isEmpty || eviction.kind == "Eviction" else {
            throw .badRequest("the body of an eviction must be of kind Eviction, not \(eviction.kind)")
        }
        guard eviction.name.isEmpty || eviction.name == context.path.name else {
            throw .badRequest("name in URL does not match name in Eviction object")
        }
        _ = try DeleteOptions(eviction["deleteOptions"])
        let isDryRun = try context.request.isDryRun
        eviction.kind = "Eviction"
        if eviction.apiVersion.isEmpty { eviction.apiVersion = "policy/v1" }
        let posted = eviction
        onWorker(respond) { [self] () throws(APIStatus) in
            let (admitted, warnings) = try admit(posted, context)
            var options = try DeleteOptions(admitted["deleteOptions"])
            if isDryRun { options.isDryRun = true }
            options.isAdmitted = true
            for _ in 0..<20 {
                let answer = try evict(context, options)
                guard let answer else { continue }
                guard answer.status == 200 else { return respond(answer.warning(warnings)) }
                let success: JSON = [
                    "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201,
                ]
                return respond(HTTPResponse.json(201, success).warning(warnings))
            }
            throw .conflict(context.resource, context.path.name)
        }
    }

    /// One attempt; nil when the pod has changed meanwhile, and it is to be decided anew. [blocking]
    private func evict(_ context: RequestContext, _ wanted: DeleteOptions) throws(APIStatus) -> HTTPResponse? {
        let record = try read(context)
        let pod: JSON
        do { pod = try record.object() } catch { throw .internalError("the stored pod is damaged: \(error)") }
        var options = wanted
        let isPinned: Bool
        switch try Eviction.decide(pod, budgets: try budgets(in: pod.namespace)) {
        case .delete(let pinned): isPinned = pinned && wanted.resourceVersion == nil
        case .deleteUnready(let budget):
            options.resourceVersion = wanted.resourceVersion ?? String(record.revision)
            let answer = try markAndDelete(context, pod, options)
            if answer.status == 409, wanted.resourceVersion == nil { throw Eviction.unsettled(budget) }
            return answer
        case .take(let budget):
            try takeDisruption(of: budget, for: pod, isDryRun: options.isDryRun)
            isPinned = false
        }
        if isPinned { options.resourceVersion = String(record.revision) }
        let answer = try markAndDelete(context, pod, options)
        return isPinned && answer.status == 409 ? nil : answer
    }

    /// Says on the pod why it goes, for whoever finds it gone, and deletes it. [blocking]
    private func markAndDelete(
        _ context: RequestContext, _ pod: JSON, _ options: DeleteOptions
    ) throws(APIStatus) -> HTTPResponse {
        let isMeant = options.uid.map { $0 == pod.uid } ?? true
        guard isMeant, !options.isDryRun, !Eviction.isOver(pod) else { return delete(context, options) }
        var place = context.path
        place.subresource = ""
        let request = try APIRequest(method: .put, target: "/", user: .host, isInternal: true)
        let marking = RequestContext(request: request, path: place, resource: context.resource)
        let answer = ResponseBox.wait { (respond) throws(APIStatus) in
            try run(
                Update(
                    change: { (present) throws(APIStatus) in
                        DecodedBody(object: try Eviction.mark(present, options, context.resource, now: .now()))
                    }, scope: .status, isAdmitted: true), marking, respond)
        }
        guard answer.status == 200 else { return answer }
        var options = options
        if options.resourceVersion != nil {
            guard case .bytes(let bytes) = answer.body, let marked = try? JSON(parsing: bytes) else {
                throw .internalError("the pod could not be read after it was marked")
            }
            options.resourceVersion = marked.resourceVersion
        }
        return delete(context, options)
    }

    private func delete(_ context: RequestContext, _ options: DeleteOptions) -> HTTPResponse {
        var deletion = context
        deletion.path.subresource = ""
        let place = deletion
        return ResponseBox.wait { (respond) throws(APIStatus) in
            try delete(place, options, attempts: Self.mostAttempts, respond)
        }
    }

    private func budgets(in namespace: String) throws(APIStatus) -> [JSON] {
        guard let resource = resources.stored("poddisruptionbudgets.policy") else { return [] }
        do {
            return try store.list(prefix: resource.prefix(namespace)).records.map { try $0.object() }
        } catch {
            throw .unavailable("\(error)")
        }
    }

    /// Takes one allowed disruption from a budget. [blocking]
    private func takeDisruption(of budget: String, for pod: JSON, isDryRun: Bool) throws(APIStatus) {
        guard let resource = resources.stored("poddisruptionbudgets.policy") else { return }
        var path = RequestPath.ResourcePath()
        path.namespace = pod.namespace
        path.name = budget
        let request = try APIRequest(
            method: .put, target: isDryRun ? "/?dryRun=All" : "/", user: .host, isInternal: true)
        let context = RequestContext(request: request, path: path, resource: resource)
        let answer = ResponseBox.wait { (respond) throws(APIStatus) in
            try run(
                Update(
                    change: { (present) throws(APIStatus) in
                        DecodedBody(object: try Eviction.take(from: present, for: pod.name, now: .now()))
                    }, scope: .status), context, respond)
        }
        guard answer.status != 200 else { return }
        guard case .bytes(let bytes) = answer.body, let json = try? JSON(parsing: bytes) else {
            throw .internalError("the disruption budget could not be changed")
        }
        var status = APIStatus(
            code: answer.status, reason: json["reason"].stringValue ?? "", message: json["message"].stringValue ?? "")
        status.retryAfterSeconds = Int(json["details"]["retryAfterSeconds"].integerValue ?? 0)
        status.name = json["details"]["name"].stringValue ?? ""
        status.group = json["details"]["group"].stringValue ?? ""
        status.kind = json["details"]["kind"].stringValue ?? ""
        status.causes = json["details"]["causes"].arrayValue.map {
            .init(
                reason: $0["reason"].stringValue ?? "", message: $0["message"].stringValue ?? "",
                field: $0["field"].stringValue ?? "")
        }
        throw status
    }
}
