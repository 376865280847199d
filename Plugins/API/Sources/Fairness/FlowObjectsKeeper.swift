import Objects
import PluginKit
import Synchronization

/// Keeps the flow objects that every server has, and tells of schemas without their level.
///
/// The mandatory ones are always as they are in `FlowObjects`, but for the seats of the level `exempt`. A suggested one is kept
/// as long as its annotation apf.kubernetes.io/autoupdate-spec is "true"; one that is deleted comes back.
final class FlowObjectsKeeper: Sendable {
    private struct State {
        var levels: [String: JSON] = [:]
        var schemas: [String: JSON] = [:]
        var isFilled = false
    }
    private let state = Mutex(State())
    private let keeping = CoalescingRun()
    private let fairness: Fairness
    private let log: Log

    init(_ fairness: Fairness, log: Log) {
        self.fairness = fairness
        self.log = log
    }

    private static let schemaPath = "/apis/\(FlowObjects.group)/v1/flowschemas"
    private static let levelPath = "/apis/\(FlowObjects.group)/v1/prioritylevelconfigurations"

    /// What keeps both kinds in view; started by whoever runs the server.
    func informers(_ host: Host, _ pipeline: RequestPipeline) throws(PluginError) -> [Informer] {
        [
            try Informer(
                host, resource: "flowschemas.\(FlowObjects.group)",
                handler: { [self] event in
                    switch event {
                    case .added(let object), .updated(_, let object): take(schema: object.name, object)
                    case .deleted(let object): take(schema: object.name, nil)
                    case .synchronized: break
                    }
                    keep(pipeline)
                }),
            try Informer(
                host, resource: "prioritylevelconfigurations.\(FlowObjects.group)",
                handler: { [self] event in
                    switch event {
                    case .added(let object), .updated(_, let object): take(level: object.name, object)
                    case .deleted(let object): take(level: object.name, nil)
                    case .synchronized: break
                    }
                    keep(pipeline)
                }),
        ]
    }

    private func take(schema name: String, _ object: JSON?) {
        let isNew = state.withLock { state in
            defer { state.schemas[name] = object }
            return state.schemas[name]?["spec"] != object?["spec"] || state.schemas[name]?.uid != object?.uid
        }
        // A change of a status alone changes no flow.
        if isNew { fairness.update(schema: name, object) }
    }

    private func take(level name: String, _ object: JSON?) {
        let isNew = state.withLock { state in
            defer { state.levels[name] = object }
            return state.levels[name]?["spec"] != object?["spec"] || state.levels[name]?.uid != object?.uid
        }
        if isNew { fairness.update(level: name, object) }
    }

    /// Both kinds have been taken in as they were stored: what is missing is missing.
    func filled(_ pipeline: RequestPipeline) {
        state.withLock { $0.isFilled = true }
        fairness.filled()
        keep(pipeline)
    }

    func stop() { keeping.stop() }

    /// Brings what is stored to what it should be, once all of it is known.
    private func keep(_ pipeline: RequestPipeline) {
        guard state.withLock({ $0.isFilled }) else { return }
        keeping.request(on: pipeline.workers) { [self] in
            let (levels, schemas) = state.withLock { ($0.levels, $0.schemas) }
            for step in Self.steps(levels: levels, schemas: schemas) { perform(step, pipeline) }
        }
    }

    /// A request that has to be made.
    struct Step: Sendable, Equatable {
        var method: APIRequest.Method
        var path: String
        var body: JSON
    }

    /// What has to be done about what is stored. Pure.
    static func steps(levels: [String: JSON], schemas: [String: JSON]) -> [Step] {
        var steps: [Step] = []
        for (path, wanted, stored) in [
            (levelPath, FlowObjects.levels, levels), (schemaPath, FlowObjects.schemas, schemas),
        ] {
            for object in wanted {
                guard let present = stored[object.name] else {
                    steps.append(Step(method: .post, path: path, body: object))
                    continue
                }
                guard let changed = revised(present, object) else { continue }
                steps.append(Step(method: .put, path: "\(path)/\(object.name)", body: changed))
            }
        }
        for (name, schema) in schemas.sorted(by: { $0.key < $1.key }) {
            let level = schema["spec"]["priorityLevelConfiguration"]["name"].stringValue ?? ""
            if let step = dangling(name, schema, hasLevel: levels[level] != nil, level) { steps.append(step) }
        }
        return steps
    }

    /// What has to be written in place of a stored object; nil when it is as it should be. One whose annotation says nothing is
    /// kept as long as nobody has changed its spec; afterwards its annotation says which it is.
    private static func revised(_ present: JSON, _ wanted: JSON) -> JSON? {
        let said = present.annotations[FlowObjects.annotation].stringValue.flatMap(truth)
        let isKept = FlowObjects.mandatory.contains(wanted.name) || said ?? (present.generation == 1)
        var spec = wanted["spec"]
        if MandatoryFlowObjects.isExemptLevel(wanted), present["spec"]["exempt"].exists {
            spec["exempt"] = present["spec"]["exempt"]
        }
        let isChanged = isKept && !MandatoryFlowObjects.covers(present["spec"], spec)
        guard isChanged || said != isKept else { return nil }
        var changed = present
        if isChanged { changed["spec"] = spec }
        changed["metadata"]["annotations"][FlowObjects.annotation] = isKept ? "true" : "false"
        changed["metadata"].removeValue(forKey: "managedFields")
        return changed
    }

    /// A text as Go reads a boolean; nil for one that is none.
    private static func truth(_ text: String) -> Bool? {
        if ["1", "t", "T", "TRUE", "true", "True"].contains(text) { return true }
        return ["0", "f", "F", "FALSE", "false", "False"].contains(text) ? false : nil
    }

    private static func dangling(_ name: String, _ schema: JSON, hasLevel: Bool, _ level: String) -> Step? {
        let wanted = hasLevel ? "False" : "True"
        let present = schema["status"]["conditions"].arrayValue.first { $0["type"].stringValue == "Dangling" }
        guard present?["status"].stringValue != wanted else { return nil }
        let text =
            hasLevel
            ? "This FlowSchema references the PriorityLevelConfiguration object named \"\(level)\" and it exists"
            : "This FlowSchema references the PriorityLevelConfiguration object named \"\(level)\" but there is no such "
                + "object"
        var changed = schema
        changed["metadata"].removeValue(forKey: "managedFields")
        changed["status"]["conditions"] = [
            [
                "type": "Dangling", "status": .string(wanted), "reason": .string(hasLevel ? "Found" : "NotFound"),
                "message": .string(text), "lastTransitionTime": .string(Timestamp.now().formatted()),
            ]
        ]
        return Step(method: .put, path: "\(schemaPath)/\(name)/status", body: changed)
    }

    private func perform(_ step: Step, _ pipeline: RequestPipeline) {
        do throws(APIStatus) {
            var request = try APIRequest(
                method: step.method, target: step.path, body: step.body.serialized(), user: .host, isInternal: true)
            request.userAgent = "api-priority-and-fairness-config-producer-v1"
            let response = ResponseBox.wait { (respond) throws(APIStatus) in pipeline.handle(request, respond: respond)
            }
            // Somebody else was first: the change comes by the watch, and is looked at then.
            guard response.status >= 300, response.status != 409, response.status != 404 else { return }
            throw APIStatus(code: response.status, reason: "", message: "status \(response.status)")
        } catch {
            log.error(
                "an object of priority and fairness cannot be kept",
                ["path": .string(step.path), "reason": .string(error.message)])
        }
    }
}
