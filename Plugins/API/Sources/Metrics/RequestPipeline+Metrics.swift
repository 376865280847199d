import Objects
import PluginKit

/// The resources of metrics.k8s.io: measured when they are asked for, and stored nowhere.
extension RequestPipeline {
    func measured(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.request.method == .get, !context.path.isWatch, !context.query.flag("watch") else {
            throw .methodNotAllowed
        }
        let form = try context.form
        let selection = try Selection(context.query, context.resource)
        // The first look in a while takes a second.
        onDiallingWorker(respond) { [self] () throws(APIStatus) in
            let histories = try usage.measure()
            guard context.path.name.isEmpty else {
                return respond(try Self.show(try one(context, histories), context, form))
            }
            respond(Self.show(list: try all(context, selection, histories), context, form))
        }
    }

    private func one(_ context: RequestContext, _ histories: [String: UsageHistory]) throws(APIStatus) -> JSON {
        let (namespace, name) = (context.path.namespace, context.path.name)
        let record: StoreRecord?
        do {
            record = try store.get("\(context.resource.plural)/\(namespace)/\(name)")
        } catch {
            throw APIStatus(error, context.resource, name)
        }
        guard let record, let object = try usage(record, context, histories) else {
            let shown = namespace.isEmpty ? name : "\(namespace)/\(name)"
            throw APIStatus(
                code: 404, reason: "NotFound",
                message: "\(context.resource.kind.lowercased()).\(UsageObjects.group) \"\(shown)\" not found")
        }
        return object
    }

    private func all(
        _ context: RequestContext, _ selection: Selection, _ histories: [String: UsageHistory]
    ) throws(APIStatus) -> [JSON] {
        if selection.matchesNothing { return [] }
        let isOfPods = context.resource.isNamespaced
        var objects: [JSON] = []
        for node in histories.keys.sorted() {
            // Of what is stored only what runs on a node that was measured has to be read.
            let place = isOfPods ? ".spec.nodeName=\(node)" : ".metadata.name=\(node)"
            let selector = selection.text.isEmpty ? place : "\(selection.text),\(place)"
            let page: StorePage
            do {
                let namespace = context.path.namespace
                page = try store.list(
                    prefix: namespace.isEmpty
                        ? "\(context.resource.plural)/" : "\(context.resource.plural)/\(namespace)/",
                    selector: selector)
            } catch {
                throw APIStatus(error, context.resource, "")
            }
            for record in page.records {
                if let object = try usage(record, context, histories) { objects.append(object) }
            }
        }
        return objects
    }

    private func usage(
        _ record: StoreRecord, _ context: RequestContext, _ histories: [String: UsageHistory]
    ) throws(APIStatus) -> JSON? {
        let object: JSON
        do {
            object = try record.object()
        } catch {
            throw .internalError("\(record.key) cannot be read: \(error)")
        }
        let now = Timestamp.now()
        if context.resource.isNamespaced {
            guard let history = histories[object["spec"]["nodeName"].stringValue ?? ""] else { return nil }
            return UsageObjects.pod(object, usage: history.usage(of:), now: now)
        }
        return histories[object.name]?.host.map { UsageObjects.node(object, $0, now: now) }
    }

    // MARK: Forms of objects that are not stored

    static func show(
        _ object: JSON, _ context: RequestContext, _ form: ResponseForm
    ) throws(APIStatus) -> HTTPResponse {
        switch form {
        case .table: return show(list: [object], context, form)
        case .metadata, .protobufMetadata: return .json(200, partial(object, form.metadataVersion))
        case .object, .protobuf, .aggregatedDiscovery: return .json(200, object)
        }
    }

    static func show(list objects: [JSON], _ context: RequestContext, _ form: ResponseForm) -> HTTPResponse {
        switch form {
        case .table(let version):
            var writer = TableWriter(context.resource, version: version, includeObject: context.query["includeObject"])
            writer.begin(revision: 0, more: nil, remaining: nil)
            for object in objects { object.serialized().withUnsafeBytes { writer.add($0, revision: 0) } }
            return HTTPResponse(status: 200, body: .bytes(writer.finish()))
        case .metadata, .protobufMetadata:
            let version = form.metadataVersion
            return .json(
                200,
                [
                    "kind": "PartialObjectMetadataList", "apiVersion": .string("meta.k8s.io/\(version)"),
                    "metadata": [:], "items": .array(objects.map { partial($0, version) }),
                ])
        case .object, .protobuf, .aggregatedDiscovery:
            return .json(
                200,
                [
                    "kind": .string(context.resource.listKind), "apiVersion": .string(context.resource.apiVersion),
                    "metadata": [:], "items": .array(objects),
                ])
        }
    }

    private static func partial(_ object: JSON, _ version: String) -> JSON {
        [
            "kind": "PartialObjectMetadata", "apiVersion": .string("meta.k8s.io/\(version)"),
            "metadata": object["metadata"],
        ]
    }
}
