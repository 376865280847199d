import CEpoll
import Glibc
import Synchronization

/// Answers queries from the cluster's zone, and asks the upstream servers for everything else.
final class DNSServer: @unchecked Sendable {
    // SAFETY: everything but `zone`, which is behind its mutex, belongs to the event thread.
    let zone: Mutex<ClusterZone>
    private let thread: EventThread
    private let report: @Sendable (String) -> Void
    private var upstreams: Upstreams
    private var cache: ResponseCache
    private var listeners: [UInt32: (datagrams: DatagramListener, streams: StreamListener, tokens: [UInt64])] = [:]
    private var clients: Set<ObjectIdentifier> = []
    private var exchanges: [ObjectIdentifier: Exchange] = [:]
    private var turn = 0

    private static let mostClients = 128
    private static let mostExchanges = 512
    private static let longestChain = 8

    /// - Parameter report: told of addresses that cannot be listened at.
    init(
        zone: ClusterZone, upstreams: Upstreams, cacheCapacity: Int, report: @escaping @Sendable (String) -> Void
    ) throws(ServerError) {
        self.zone = Mutex(zone)
        self.upstreams = upstreams
        self.report = report
        cache = ResponseCache(capacity: cacheCapacity)
        thread = try EventThread(name: "hostd-dns")
    }

    func stop() { thread.stop() }

    /// Listens at exactly these addresses. `done` gets those that could not be had.
    func listen(at addresses: [UInt32], port: UInt16, done: @escaping @Sendable ([UInt32]) -> Void) {
        thread.post { [weak self] in
            guard let self else { return }
            done(setListeners(addresses, port: port))
        }
    }

    private func setListeners(_ addresses: [UInt32], port: UInt16) -> [UInt32] {
        for (address, listener) in listeners where !addresses.contains(address) {
            thread.remove(listener.tokens[0], listener.datagrams.socket.number)
            thread.remove(listener.tokens[1], listener.streams.socket.number)
            listeners[address] = nil
        }
        var missing: [UInt32] = []
        for address in addresses where listeners[address] == nil {
            do {
                let datagrams = try DatagramListener(address: address, port: port) { [weak self] in
                    self?.receive($0, $1)
                }
                let streams = try StreamListener(address: address, port: port) { [weak self] in self?.accept($0) }
                let tokens = [
                    thread.add(datagrams, datagrams.socket.number, events: EPOLLIN.rawValue),
                    thread.add(streams, streams.socket.number, events: EPOLLIN.rawValue),
                ]
                listeners[address] = (datagrams, streams, tokens)
            } catch {
                report("\(error)")
                missing.append(address)
            }
        }
        return missing
    }

    private func accept(_ socket: Descriptor) {
        // Too many: the new one is closed, which a client takes for "try again".
        guard clients.count < Self.mostClients else { return }
        let client = StreamClient(
            socket: socket, thread: thread, receive: { [weak self] in self?.receive($0, $1) },
            closed: { [weak self] in _ = self?.clients.remove(ObjectIdentifier($0)) })
        clients.insert(ObjectIdentifier(client))
    }

    private func receive(_ bytes: [UInt8], _ client: any Client) {
        switch QueryReader.read(bytes) {
        case .ignore: break
        case .refuse(let identifier, let code, let recursionDesired):
            client.reply(MessageWriter.refusal(identifier: identifier, code, recursionDesired: recursionDesired))
        case .query(let query):
            if let extended = query.extended, extended.version > 0 {
                return answer(query, Answer(code: .badVersion, isAuthoritative: false), client)
            }
            resolve(query, client)
        }
    }

    /// Follows aliases within the zone, then answers or forwards.
    private func resolve(_ query: Query, _ client: any Client) {
        var question = query.question
        var prefix: [Record] = []
        for _ in 0..<Self.longestChain {
            switch zone.withLock({ $0.resolve(question) }) {
            case .answer(var found):
                found.answers = prefix + rotated(found.answers)
                if !prefix.isEmpty { found.code = .noError }
                return answer(query, found, client)
            case .alias(let records, let target):
                prefix += records
                question = Question(name: target, type: question.type, recordClass: question.recordClass)
            case .foreign: return forward(query, question, prefix, client)
            }
        }
        answer(query, Answer(code: .serverFailure, answers: prefix), client)
    }

    /// Addresses start with another one each time: many clients take the first.
    private func rotated(_ records: [Record]) -> [Record] {
        guard records.count > 1, records.allSatisfy({ $0.data.type == RecordType.a }) else { return records }
        turn &+= 1
        let start = Int(UInt(bitPattern: turn) % UInt(records.count))
        return Array(records[start...] + records[..<start])
    }

    private func answer(_ query: Query, _ answer: Answer, _ client: any Client) {
        client.reply(MessageWriter.response(to: query, answer, limit: client.limit(for: query), recursion: true))
    }

    private func forward(_ query: Query, _ question: Question, _ prefix: [Record], _ client: any Client) {
        guard query.wantsRecursion else {
            return answer(query, Answer(code: .refused, isAuthoritative: false, answers: prefix), client)
        }
        var upstreamQuery = query
        if question != query.question {
            upstreamQuery.question = question
            upstreamQuery.questionBytes = MessageWriter.bytes(of: question)
        }
        let key = ResponseCache.Key(upstreamQuery)
        let now = monotonicNow()
        if let (response, age) = cache.find(key, now: now) {
            return deliver(response, age: age, query, prefix, client)
        }
        let servers = upstreams.servers(now: now)
        guard !servers.isEmpty, exchanges.count < Self.mostExchanges else {
            return answer(query, Answer(code: .serverFailure, isAuthoritative: false, answers: prefix), client)
        }
        let exchange = Exchange(thread: thread, query: upstreamQuery, servers: servers) {
            [weak self] exchange, response in
            guard let self else { return }
            exchanges[ObjectIdentifier(exchange)] = nil
            guard let response else {
                return answer(query, Answer(code: .serverFailure, isAuthoritative: false, answers: prefix), client)
            }
            cache.store(key, response, now: monotonicNow())
            deliver(response, age: 0, query, prefix, client)
        }
        exchanges[ObjectIdentifier(exchange)] = exchange
        exchange.start()
    }

    private func deliver(
        _ response: UpstreamResponse, age: UInt32, _ query: Query, _ prefix: [Record], _ client: any Client
    ) {
        let limit = client.limit(for: query)
        if prefix.isEmpty {
            let bytes = response.bytes(for: query, age: age)
            if bytes.count <= limit { return client.reply(bytes) }
            return client.reply(MessageWriter.truncated(query, code: response.code))
        }
        let answers = response.answers.map { record in
            var record = record
            record.timeToLive -= min(record.timeToLive, age)
            return record
        }
        let code = ResponseCode(rawValue: response.code) ?? .serverFailure
        answer(query, Answer(code: code, isAuthoritative: false, answers: prefix + answers), client)
    }
}

extension MessageWriter {
    /// A question as it stands in a message.
    static func bytes(of question: Question) -> [UInt8] {
        var bytes: [UInt8] = []
        for label in question.name.labels { bytes += [UInt8(label.count)] + label }
        return bytes + [
            0, UInt8(question.type >> 8), UInt8(question.type & 255), UInt8(question.recordClass >> 8),
            UInt8(question.recordClass & 255),
        ]
    }
}
