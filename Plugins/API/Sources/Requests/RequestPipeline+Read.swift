import Objects
import PluginKit

/// Get and list: stored bytes as they are, in the form that the client asked for.
extension RequestPipeline {
    func get(_ context: RequestContext, _ respond: Responder) throws(APIStatus) {
        guard context.resource.has("get") else { throw .methodNotAllowed }
        let form = try context.form
        let revision = context.query.pairs.isEmpty ? 0 : try Listing.revision(context.query)
        let record = try read(context, at: revision)
        if let least = try Listing.leastRevision(context.query), least > record.revision, revision == 0,
            let latest = try? store.list(prefix: "nothing.hostd.dev/").revision, least > latest
        {
            throw .tooLargeResourceVersion(least, current: latest)
        }
        respond(try show(record, context, form))
    }

    /// The record that a request names, at a revision (0 = as it is now).
    func read(_ context: RequestContext, at revision: UInt64 = 0) throws(APIStatus) -> StoreRecord {
        let record: StoreRecord?
        do {
            record = try store.get(context.key, revision: revision)
        } catch {
            if revision > 0 { throw Listing.status(error, context, revision, after: "", store: store) }
            throw APIStatus(error, context.resource, context.path.name)
        }
        guard let record else { throw .notFound(context.resource, context.path.name) }
        return record
    }

    /// One stored object as a response.
    func show(
        _ record: StoreRecord, _ context: RequestContext, _ form: ResponseForm, status: Int = 200
    ) throws(APIStatus) -> HTTPResponse {
        if let converted = try CustomConversion.converted([record], context.resource, form)[0] {
            return try converted.withBytes { value throws(APIStatus) in
                try show(value, record.revision, context, form, status: status)
            }
        }
        return try record.withBytes { value throws(APIStatus) in
            try show(value, record.revision, context, form, status: status)
        }
    }

    /// Stored bytes with their revision as a response.
    func show(
        _ value: UnsafeRawBufferPointer, _ revision: UInt64, _ context: RequestContext, _ form: ResponseForm,
        status: Int = 200
    ) throws(APIStatus) -> HTTPResponse {
        switch form {
        // What is to leave in protobuf is encoded at the end of the way, as failures are (`HTTPFront`).
        case .object, .protobuf, .aggregatedDiscovery:
            return HTTPResponse(status: status, body: .bytes(Conversion.bytes(value, revision, context.resource)))
        case .metadata, .protobufMetadata:
            let version = form.metadataVersion
            var output: [UInt8] = []
            StoredObject.writePartial(value, revision: revision, version: version, into: &output)
            return HTTPResponse(status: status, body: .bytes(output))
        case .table(let version):
            var writer = TableWriter(context.resource, version: version, includeObject: context.query["includeObject"])
            writer.begin(revision: revision, more: nil, remaining: nil)
            writer.add(value, revision: revision)
            return HTTPResponse(status: status, body: .bytes(writer.finish()))
        }
    }

    func list(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.resource.has("list") else { throw .methodNotAllowed }
        let form = try context.form
        var page = try Listing(context, store: store)
        try page.convert(form)
        let listing = page
        // Pages that must be parsed are made off the event loops when they are long.
        let isParsed = if case .table = form { true } else { form == .protobuf }
        if isParsed, listing.page.records.count > 200, !context.request.isInternal {
            onWorker(respond) { () throws(APIStatus) in respond(try listing.response(form)) }
        } else {
            respond(try listing.response(form))
        }
    }
}
