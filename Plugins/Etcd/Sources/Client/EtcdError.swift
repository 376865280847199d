import PluginAPI
import PluginKit

/// Turns what etcd says into the codes of the plugin ABI.
enum EtcdError {
    static func from(_ failure: GRPCFailure, _ method: String) -> PluginError {
        switch failure {
        case .timeout: return .deadlineExceeded("etcd did not answer \(method) in time; whether it was done is unknown")
        case .connection(let reason, let mayHaveRun):
            return .unavailable(mayHaveRun ? "\(reason); whether the call was carried out is unknown" : reason)
        case .status(let code, let message): return status(code, message)
        }
    }

    private static func status(_ code: Int, _ message: String) -> PluginError {
        let text = "etcd says: \(message)"
        if message.contains("has been compacted") { return PluginError(code: HOSTD_ERROR_COMPACTED, message: text) }
        if message.contains("database space exceeded") {
            return .noSpace("\(text): compact and defragment it, raise its quota, then disarm the alarm with etcdctl")
        }
        if message.contains("lease not found") { return .notFound(text) }
        switch code {
        case GRPCFailure.Code.invalidArgument, GRPCFailure.Code.outOfRange: return .invalid(text)
        case GRPCFailure.Code.notFound: return .notFound(text)
        case GRPCFailure.Code.permissionDenied, GRPCFailure.Code.unauthenticated:
            return .forbidden("\(text): check the client certificate")
        case GRPCFailure.Code.resourceExhausted: return .exhausted(text)
        case GRPCFailure.Code.deadlineExceeded: return .deadlineExceeded(text)
        case GRPCFailure.Code.unavailable: return .unavailable(text)
        case GRPCFailure.Code.dataLoss: return PluginError(code: HOSTD_ERROR_DATA_LOSS, message: text)
        default: return .internal(text)
        }
    }

    static func malformed(_ what: String) -> PluginError {
        PluginError(code: HOSTD_ERROR_DATA_LOSS, message: "\(what) from etcd cannot be read")
    }
}
