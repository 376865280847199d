import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Role hostd.api/1: requests of other plugins, through the same pipeline as those of clients.
final class InProcessProvider: APIProvider {
    private let current = Mutex<RequestPipeline?>(nil)

    /// The pipeline while the plugin is active.
    var pipeline: RequestPipeline? {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    func request(
        method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?
    ) throws -> (code: Int32, body: OwnedBuffer) {
        let box = ResponseBox()
        try start(method, path, body, deadline, fence) { box.complete($0) }
        guard let response = box.wait(deadline: deadline) else {
            throw PluginError.deadlineExceeded("\(method) \(path) was not answered in time")
        }
        let bytes = try Self.bytes(response)
        let buffer = bytes.withUnsafeBytes { OwnedBuffer(taking: hostd_buffer(copying: $0)) }
        return (Int32(response.status), buffer)
    }

    func requestAsync(
        method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?,
        completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
    ) throws {
        try start(method, path, body, deadline, fence) { response in
            do {
                completion(.success((Int32(response.status), try Self.bytes(response))))
            } catch {
                completion(.failure(PluginError(error)))
            }
        }
    }

    private func start(
        _ method: String, _ path: String, _ body: [UInt8], _ deadline: UInt64, _ fence: WriteFence?,
        _ respond: @escaping Responder
    ) throws {
        guard let pipeline else { throw PluginError.unavailable("the API is not active") }
        let parts = method.split(separator: " ", maxSplits: 1)
        let type = parts.count > 1 ? String(parts[1]) : nil
        do throws(APIStatus) {
            var request = try APIRequest(
                method: .init(String(parts.first ?? ""), contentType: type), target: path, body: body, user: .host,
                isInternal: true)
            request.deadline = deadline
            request.fence = fence
            pipeline.handle(request, respond: respond)
        } catch {
            respond(.failure(error))
        }
    }

    private static func bytes(_ response: HTTPResponse) throws -> [UInt8] {
        if case .bytes(let bytes) = response.body { return bytes }
        response.discard()
        throw PluginError.notSupported("streams are served over HTTPS only")
    }
}
