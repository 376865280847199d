import Objects
import PluginAPI
import Synchronization

/// Builds C tables over Swift providers.
public enum RoleTable {
    /// What `self` of a table points to. `P` is the role's protocol, as in `any SchedulerProvider`: a box of an exact type
    /// is found out in a nanosecond, where a cast to a protocol takes fifty.
    final class ProviderBox<P> {
        let provider: P
        init(_ provider: P) { self.provider = provider }
    }

    /// Tables that were made and not released, by address. Each image has its own, and knows only what it made.
    private static let present = Mutex<Set<UInt>>([])

    /// Allocates a zeroed table with its head filled in, in one piece with its texts. It keeps `box` until `release`.
    static func allocate<Table>(
        _ type: Table.Type, id: String, slots: String, box: AnyObject
    ) -> UnsafeMutablePointer<Table> {
        let size = MemoryLayout<Table>.size
        let texts = (id.utf8CString, slots.utf8CString)
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: size + texts.0.count + texts.1.count, alignment: MemoryLayout<Table>.alignment)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        memory.assumingMemoryBound(to: hostd_interface.self).initialize(
            to: hostd_interface(
                struct_size: UInt32(size), reserved: 0, self: Unmanaged.passRetained(box).toOpaque(),
                id: place(texts.0, memory + size), slots: place(texts.1, memory + size + texts.0.count)))
        present.withLock { _ = $0.insert(UInt(bitPattern: memory)) }
        return memory.assumingMemoryBound(to: Table.self)
    }

    private static func place(
        _ text: ContiguousArray<CChar>, _ memory: UnsafeMutableRawPointer
    ) -> UnsafePointer<CChar> {
        UnsafePointer(memory.initializeMemory(as: CChar.self, from: Array(text), count: text.count))
    }

    /// Frees a table that one of the functions of `RoleTable` made, and lets its provider go; others are left alone. Nobody
    /// may call through it any more. `PluginEntry` does this in `destroy` for every table that the host was given.
    public static func release(_ table: UnsafePointer<hostd_interface>) {
        guard present.withLock({ $0.remove(UInt(bitPattern: table)) != nil }) else { return }
        if let box = table.pointee.`self` { Unmanaged<AnyObject>.fromOpaque(box).release() }
        UnsafeMutableRawPointer(mutating: table).deallocate()
    }

    static func finish<Table>(_ table: UnsafeMutablePointer<Table>) -> UnsafePointer<hostd_interface> {
        UnsafeRawPointer(table).assumingMemoryBound(to: hostd_interface.self)
    }

    /// The table of a role that PluginKit has no file for, such as one of the plugin's own: `fill` sets the slots, which
    /// find `implementation` again with `provider(of:as:)`, given the same type. Keeps the implementation alive until `release`.
    public static func make<Table, P>(
        _ type: Table.Type, id: String, slots: String, provider implementation: P,
        fill: (UnsafeMutablePointer<Table>) -> Void
    ) -> UnsafePointer<hostd_interface> {
        let table = allocate(type, id: id, slots: slots, box: ProviderBox<P>(implementation))
        fill(table)
        return finish(table)
    }
}

/// The provider behind `self` of a call; `type` is the one that the table was built with.
@inline(__always)
public func provider<P>(of this: UnsafeMutableRawPointer?, as type: P.Type) -> P {
    // SAFETY: tables hand out their own box, whose type is named where the table is built, lines away.
    (Unmanaged<AnyObject>.fromOpaque(this!).takeUnretainedValue() as! RoleTable.ProviderBox<P>).provider
}

/// A flat struct that was passed in, once its size shows that all of it is there.
@inline(__always)
func flat<Struct>(_ pointer: UnsafePointer<Struct>) throws -> Struct {
    let size = UnsafeRawPointer(pointer).load(as: UInt32.self)
    guard size >= UInt32(MemoryLayout<Struct>.size) else {
        throw PluginError.invalid("the struct has \(size) bytes; \(MemoryLayout<Struct>.size) are needed")
    }
    return pointer.pointee
}

/// Answers a slot whose request and response are JSON.
func answerJSON<P>(
    _ this: UnsafeMutableRawPointer?, _ data: UnsafePointer<UInt8>, _ size: UInt64,
    _ response: UnsafeMutablePointer<hostd_buffer>, _ error: UnsafeMutablePointer<hostd_error>,
    _ body: (P, JSON) throws -> JSON
) -> Int32 {
    answering(error) {
        let request = try parseRequest(borrowedBytes(data, size))
        response.pointee = hostd_buffer(copying: try body(provider(of: this, as: P.self), request))
    }
}

/// A C slot whose request and response are JSON.
typealias JSONSlot =
    @convention(c) (
        UnsafeMutableRawPointer?, UInt64, UnsafePointer<UInt8>, UInt64, UnsafeMutablePointer<hostd_buffer>,
        UnsafeMutablePointer<hostd_error>
    ) -> Int32

/// Calls such a slot.
func callJSON(_ slot: JSONSlot, _ this: UnsafeMutableRawPointer?, _ request: JSON, _ deadline: UInt64) throws -> JSON {
    let buffer = try checkedBuffer { out, error in
        lend(request.serialized()) { slot(this, deadline, $0, $1, out, error) }
    }
    if buffer.bytes.isEmpty { return .object([:]) }
    do {
        return try buffer.json()
    } catch {
        throw PluginError.internal("a role's response is not JSON: \(error)")
    }
}

/// A plugin's table for one role, made when it is first asked for: the host gets the same address at every call.
public final class ProvidedTable: Sendable {
    /// Its address, 0 before.
    private let table = Mutex<Int>(0)

    public init() {}

    public func once(_ make: () -> UnsafePointer<hostd_interface>) -> UnsafePointer<hostd_interface>? {
        table.withLock { address in
            if address == 0 { address = Int(bitPattern: make()) }
            return UnsafePointer(bitPattern: address)
        }
    }
}
