import PluginAPI

/// The consumer's side of APIProvider.
public final class APIRoleClient: APIProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_api_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    /// The slots that every provider has.
    private static let leastSize = MemoryLayout<hostd_api_1>.offset(of: \.request_fenced) ?? 0

    /// What this plugin calls itself to the API, as field manager of its writes.
    private let manager: String
    private let fence: WriteFence?

    /// - Parameter fence: what every request that names none of its own is fenced by; nil = nothing.
    public init(_ host: Host, fence: WriteFence? = nil) throws(PluginError) {
        table = try host.table(HOSTD_API_1, as: hostd_api_1.self, least: fence == nil ? Self.leastSize : nil)
        manager = host.name
        self.fence = fence
    }

    /// The path of a request that names its field manager: reads need none.
    private func managed(_ method: String, _ path: String) -> String {
        if manager.isEmpty || method == "GET" { return path }
        guard path.utf8.contains(UInt8(ascii: "?")) else { return path + "?fieldManager=" + manager }
        return path.contains("fieldManager=") ? path : path + "&fieldManager=" + manager
    }

    public func request(
        method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?
    ) throws -> (code: Int32, body: OwnedBuffer) {
        var code: Int32 = 0
        let fence = fence ?? self.fence
        let path = managed(method, path)
        let buffer = try checkedBuffer { out, error in
            lend(method) { methodData, methodSize in
                lend(path) { pathData, pathSize in
                    lend(body) { bodyData, bodySize in
                        guard let fence else {
                            return table.pointee.request(
                                this, deadline, methodData, methodSize, pathData, pathSize, bodyData, bodySize, out,
                                &code, error)
                        }
                        return lend(fence.key) { fenceData, fenceSize in
                            table.pointee.request_fenced(
                                this, deadline, methodData, methodSize, pathData, pathSize, bodyData, bodySize,
                                fenceData, fenceSize, fence.revision, out, &code, error)
                        }
                    }
                }
            }
        }
        return (code, buffer)
    }

    public func requestAsync(
        method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?,
        completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    ) throws {
        let box = Unmanaged.passRetained(ResponseBox(completion))
        let fence = fence ?? self.fence
        let path = managed(method, path)
        do {
            try checked { error in
                lend(method) { methodData, methodSize in
                    lend(path) { pathData, pathSize in
                        lend(body) { bodyData, bodySize in
                            guard let fence else {
                                return table.pointee.request_async(
                                    this, deadline, methodData, methodSize, pathData, pathSize, bodyData, bodySize,
                                    ResponseBox.callback, box.toOpaque(), error)
                            }
                            return lend(fence.key) { fenceData, fenceSize in
                                table.pointee.request_fenced_async(
                                    this, deadline, methodData, methodSize, pathData, pathSize, bodyData, bodySize,
                                    fenceData, fenceSize, fence.revision, ResponseBox.callback, box.toOpaque(), error)
                            }
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
