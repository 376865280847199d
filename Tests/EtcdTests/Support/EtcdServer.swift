import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import Etcd

/// A real etcd of one or more members on loopback, with directories of its own, ended with the test.
final class EtcdServer {
    struct Member {
        let name: String
        let client: UInt16
        let peer: UInt16
        var process: pid_t = 0
    }

    private(set) var members: [Member]
    let directory: String
    private let tls: [String]
    private let scheme: String

    /// - Parameter certificates: a directory with ca.pem, server.pem and server-key.pem; then clients need one too.
    init(members count: Int = 1, certificates: String? = nil) throws {
        signal(SIGPIPE, SIG_IGN)  // As in hostd.
        guard access(Self.program, X_OK) == 0 else {
            throw XCTSkip("\(Self.program) is not installed: run script/bootstrap")
        }
        var template = Array("/tmp/hostd-etcd-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw XCTSkip("no directory in /tmp") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        scheme = certificates == nil ? "http" : "https"
        tls =
            certificates.map {
                [
                    "--cert-file=\($0)/server.pem", "--key-file=\($0)/server-key.pem",
                    "--trusted-ca-file=\($0)/ca.pem", "--client-cert-auth",
                ]
            } ?? []
        let ports = try Self.freePorts(2 * count)
        members = (0..<count).map { Member(name: "m\($0)", client: ports[2 * $0], peer: ports[2 * $0 + 1]) }
        for index in members.indices { try start(index) }
    }

    private static let program = "/usr/bin/etcd"

    /// Ports that nobody has at this moment, below those that the kernel hands out: nobody else gets them before etcd listens,
    /// nor between its end and its next start.
    private static func freePorts(_ count: Int) throws -> [UInt16] {
        var files: [Int32] = []
        defer { for file in files { close(file) } }
        var ports: [UInt16] = []
        for _ in 0..<1000 where ports.count < count {
            let port = UInt16.random(in: 10_000..<32_000)
            let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            files.append(file)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
            let status = withUnsafePointer(to: &address) { address in
                address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 { ports.append(port) }
        }
        XCTAssertEqual(ports.count, count, "there are no free ports on loopback")
        return ports
    }

    var endpoints: [String] { members.map { "\(scheme)://127.0.0.1:\($0.client)" } }

    func start(_ index: Int) throws {
        let member = members[index]
        let cluster = members.map { "\($0.name)=http://127.0.0.1:\($0.peer)" }.joined(separator: ",")
        let client = "\(scheme)://127.0.0.1:\(member.client)"
        let arguments =
            [
                Self.program, "--name=\(member.name)", "--data-dir=\(directory)/\(member.name)",
                "--listen-client-urls=\(client)", "--advertise-client-urls=\(client)",
                "--listen-peer-urls=http://127.0.0.1:\(member.peer)",
                "--initial-advertise-peer-urls=http://127.0.0.1:\(member.peer)", "--initial-cluster=\(cluster)",
                "--heartbeat-interval=50", "--election-timeout=500", "--log-level=error",
            ] + tls
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let log = "\(directory)/\(member.name).log"
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var words = arguments.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
        defer { for pointer in words + variables { free(pointer) } }
        var process = pid_t()
        let status = posix_spawn(&process, Self.program, &actions, nil, &words, &variables)
        guard status == 0 else { throw XCTSkip("cannot run etcd: \(String(cString: strerror(status)))") }
        members[index].process = process
    }

    /// As a crash would.
    func kill(_ index: Int) {
        let process = members[index].process
        guard process > 0 else { return }
        Glibc.kill(process, SIGKILL)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        members[index].process = 0
    }

    deinit {
        for index in members.indices { kill(index) }
        try? FileTree.remove(directory)  // What is left of it lies in /tmp.
    }

    func options(_ changes: String = "") throws -> EtcdOptions {
        let list = endpoints.map { "\"\($0)\"" }.joined(separator: ",")
        return try EtcdOptions(try JSON(parsing: "{\"endpoints\":[\(list)]\(changes)}"))
    }

    /// A store on it, once it answers.
    func open(_ changes: String = "") throws -> EtcdStore {
        let options = try options(changes)
        let deadline = monotonicNanoseconds() + 60_000_000_000
        while true {
            do { return try EtcdStore(options) { _ in } } catch let error as PluginError {
                // It has just been started: a refused connection or a missing leader pass.
                guard error.code == HOSTD_ERROR_UNAVAILABLE || error.code == HOSTD_ERROR_DEADLINE_EXCEEDED,
                    monotonicNanoseconds() < deadline
                else { throw error }
                usleep(20_000)
            }
        }
    }
}
