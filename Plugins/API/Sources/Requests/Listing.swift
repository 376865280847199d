import ObjectSchema
import Objects
import PluginAPI
import PluginKit

/// One page of a list: what was asked, what the store gave, and how it is shown.
struct Listing: Sendable {
    /// Most objects in one answer; clients that set no limit get the rest all the same.
    let context: RequestContext
    let page: StorePage
    let selection: Selection
    /// What a webhook made of objects that lie in another version, by their positions.
    private var converted: [Int: [UInt8]] = [:]

    init(_ context: RequestContext, store: StoreClient) throws(APIStatus) {
        self.context = context
        let query = context.query
        try ListOptions.check(query, isWatch: false)
        selection = try Selection(query, context.resource)
        let limit = try query.integer("limit") ?? 0
        guard limit >= 0 else { throw .badRequest("limit must not be negative") }
        var prefix = context.resource.prefix(context.path.namespace)
        // A version that is none is told of first.
        var revision = try Self.revision(query)
        var after = ""
        if let text = query["continue"], !text.isEmpty {
            let token = try ContinueToken(parsing: text)
            guard query["resourceVersion"].map({ $0.isEmpty || $0 == "0" }) ?? true else {
                throw .badRequest("specifying resource version is not allowed when using continue")
            }
            revision = token.revision ?? 0
            after = token.after
            guard after.hasPrefix(prefix) else {
                throw .badRequest("continue key is not valid: it is for another list")
            }
        }
        if selection.matchesNothing { prefix = "nothing.hostd.dev/" }
        do {
            page = try store.list(
                prefix: prefix, selector: selection.text, revision: revision, limit: UInt64(limit), after: after)
        } catch {
            throw Self.status(error, context, revision, after: after, store: store)
        }
        if revision == 0, let least = try Self.leastRevision(query), least > page.revision {
            throw .tooLargeResourceVersion(least, current: page.revision)
        }
    }

