import CInterposer
import PluginAPI
import XCTest

@testable import Kernel

/// What ends and tags say of slots, whatever the interface is.
final class TraitsTests: XCTestCase {
    private static let slots = "start:wwqHe;stop:he;start_cancel:he;find:bbWe;odd:we"

    func testEnds() throws {
        let descriptor = try SlotDescriptor(Self.slots)
        let table: [(traits: String?, slot: UInt32, closer: Int32, reason: String)] = [
            (nil, 0, 2, "without a text NAME_cancel ends it"),
            ("", 0, 2, "an empty text says nothing"),
            ("start:stop", 0, 1, "the text says which"),
            ("start:once=1;start:stop", 0, 1, "a tag is no name of a slot"),
            ("start:stop;start:once=1", 0, 1, "in either order"),
            ("find:stop", 0, 2, "of another slot"),
            ("star:stop;startle:stop", 0, 2, "names are compared whole"),
            ("start:nothing", 0, -1, "no such slot"),
            ("start:odd", 0, -1, "a slot that takes no handle ends nothing"),
            ("start:", 0, 2, "no value, no word"),
        ]
        for row in table {
            XCTAssertEqual(
                interposer_descriptor_closer(descriptor.handle, row.slot, row.traits), row.closer, row.reason)
        }
    }

    func testTags() throws {
        let descriptor = try SlotDescriptor(Self.slots)
        let w = CChar(UInt8(ascii: "w"))
        let table: [(traits: String?, tag: String, position: Int32, reason: String)] = [
            (nil, "once", -1, "no text"),
            ("start:once=1", "once", 1, "the second letter"),
            ("start:stop;start:once=0", "once", 0, "after another pair"),
            ("start:once=2", "once", -1, "that letter is a q"),
            ("start:once=5", "once", -1, "there is no such letter"),
            ("start:once=99", "once", -1, "far behind the last"),
            ("start:once=x", "once", -1, "no number"),
            ("start:once=", "once", -1, "no number at all"),
            ("start:once=1", "table", -1, "another tag"),
            ("start:onceonly=1", "once", -1, "tags are compared whole"),
            ("stop:once=1", "once", -1, "of another slot"),
        ]
        for row in table {
            XCTAssertEqual(
                interposer_descriptor_tag(descriptor.handle, 0, row.traits, row.tag, w), row.position, row.reason)
        }
        XCTAssertEqual(
            interposer_descriptor_tag(descriptor.handle, 3, "find:table=2", "table", CChar(UInt8(ascii: "W"))), 2,
            "the number that is a table's address")
    }

    /// The headers' own: every tag names a letter of its kind.
    func testHeaders() throws {
        let timers = try SlotDescriptor(HOSTD_TIMERS_1_SLOTS)
        let start = UInt32(interposer_descriptor_find(timers.handle, "start"))
        XCTAssertEqual(
            interposer_descriptor_tag(
                timers.handle, start, RoleCatalog.ends[HOSTD_TIMERS_1], "once", CChar(UInt8(ascii: "w"))), 1)
        let roles = try SlotDescriptor(HOSTD_ROLES_1_SLOTS)
        let provider = UInt32(interposer_descriptor_find(roles.handle, "provider"))
        XCTAssertEqual(
            interposer_descriptor_tag(
                roles.handle, provider, RoleCatalog.ends[HOSTD_ROLES_1], "table", CChar(UInt8(ascii: "W"))), 2)
        XCTAssertEqual(
            interposer_descriptor_closer(
                roles.handle, UInt32(interposer_descriptor_find(roles.handle, "watch")),
                RoleCatalog.ends[HOSTD_ROLES_1]),
            interposer_descriptor_find(roles.handle, "unwatch"))
    }

    /// A clock of a third party: what its slot's tag calls a callback's last run is what the ledger takes for it.
    func testLedgerOfAnyInterface() throws {
        let descriptor = try SlotDescriptor("start:wwqHe;stop:he")
        let clock = FakeClock()
        let ledger = try XCTUnwrap(
            interposer_ledger_create(clock.table, descriptor.handle, "start:stop;start:once=1"))
        let wrapped = UnsafeRawPointer(interposer_ledger_table(ledger)).assumingMemoryBound(to: hostd_timers_1.self)
        var handle: UInt64 = 0
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        for (period, left, reason): (UInt64, UInt32, String) in [
            (0, 0, "over once it has run"), (5, 1, "a period goes on until it is stopped"),
        ] {
            XCTAssertEqual(
                wrapped.pointee.start(clock.this, 1, period, { _, _, _, _ in 0 }, nil, &handle, &error), HOSTD_OK)
            XCTAssertEqual(interposer_ledger_open(ledger, .max), 1, reason)
            clock.run()
            XCTAssertEqual(interposer_ledger_open(ledger, .max), left, reason)
        }
        interposer_ledger_end(ledger)
        XCTAssertEqual(clock.stopped, [handle], "what is open is ended by the slot that ENDS names")
        XCTAssertEqual(interposer_ledger_open(ledger, .max), 0)
        interposer_ledger_destroy(ledger)
    }
}

/// An interface in the shape of a timer service under an id of another's domain; callbacks run when the test says.
private final class FakeClock {
    private let memory = UnsafeMutablePointer<hostd_timers_1>.allocate(capacity: 1)
    var callback: (function: hostd_callback, context: UnsafeMutableRawPointer?)?
    var stopped: [UInt64] = []
    private var count: UInt64 = 0
    /// `self` of its table; good while the clock is.
    var this: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    init() {
        func text(_ string: StaticString) -> UnsafePointer<CChar> {
            UnsafeRawPointer(string.utf8Start).assumingMemoryBound(to: CChar.self)
        }
        memory.initialize(
            to: hostd_timers_1(
                interface: hostd_interface(
                    struct_size: UInt32(MemoryLayout<hostd_timers_1>.size), reserved: 0,
                    self: this, id: text("com.example.clock/1"),
                    slots: text("start:wwqHe;stop:he")),
                start: { this, _, _, callback, context, timer, _ in
                    // SAFETY: `self` of the table is the FakeClock, which outlives it.
                    let clock = Unmanaged<FakeClock>.fromOpaque(this!).takeUnretainedValue()
                    clock.callback = (callback, context)
                    clock.count += 1
                    timer.pointee = clock.count
                    return HOSTD_OK
                },
                cancel: { this, timer, _ in
                    Unmanaged<FakeClock>.fromOpaque(this!).takeUnretainedValue().stopped.append(timer)
                    return HOSTD_OK
                }))
    }

    deinit { memory.deallocate() }

    var table: UnsafePointer<hostd_interface> {
        UnsafeRawPointer(memory).assumingMemoryBound(to: hostd_interface.self)
    }

    func run() {
        var delay: UInt64 = 0
        if let callback { _ = callback.function(callback.context, nil, 0, &delay) }
    }
}
