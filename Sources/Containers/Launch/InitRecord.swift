/// What hostd-container-init understands: Sources/ContainerInit/protocol.h, whose names and numbers these are.
package enum InitTag: UInt32, CaseIterable {
    case stateDirectory = 1, logPath, terminal, standardInput, overlayDirectory, overlayOptions, root, bind, filesystem,
        device, symbolicLink, maskedPath, readOnlyPath, readOnlyRoot, joinNamespace, newNamespaces, cgroupJoin,
        cgroupUnified, cgroupOOM, argument, environment, workingDirectory, user, userID, groupID, supplementaryGroup,
        mustNotBeRoot, capabilities, noNewPrivileges, seccomp, resourceLimit, oomScore, sysctl, hostName, targetProcess,
        terminalSize, keepNamespace, sharedMemory, holder, cgroupMount, runtimeArgument, runtimeLog,
        processFile, consoleSocket, temporary, onlyListedGroups, image, userNamespace
}

package enum InitStep: UInt32, CaseIterable {
    case configuration = 1, log, monitor, namespace, cgroup, root, mount, mountSource, mountTarget, device, mask, pivot,
        terminal, user, group, nonRoot, capabilities, seccomp, workingDirectory, executable, search, target, sysctl,
        hostName, loopback, sharedMemory, fork, cgroupMount, runtime, image, imagePath, users, mappedMount
}

/// Flags of a `bind` record.
package struct BindFlags: OptionSet {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static let readOnly = BindFlags(rawValue: 1)
    package static let recursive = BindFlags(rawValue: 2)
    package static let hostToContainer = BindFlags(rawValue: 4)
    package static let bidirectional = BindFlags(rawValue: 8)
    package static let image = BindFlags(rawValue: 32)
}

/// CLONE_NEW… flags of sched.h.
package enum NamespaceKind: UInt64 {
    case mount = 0x0002_0000
    case cgroup = 0x0200_0000
    case hostName = 0x0400_0000
    case interProcess = 0x0800_0000
    case process = 0x2000_0000
    case network = 0x4000_0000
}

/// A configuration under construction, in the records of protocol.h.
package struct InitConfiguration {
    private(set) var bytes: [UInt8] = []

    package init() { bytes.reserveCapacity(8192) }

    package mutating func add(_ tag: InitTag, _ numbers: [UInt64] = [], _ texts: [String] = []) {
        begin(tag, size: numbers.count * 8 + texts.reduce(0) { $0 + $1.utf8.count + 1 })
        for number in numbers { append(number) }
        for text in texts {
            bytes += text.utf8
            bytes.append(0)
        }
        bytes.append(0)
    }

    /// One string, which the record's own zero ends.
    package mutating func add(_ tag: InitTag, _ text: String) {
        begin(tag, size: text.utf8.count)
        bytes += text.utf8
        bytes.append(0)
    }

    package mutating func add(_ tag: InitTag, _ number: UInt64) { add(tag, [number]) }

    package mutating func add(_ tag: InitTag, bytes content: [UInt8]) {
        begin(tag, size: content.count)
        bytes += content
        bytes.append(0)
    }

    private mutating func begin(_ tag: InitTag, size: Int) {
        withUnsafeBytes(of: tag.rawValue) { bytes += $0 }
        withUnsafeBytes(of: UInt32(size)) { bytes += $0 }
    }

    private mutating func append(_ number: UInt64) { withUnsafeBytes(of: number) { bytes += $0 } }
}

/// One message of the helper: struct report of protocol.h, 256 bytes.
package struct InitReport: Sendable, Equatable {
    package enum Kind: UInt32, Sendable { case started = 1, failed, exited, terminal }
    package static let size = 256

    package let kind: Kind
    package let step: UInt32
    package let code: Int32
    package let process: Int32
    package let startTime: UInt64
    /// Nanoseconds since 1970.
    package let at: Int64
    package let signal: Int32
    package let path: String

    /// Nil for bytes that are no report.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size,
            let kind = Kind(rawValue: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
        else {
            return nil
        }
        self.kind = kind
        step = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        code = bytes.loadUnaligned(fromByteOffset: 8, as: Int32.self)
        process = bytes.loadUnaligned(fromByteOffset: 12, as: Int32.self)
        startTime = bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        at = bytes.loadUnaligned(fromByteOffset: 24, as: Int64.self)
        signal = bytes.loadUnaligned(fromByteOffset: 32, as: Int32.self)
        path = String(decoding: bytes[40...].prefix { $0 != 0 }, as: UTF8.self)
    }
}
