import CInterposer
import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class InterposerTests: XCTestCase {
    private typealias AllLetters =
        @convention(c) (
            UnsafeMutableRawPointer?, Int32, UInt32, Int64, UInt64, Double, UInt64, UInt64, UnsafePointer<UInt8>?,
            UInt64,
            UnsafeMutablePointer<hostd_buffer>?, UnsafePointer<Int64>?, UnsafeMutablePointer<Int64>?,
            UnsafePointer<Int64>?,
            UInt64, UnsafeMutablePointer<UInt64>?, UnsafeMutablePointer<UInt64>?, UnsafeMutablePointer<Int32>?,
            hostd_completion?, UnsafeMutableRawPointer?, hostd_sink?, UnsafeMutableRawPointer?, hostd_callback?,
            UnsafeMutableRawPointer?, Int32, Int32, UnsafeMutablePointer<hostd_error>?
        ) -> Int32

    func testEveryLetterCrosses() throws {
        let function: AllLetters = {
            this, i, u, l, w, d, h, t, b, size, o, s, bigS, a, count, bigH, bigW, bigI, c, cContext, v, vContext, q,
            qContext,
            f, bigF, _ in
            guard this == UnsafeMutableRawPointer(bitPattern: 0x5E1F), i == -7, u == 0xFFFF_FFFE, l == .min, w == .max,
                d == 2.5,
                h == 99, t == 1 << 40, size == 3, b?[2] == 3, s?.pointee == 11, a?[1] == 22, count == 2, f == 5,
                bigF == 6,
                vContext == UnsafeMutableRawPointer(bitPattern: 0x51),
                qContext == UnsafeMutableRawPointer(bitPattern: 0x52)
            else { return HOSTD_ERROR_INVALID_ARGUMENT }
            o?.pointee.size = 44
            bigS?.pointee = 55
            bigH?.pointee = 66
            bigW?.pointee = 77
            bigI?.pointee = -88
            var delay: UInt64 = 0
            guard q?(qContext, nil, 0, &delay) == -3 else { return HOSTD_ERROR_INTERNAL }
            v?(vContext, 4, nil, 0)
            c?(cContext, HOSTD_OK, nil, 0, nil)
            return HOSTD_OK
        }
        let table = try TestTable(
            "all:iulwdhtbosSaHWIcvqfFe", self: UnsafeMutableRawPointer(bitPattern: 0x5E1F),
            [unsafeBitCast(function, to: UnsafeRawPointer.self)])
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.all/1", descriptor: table.descriptor))
        binding.bind(table.target)
        let call = slotFunction(binding.table, 0, as: AllLetters.self)
        var (output, structOut, handle, wide, narrow) = (hostd_buffer(), Int64(0), UInt64(0), UInt64(0), Int32(0))
        var completions = 0
        var error = ForeignBytes.emptyError()
        let status = withUnsafeMutablePointer(to: &completions) { counter in
            [1, 2, 3].withUnsafeBufferPointer { (bytes: UnsafeBufferPointer<UInt8>) in
                [11, 22].withUnsafeBufferPointer { (numbers: UnsafeBufferPointer<Int64>) in
                    call(
                        binding.table.pointee.`self`, -7, 0xFFFF_FFFE, .min, .max, 2.5, 99, 1 << 40, bytes.baseAddress,
                        3,
                        &output, numbers.baseAddress, &structOut, numbers.baseAddress, 2, &handle, &wide, &narrow,
                        { context, status, _, _, _ in
                            context?.assumingMemoryBound(to: Int.self).pointee += status == 0 ? 1 : 100
                        },
                        counter, { _, _, _, _ in }, UnsafeMutableRawPointer(bitPattern: 0x51), { _, _, _, _ in -3 },
                        UnsafeMutableRawPointer(bitPattern: 0x52), 5, 6, &error)
                }
            }
        }
        XCTAssertEqual(status, HOSTD_OK)
        XCTAssertEqual(output.size, 44)
        XCTAssertEqual([structOut, Int64(handle), Int64(wide), Int64(narrow)], [55, 66, 77, -88])
        XCTAssertEqual(completions, 1)
        XCTAssertEqual(binding.target?.operations, 0)
        XCTAssertEqual(binding.target?.calls, 0)
    }

    private func call(_ binding: RoleBinding, _ index: Int = 0, _ error: inout hostd_error) -> Int32 {
        slotFunction(binding.table, index, as: BytesFunction.self)(binding.table.pointee.`self`, nil, 0, &error)
    }

    func testWithoutProviderCallsAnswerUnavailableAndCloseWhatWasGivenAway() throws {
        let descriptor = try SlotDescriptor("plain:be;give:Fe")
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.files/1", descriptor: descriptor))
        var error = ForeignBytes.emptyError()
        XCTAssertEqual(call(binding, 0, &error), HOSTD_ERROR_UNAVAILABLE)
        XCTAssertEqual(error.code, HOSTD_ERROR_UNAVAILABLE)
        XCTAssertEqual(error.retryable, 1)
        XCTAssertEqual(ForeignBytes.message(of: error), "No plugin provides com.example.files/1 at the moment.")
        typealias Give = @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafeMutablePointer<hostd_error>?) -> Int32
        let file = open("/dev/null", O_RDONLY | O_CLOEXEC)
        let give = slotFunction(binding.table, 1, as: Give.self)
        XCTAssertEqual(give(binding.table.pointee.`self`, file, &error), HOSTD_ERROR_UNAVAILABLE)
        XCTAssertEqual(fcntl(file, F_GETFD), -1, "the file was given away, so it must be closed")
        XCTAssertEqual(
            give(binding.table.pointee.`self`, -1, nil), HOSTD_ERROR_UNAVAILABLE, "no file, no error: still an answer")
    }

    func testMissingAndNullSlotsAreNotSupported() throws {
        let descriptor = try SlotDescriptor("first:be;second:be;third:be")
        let short = try TestTable("first:be;second:be", [address { _, _, _, _ in HOSTD_OK }, nil])
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.short/1", descriptor: descriptor))
        binding.bind(short.target)
        var error = ForeignBytes.emptyError()
        XCTAssertEqual(call(binding, 0, &error), HOSTD_OK)
        XCTAssertEqual(call(binding, 1, &error), HOSTD_ERROR_NOT_SUPPORTED, "NULL")
        XCTAssertEqual(call(binding, 2, &error), HOSTD_ERROR_NOT_SUPPORTED, "behind struct_size")
    }

    func testStatusesAreCountedAndPositiveOnesAreBreaches() throws {
        let table = try TestTable(
            "status:be", [address { _, _, size, _ in size == 1 ? 9 : size == 2 ? HOSTD_ERROR_NOT_FOUND : HOSTD_OK }])
        let target = table.target
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.status/1", descriptor: table.descriptor))
        binding.bind(target)
        let function = slotFunction(binding.table, 0, as: BytesFunction.self)
        var error = ForeignBytes.emptyError()
        let answers = [0, 1, 2, 0].map { function(binding.table.pointee.`self`, nil, $0, &error) }
        XCTAssertEqual(answers, [HOSTD_OK, HOSTD_ERROR_INTERNAL, HOSTD_ERROR_NOT_FOUND, HOSTD_OK])
        let figures = target.figures()
        XCTAssertEqual(figures.calls, 4)
        XCTAssertEqual(figures.errors, 2)
        XCTAssertEqual(figures.violations, 1)
        XCTAssertGreaterThan(figures.p99Nanoseconds, 0)
    }

    func testLatenciesAreInNanoseconds() throws {
        let table = try TestTable(
            "sleep:be", [address { _, _, _, _ in usleep(2000) == 0 ? HOSTD_OK : HOSTD_ERROR_INTERNAL }])
        let target = table.target
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.sleep/1", descriptor: table.descriptor))
        binding.bind(target)
        var error = ForeignBytes.emptyError()
        for _ in 0..<5 { XCTAssertEqual(call(binding, 0, &error), HOSTD_OK) }
        XCTAssertGreaterThan(target.figures().p50Nanoseconds, 1_700_000)
        XCTAssertLessThan(target.figures().p50Nanoseconds, 200_000_000)
    }

    /// A provider that notices calls after its end.
    private final class Provider: Sendable {
        let calls = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        let late = Atomic<Int>(0)

        func table() throws -> TestTable {
            try TestTable(
                "work:be", self: Unmanaged.passRetained(self).toOpaque(),
                [
                    address { this, _, _, _ in
                        guard let this else { return HOSTD_ERROR_INTERNAL }
                        let provider = Unmanaged<Provider>.fromOpaque(this).takeUnretainedValue()
                        provider.calls.add(1, ordering: .relaxed)
                        if provider.isOver.load(ordering: .acquiring) { provider.late.add(1, ordering: .relaxed) }
                        return HOSTD_OK
                    }
                ])
        }
    }

    func testSwapsUnderLoadLoseNoCallAndLeaveNoneBehind() throws {
        let first = try Provider().table()
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.work/1", descriptor: first.descriptor))
        binding.bind(first.target)
        let isStopping = Atomic<Bool>(false)
        let failures = Atomic<Int>(0)
        let total = Atomic<Int>(0)
        let started = Atomic<Int>(0)
        try withThreads(4) {
            started.add(1, ordering: .relaxed)
            let function = slotFunction(binding.table, 0, as: BytesFunction.self)
            var made = 0
            while !isStopping.load(ordering: .relaxed) {
                if function(binding.table.pointee.`self`, nil, 0, nil) != HOSTD_OK {
                    failures.add(1, ordering: .relaxed)
                }
                made += 1
            }
            total.add(made, ordering: .relaxed)
        } while: {
            var served = 0
            var old = (provider: Provider?.none, target: binding.target)
            for _ in 0..<300 {
                let provider = Provider()
                let next = try provider.table().target
                binding.bind(next)
                let previous = try XCTUnwrap(old.target)
                XCTAssertTrue(previous.drainCalls(deadline: monotonicNow() + 60_000_000_000))
                XCTAssertTrue(previous.drainOperations(deadline: monotonicNow() + 60_000_000_000))
                previous.retire()
                XCTAssertEqual(previous.figures().calls, 0)
                old.provider?.isOver.store(true, ordering: .releasing)
                old = (provider, next)
                while provider.calls.load(ordering: .relaxed) < 20 { sched_yield() }
                served += 1
                XCTAssertEqual(provider.late.load(ordering: .relaxed), 0)
            }
            isStopping.store(true, ordering: .relaxed)
            XCTAssertEqual(served, 300)
        }
        XCTAssertEqual(failures.load(ordering: .relaxed), 0)
        XCTAssertGreaterThan(total.load(ordering: .relaxed), 6000)
        XCTAssertEqual(binding.target?.calls, 0)
    }

    func testDrainWaitsForTheCallInsideUntilItsDeadline() throws {
        var pipes: [Int32] = [0, 0]
        XCTAssertEqual(pipe(&pipes), 0)
        defer { for end in pipes { close(end) } }
        // The provider waits for a byte on the descriptor that is its `self`.
        let table = try TestTable(
            "wait:be", self: UnsafeMutableRawPointer(bitPattern: Int(pipes[0])),
            [
                address { this, _, _, _ in
                    var byte: UInt8 = 0
                    return read(Int32(Int(bitPattern: this)), &byte, 1) == 1 ? HOSTD_OK : HOSTD_ERROR_INTERNAL
                }
            ])
        let target = table.target
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.wait/1", descriptor: table.descriptor))
        binding.bind(target)
        let writeEnd = pipes[1]
        try withThreads(1) {
            _ = slotFunction(binding.table, 0, as: BytesFunction.self)(binding.table.pointee.`self`, nil, 0, nil)
        } while: {
            while target.calls == 0 { sched_yield() }
            binding.bind(nil)
            XCTAssertFalse(target.drainCalls(deadline: monotonicNow() + 20_000_000))
            XCTAssertEqual(write(writeEnd, "x", 1), 1)
            XCTAssertTrue(target.drainCalls(deadline: monotonicNow() + 60_000_000_000))
        }
    }

    /// Runs `body` on threads of its own and `work` here, and waits for all.
    private func withThreads(_ count: Int, _ body: @escaping @Sendable () -> Void, while work: () throws -> Void) throws
    {
        let threads = try (0..<count).map { try KernelThread(name: "test-\($0)", body) }
        defer { for thread in threads { thread.join() } }
        try work()
    }
}
