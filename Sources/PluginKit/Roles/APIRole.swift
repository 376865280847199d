import Objects
import PluginAPI

/// Role hostd.api/1 in Swift; see hostd/roles/api.h.
public protocol APIProvider: AnyObject, Sendable {
    /// Runs one request and waits until its write, if any, is durable.
    /// - Returns: the HTTP status and the JSON body.
    func request(method: String, path: String, body: [UInt8], deadline: UInt64) throws -> (
        code: Int32, body: OwnedBuffer
    )
    /// The same without waiting; `completion` runs once, from any thread.
    func requestAsync(
        method: String, path: String, body: [UInt8], deadline: UInt64,
        completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    ) throws
}

extension RoleTable {
    /// The C table of a provider of hostd.api/1. It keeps the provider alive until `release`.
    public static func api(_ implementation: any APIProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_api_1.self, id: HOSTD_API_1, slots: HOSTD_API_1_SLOTS,
            box: ProviderBox<any APIProvider>(implementation))
        table.pointee.request = {
            this, deadline, method, methodSize, path, pathSize, body, bodySize, response, status, error in
            answering(error) {
                let (code, buffer) = try provider(of: this, as: (any APIProvider).self).request(
                    method: borrowedText(method, methodSize), path: borrowedText(path, pathSize),
                    body: Array(borrowedBytes(body, bodySize)), deadline: deadline)
                status.pointee = code
                response.pointee = hostd_buffer(lending: buffer)
            }
        }
        table.pointee.request_async = {
            this, deadline, method, methodSize, path, pathSize, body, bodySize, completion, context, error in
            answering(error) {
                let target = CompletionTarget(completion: completion, context: context)
                try provider(of: this, as: (any APIProvider).self).requestAsync(
                    method: borrowedText(method, methodSize), path: borrowedText(path, pathSize),
                    body: Array(borrowedBytes(body, bodySize)), deadline: deadline
                ) { target.completeAPI($0) }
            }
        }
        return finish(table)
    }
}

extension hostd_buffer {
    /// Hands out bytes that a Swift object keeps alive until the receiver releases them.
    public init(lending owner: OwnedBuffer) {
        let bytes = owner.bytes
        self.init(
            data: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), size: UInt64(bytes.count),
            release: { context in
                if let context { Unmanaged<OwnedBuffer>.fromOpaque(context).release() }
            }, context: Unmanaged.passRetained(owner).toOpaque())
    }
}

extension CompletionTarget {
    fileprivate func completeAPI(_ result: Result<(code: Int32, body: [UInt8]), PluginError>) {
        switch result {
        case .failure(let failure): complete(.failure(failure))
        case .success(let answer):
            let head = hostd_api_response(
                struct_size: UInt32(MemoryLayout<hostd_api_response>.size), http_status: answer.code)
            var bytes = withUnsafeBytes(of: head) { Array($0) }
            bytes += answer.body
            lend(bytes) { completion(context, HOSTD_OK, $0, $1, nil) }
        }
    }
}

/// The consumer's side of APIProvider.
public final class APIRoleClient: APIProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_api_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    /// What this plugin calls itself to the API, as field manager of its writes.
    private let manager: String

    public init(_ host: Host) throws(PluginError) {
        table = try host.table(HOSTD_API_1, as: hostd_api_1.self)
        manager = host.name
    }

    /// The path of a request that names its field manager: reads need none.
    private func managed(_ method: String, _ path: String) -> String {
        if manager.isEmpty || method == "GET" || path.contains("fieldManager=") { return path }
        return path + (path.contains("?") ? "&" : "?") + "fieldManager=" + manager
    }

    public func request(
        method: String, path: String, body: [UInt8], deadline: UInt64
    ) throws -> (code: Int32, body: OwnedBuffer) {
        var code: Int32 = 0
        let path = managed(method, path)
        let buffer = try checkedBuffer { out, error in
            lend(method) { methodData, methodSize in
                lend(path) { pathData, pathSize in
                    lend(body) { bodyData, bodySize in
                        table.pointee.request(
                            this, deadline, methodData, methodSize, pathData, pathSize, bodyData, bodySize, out, &code,
                            error)
                    }
                }
            }
        }
        return (code, buffer)
    }

    public func requestAsync(
        method: String, path: String, body: [UInt8], deadline: UInt64,
        completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    ) throws {
        let box = Unmanaged.passRetained(ResponseBox(completion))
        let path = managed(method, path)
        do {
            try checked { error in
                lend(method) { methodData, methodSize in
                    lend(path) { pathData, pathSize in
                        lend(body) { bodyData, bodySize in
                            table.pointee.request_async(
                                this, deadline, methodData, methodSize, pathData, pathSize, bodyData, bodySize,
                                ResponseBox.callback, box.toOpaque(), error)
                        }
                    }
                }
            }
        } catch {
            box.release()
            throw error
        }
    }
}

private final class ResponseBox: Sendable {
    let handler: @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    init(_ handler: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void) {
        self.handler = handler
    }

    static let callback: hostd_completion = { context, status, data, size, error in
        guard let context else { return }
        let box = Unmanaged<ResponseBox>.fromOpaque(context).takeRetainedValue()
        let bytes = borrowedBytes(data, size)
        guard status >= 0 else {
            box.handler(.failure(PluginError(status: status, borrowing: error)))
            return
        }
        guard bytes.count >= MemoryLayout<hostd_api_response>.size else {
            box.handler(.failure(.internal("the API's response is malformed")))
            return
        }
        let head = bytes.loadUnaligned(as: hostd_api_response.self)
        box.handler(.success((head.http_status, Array(bytes.dropFirst(Int(head.struct_size))))))
    }
}
