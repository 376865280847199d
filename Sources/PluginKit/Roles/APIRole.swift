import Objects
import PluginAPI

/// A key of the store and the revision at which it must be for a write to happen: that of an election, and a leader's token.
public struct WriteFence: Sendable, Hashable {
    public let key: String
    public let revision: UInt64

    public init(key: String, revision: UInt64) {
        self.key = key
        self.revision = revision
    }
}

/// Role hostd.api/1 in Swift; see hostd/roles/api.h.
public protocol APIProvider: AnyObject, Sendable {
    /// Runs one request and waits until its write, if any, is durable.
    /// - Parameter fence: nil = it may write whoever leads.
    /// - Returns: the HTTP status and the JSON body.
    func request(method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?) throws -> (
        code: Int32, body: OwnedBuffer
    )
    /// The same without waiting; `completion` runs once, from any thread.
    func requestAsync(
        method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?,
        completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    ) throws
}

extension APIProvider {
    /// A request without a fence.
    public func request(method: String, path: String, body: [UInt8], deadline: UInt64) throws -> (
        code: Int32, body: OwnedBuffer
    ) {
        try request(method: method, path: path, body: body, deadline: deadline, fence: nil)
    }

    /// A request without a fence.
    public func requestAsync(
        method: String, path: String, body: [UInt8], deadline: UInt64,
        completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    ) throws {
        try requestAsync(
            method: method, path: path, body: body, deadline: deadline, fence: nil, completion: completion)
    }
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
        addFenced(to: table)
        return finish(table)
    }

    private static func addFenced(to table: UnsafeMutablePointer<hostd_api_1>) {
        table.pointee.request_fenced = {
            this, deadline, method, methodSize, path, pathSize, body, bodySize, fence, fenceSize, revision, response,
            status, error in
            answering(error) {
                let (code, buffer) = try provider(of: this, as: (any APIProvider).self).request(
                    method: borrowedText(method, methodSize), path: borrowedText(path, pathSize),
                    body: Array(borrowedBytes(body, bodySize)), deadline: deadline,
                    fence: WriteFence(key: borrowedText(fence, fenceSize), revision: revision))
                status.pointee = code
                response.pointee = hostd_buffer(lending: buffer)
            }
        }
        table.pointee.request_fenced_async = {
            this, deadline, method, methodSize, path, pathSize, body, bodySize, fence, fenceSize, revision, completion,
            context, error in
            answering(error) {
                let target = CompletionTarget(completion: completion, context: context)
                try provider(of: this, as: (any APIProvider).self).requestAsync(
                    method: borrowedText(method, methodSize), path: borrowedText(path, pathSize),
                    body: Array(borrowedBytes(body, bodySize)), deadline: deadline,
                    fence: WriteFence(key: borrowedText(fence, fenceSize), revision: revision)
                ) { target.completeAPI($0) }
            }
        }
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
