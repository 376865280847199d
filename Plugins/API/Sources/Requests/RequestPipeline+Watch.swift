import ObjectSchema
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Watches: what exists, when that is asked for, then every change, as lines of JSON in one endless response.
/// See https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes.
extension RequestPipeline {
    func watch(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        let resource = context.resource
        guard resource.has("watch") else { throw .methodNotAllowed }
        guard !context.request.isInternal else {
            throw .badRequest("plugins watch through hostd.store/1, not through hostd.api/1")
        }
        let options = try WatchOptions(context)
        let encoder = WatchEncoder(
            resource: resource, form: try context.form, selection: options.selection,
            name: context.path.name, includeObject: context.query["includeObject"], lines: eventLines)
        let stream = HTTPBodyStream(budget: watchBudget) { output in
            encoder.error(
                .expired("the watch fell behind what its client reads: list and watch again"), into: &output)
        }
        var start = options.revision
        if options.sendsInitial {
            start = try sendInitial(stream, encoder, options, context)
        }
        begin(stream, encoder, options, from: start, prefix: resource.prefix(context.path.namespace))
        var response = HTTPResponse(status: 200, contentType: Self.watchType(encoder.form), body: .stream(stream))
        response.timeLimit = options.timeout
        respond(response)
    }

    private static func watchType(_ form: ResponseForm) -> String {
        form.isProtobuf ? "\(KubernetesProtobuf.contentType);stream=watch" : "application/json"
    }

    /// Writes an ADDED event for all that is selected now.
    /// - Returns: the revision that they show.
    private func sendInitial(
        _ stream: HTTPBodyStream, _ encoder: WatchEncoder, _ options: WatchOptions, _ context: RequestContext
    ) throws(APIStatus) -> UInt64 {
        let page: StorePage
        do {
            page = try store.list(
                prefix: options.selection.matchesNothing
                    ? "\u{1}nothing/" : context.resource.prefix(context.path.namespace),
                selector: options.selection.text)
        } catch {
            throw APIStatus(error, context.resource, "")
        }
        guard options.revision <= page.revision else {
            throw .tooLargeResourceVersion(options.revision, current: page.revision)
        }
        let converted = try CustomConversion.converted(page.records, encoder.resource, encoder.form)
        let isAdmitted = stream.begin { queue in
            for (index, record) in page.records.enumerated() {
                if !encoder.name.isEmpty, StoreRecord.split(key: record.key).name != encoder.name { continue }
                queue.append { output in
                    if let bytes = converted[index] {
                        bytes.withUnsafeBytes { encoder.write(.added, $0, record.revision, into: &output) }
                    } else {
                        record.withValue { encoder.write(.added, $0, record.revision, into: &output) }
                    }
                }
            }
            guard options.marksInitialEnd else { return }
            queue.append { encoder.bookmark(page.revision, endsInitialEvents: true, into: &$0) }
        }
        guard isAdmitted else {
            throw .tooManyRequests("too much waits for the clients of other watches already", retryAfterSeconds: 1)
        }
        return page.revision
    }

    private func begin(
        _ stream: HTTPBodyStream, _ encoder: WatchEncoder, _ options: WatchOptions, from start: UInt64, prefix: String
    ) {
        let box = SubscriptionBox()
        let converting =
            encoder.resource.custom?.conversion == nil ? nil : ConvertedEvents(encoder, stream, workers: workers)
        box.marks.store(start, ordering: .relaxed)
        do {
            let subscription = try store.watch(
                prefix: prefix, selector: options.selection.text, from: start, isPrompt: encoder.copiesBytes
            ) { message in
                switch message {
                case .events(let events):
                    if let converting { return converting.add(events) }
                    let isOpen = stream.write { output in
                        for event in events { encoder.encode(event, into: &output) }
                    }
                    if !isOpen { box.cancel() }
                case .progress(let revision):
                    guard options.wantsBookmarks, revision > box.marks.exchange(revision, ordering: .relaxed) else {
                        return
                    }
                    if let converting { return converting.add(bookmark: revision) }
                    stream.write { encoder.bookmark(revision, into: &$0) }
                case .resync:
                    stream.write { encoder.error(.expired("too old resource version: \(start)"), into: &$0) }
                    stream.finish()
                case .ended(let reason):
                    if !reason.isEmpty { stream.write { encoder.error(.unavailable(reason), into: &$0) } }
                    stream.finish()
                }
            }
            box.hold(subscription)
        } catch {
            let status: APIStatus
            switch error.code {
            case HOSTD_ERROR_COMPACTED: status = .expired("too old resource version: \(start)")
            case HOSTD_ERROR_INVALID_ARGUMENT: status = .tooLargeResourceVersion(start, current: 0)
            default: status = APIStatus(error, encoder.resource, "")
            }
            stream.write { encoder.error(status, into: &$0) }
            stream.finish()
        }
        guard let custom = encoder.resource.custom else { return stream.onClose { box.cancel() } }
        // Under a changed definition objects look otherwise: the client begins anew from where it is.
        let id = custom.onRetire { stream.finish() }
        stream.onClose {
            custom.cancelRetire(id)
            box.cancel()
        }
    }
}

/// A subscription that may be cancelled before it is known.
final class SubscriptionBox: Sendable {
    private struct State {
        var subscription: Subscription?
        var isCancelled = false
    }

    private let state = Mutex(State())
    /// The revision of the last bookmark.
    let marks = Atomic<UInt64>(0)

    func hold(_ subscription: Subscription) {
        let isCancelled = state.withLock { state in
            state.subscription = subscription
            return state.isCancelled
        }
        if isCancelled { subscription.cancel() }
    }

    func cancel() {
        let subscription = state.withLock { state -> Subscription? in
            state.isCancelled = true
            defer { state.subscription = nil }
            return state.subscription
        }
        subscription?.cancel()
    }
}

/// What a watch request asks for.
struct WatchOptions: Sendable {
    var selection: Selection
    /// Changes after this; 0 = from now on.
    var revision: UInt64
    /// Whether what exists is sent first.
    var sendsInitial: Bool
    /// Whether a bookmark tells where what existed ends.
    var marksInitialEnd: Bool
    var wantsBookmarks: Bool
    /// Nanoseconds.
    var timeout: UInt64

    init(_ context: RequestContext) throws(APIStatus) {
        let query = context.query
        try ListOptions.check(query, isWatch: true)
        selection = try Selection(query, context.resource)
        wantsBookmarks = query.flag("allowWatchBookmarks")
        let version = query["resourceVersion"] ?? ""
        guard let number = version.isEmpty ? 0 : UInt64(version) else {
            throw .badRequest("Invalid value: \"\(version)\": resourceVersion must be a number")
        }
        revision = number
        sendsInitial = number == 0
        marksInitialEnd = false
        if query["sendInitialEvents"] != nil {
            sendsInitial = query.flag("sendInitialEvents")
            marksInitialEnd = sendsInitial && wantsBookmarks
        }
        let seconds = try query.integer("timeoutSeconds") ?? 0
        timeout = UInt64(seconds > 0 ? min(seconds, 86400) : .random(in: 1800...3600)) * 1_000_000_000
    }
}