    /// The revision that must be shown exactly; 0 for the latest.
    static func revision(_ query: Query) throws(APIStatus) -> UInt64 {
        let match = query["resourceVersionMatch"] ?? ""
        let version = query["resourceVersion"] ?? ""
        guard ["", "Exact", "NotOlderThan"].contains(match) else {
            throw .badRequest("resourceVersionMatch must be Exact or NotOlderThan, not \"\(match)\"")
        }
        if !match.isEmpty, version.isEmpty, !query.flag("sendInitialEvents") {
            throw .badRequest("resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        guard !version.isEmpty else { return 0 }
        guard let revision = UInt64(version) else {
            throw .badRequest("Invalid value: \"\(version)\": resourceVersion must be a number")
        }
        if match == "Exact" {
            guard revision > 0 else {
                throw .badRequest("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"")
            }
            return revision
        }
        // Without a match, a limited list at a version is exact, any other is not older than it; the latest serves.
        if match.isEmpty, revision > 0, query["limit"].map({ $0 != "0" && !$0.isEmpty }) == true { return revision }
        return 0
    }

    static func leastRevision(_ query: Query) throws(APIStatus) -> UInt64? {
        query["resourceVersion"].flatMap { UInt64($0) }
    }

    /// Why a state cannot be shown.
    static func status(
        _ error: PluginError, _ context: RequestContext, _ revision: UInt64, after: String, store: StoreClient
    ) -> APIStatus {
        if error.code == HOSTD_ERROR_COMPACTED {
            guard !after.isEmpty else {
                return .expired("The resourceVersion for the provided list is too old.")
            }
            var status = APIStatus.expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list "
                    + "without the continue parameter, or use the continue token in this response to retrieve the remainder "
                    + "of the results. Continuing with the provided token results in an inconsistent list - objects that were "
                    + "created, modified, or deleted between the time the first chunk was returned and now may show up in "
                    + "the list.")
            status.continuation = ContinueToken(revision: nil, after: after).text
            return status
        }
        if error.code == HOSTD_ERROR_INVALID_ARGUMENT, revision > 0,
            let latest = try? store.list(prefix: "nothing.hostd.dev/").revision,
            revision > latest
        {
            return .tooLargeResourceVersion(revision, current: latest)
        }
        return APIStatus(error, context.resource, "")
    }

    private var continuation: (token: String, remaining: UInt64?)? {
        guard page.hasMore, let last = page.records.last else { return nil }
        return (
            ContinueToken(revision: page.revision, after: last.key).text,
            selection.isEverything ? page.remaining : nil
        )
    }

    /// Asks the webhook that converts the resource's objects, if there is one. [blocking]
    mutating func convert(_ form: ResponseForm) throws(APIStatus) {
        converted = try CustomConversion.converted(page.records, context.resource, form)
    }

    /// The value of a record in the version of the request, or in one from which no webhook is needed.
    private func withValue(_ index: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        if let bytes = converted[index] { return bytes.withUnsafeBytes(body) }
        page.records[index].withValue(body)
    }

    func response(_ form: ResponseForm) throws(APIStatus) -> HTTPResponse {
        switch form {
        case .object, .aggregatedDiscovery:
            return HTTPResponse(status: 200, body: .bytes(objects()))
        case .protobuf:
            return HTTPResponse(status: 200, contentType: KubernetesProtobuf.contentType, body: .bytes(try protobuf()))
        case .metadata, .protobufMetadata:
            let version = form.metadataVersion
            return HTTPResponse(status: 200, body: .bytes(metadata(version)))
        case .table(let version):
            var writer = TableWriter(context.resource, version: version, includeObject: context.query["includeObject"])
            writer.begin(revision: page.revision, more: continuation?.token, remaining: continuation?.remaining)
            for (index, record) in page.records.enumerated() {
                withValue(index) { writer.add($0, revision: record.revision) }
            }
            return HTTPResponse(status: 200, body: .bytes(writer.finish()))
        }
    }

    private var listMetadata: JSON {
        var metadata: JSONObject = ["resourceVersion": .string(String(page.revision))]
        if let (token, remaining) = continuation {
            metadata["continue"] = .string(token)
            if let remaining { metadata["remainingItemCount"] = .integer(Int64(remaining)) }
        }
        return .object(metadata)
    }

    private func head(kind: String, apiVersion: String) -> [UInt8] {
        Array(
            "{\"kind\":\"\(kind)\",\"apiVersion\":\"\(apiVersion)\",\"metadata\":\(listMetadata.serializedString()),\"items\":["
                .utf8)
    }

    private func protobuf() throws(APIStatus) -> [UInt8] {
        let resource = context.resource
        do {
            var encoder = try ProtobufListEncoder(
                apiVersion: resource.apiVersion, kind: resource.listKind, metadata: listMetadata)
            for (index, record) in page.records.enumerated() {
                var bytes: [UInt8] = []
                withValue(index) { bytes = Conversion.bytes($0, record.revision, resource) }
                try encoder.add(try JSON(parsing: bytes))
            }
            return encoder.finish()
        } catch {
            throw .internalError("the list cannot be shown in protobuf: \(error)")
        }
    }

    private func objects() -> [UInt8] {
        var output = head(kind: context.resource.listKind, apiVersion: context.resource.apiVersion)
        output.reserveCapacity(page.records.reduce(output.count + 16) { $0 + $1.valueBytes.count + 48 })
        for (index, record) in page.records.enumerated() {
            if index > 0 { output.append(0x2C) }
            withValue(index) { Conversion.write($0, record.revision, context.resource, into: &output) }
        }
        output.append(contentsOf: "]}\n".utf8)
        return output
    }

    private func metadata(_ version: String) -> [UInt8] {
        var output = head(kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/\(version)")
        for (index, record) in page.records.enumerated() {
            if index > 0 { output.append(0x2C) }
            record.withValue {
                StoredObject.writePartial($0, revision: record.revision, version: version, into: &output)
            }
        }
        output.append(contentsOf: "]}\n".utf8)
        return output
    }
}

/// Where a limited list goes on: the state that its first page showed and the last key given.
struct ContinueToken: Equatable {
    /// Nil to go on in the latest state.
    var revision: UInt64?
    var after: String

    init(revision: UInt64?, after: String) {
        self.revision = revision
        self.after = after
    }

    init(parsing text: String) throws(APIStatus) {
        guard text.utf8.count <= 4096, let bytes = Base64.decode(text, .url), let json = try? JSON(parsing: bytes),
            json["v"].stringValue == "hostd/v1", let revision = json["rv"].integerValue, revision > 0 || revision == -1,
            let after = json["after"].stringValue
        else { throw .badRequest("continue key is not valid") }
        self.revision = UInt64(exactly: revision)
        self.after = after
    }

    var text: String {
        let json: JSON = ["v": "hostd/v1", "rv": .integer(revision.map { Int64($0) } ?? -1), "after": .string(after)]
        return Base64.encode(json.serialized(), .url)
    }
}
