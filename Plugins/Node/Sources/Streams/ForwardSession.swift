import CEpoll
import Glibc

/// Carries a forwarded connection between a client's packets and a pod's socket, in both directions, until the pod closes or
/// the client goes. On a thread of its own; memory is bounded: what one side does not take is not read from the other.
final class ForwardSession {
    private let client: PacketStream
    private let pod: Int32
    private var toPod: [UInt8] = []
    private var toClient: [UInt8] = []
    private var clientHasFinished = false
    private var podHasFinished = false

    /// Takes over `pod`, a connected, non-blocking socket.
    init(client: PacketStream, pod: Int32) {
        self.client = client
        self.pod = pod
    }

    deinit { close(pod) }

    /// Returns when the connection is over.
    func run() {
        do {
            while !podHasFinished || !toClient.isEmpty { try step() }
        } catch {
            return  // One of the two has gone; closing tells the other.
        }
    }

    private func step() throws {
        var events: (client: Int16, pod: Int16) = (0, 0)
        if toPod.isEmpty, !clientHasFinished { events.client |= Int16(POLLIN) }
        if !toClient.isEmpty { events.client |= Int16(POLLOUT) }
        if toClient.isEmpty, !podHasFinished { events.pod |= Int16(POLLIN) }
        if !toPod.isEmpty { events.pod |= Int16(POLLOUT) }
        var waits = [
            // A client that has finished is heard again when it goes, by POLLHUP.
            pollfd(fd: client.descriptor, events: events.client, revents: 0),
            // A pod that is gone would be reported for as long as the client is slow.
            pollfd(fd: events.pod == 0 ? -1 : pod, events: events.pod, revents: 0),
        ]
        try SystemError.check("poll", "") { poll(&waits, nfds_t(waits.count), -1) }
        if waits[0].revents & Int16(POLLHUP | POLLERR) != 0, waits[0].revents & Int16(POLLIN) == 0 {
            throw StreamClosed()
        }
        if waits[0].revents & Int16(POLLIN) != 0 { try receive() }
        if waits[1].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0, toClient.isEmpty, !podHasFinished { try read() }
        if !toPod.isEmpty { try write() }
        if !toClient.isEmpty { try send() }
    }

    private func receive() throws {
        guard toPod.isEmpty, !clientHasFinished else { return }
        guard let packet = try client.receive() else {
            clientHasFinished = true
            // The pod may go on sending. That it has gone itself shows when it is read.
            shutdown(pod, Int32(SHUT_WR))
            return
        }
        toPod = Array(packet)
    }

    private func write() throws {
        let count = toPod.withUnsafeBytes { Glibc.send(pod, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if count > 0 {
            toPod.removeFirst(count)
        } else if errno != EAGAIN && errno != EINTR {
            throw SystemError("send", "")
        }
    }

    private func read() throws {
        var buffer = [UInt8](repeating: 0, count: PacketStream.maximumPacket)
        let count = recv(pod, &buffer, buffer.count, 0)
        if count > 0 {
            toClient = Array(buffer[..<count])
        } else if count == 0 {
            podHasFinished = true
        } else if errno != EAGAIN && errno != EINTR {
            throw SystemError("recv", "")
        }
    }

    private func send() throws {
        if try client.sendIfReady(toClient) { toClient = [] }
    }
}
