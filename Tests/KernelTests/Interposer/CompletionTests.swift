import CInterposer
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class CompletionTests: XCTestCase {
    private typealias StartFunction =
        @convention(c) (
            UnsafeMutableRawPointer?, UnsafePointer<UInt8>?, UInt64, hostd_completion?, UnsafeMutableRawPointer?,
            UnsafeMutablePointer<hostd_error>?
        ) -> Int32

    /// What the provider of these tests was given, and how it is to answer.
    private final class Provider {
        var pending: [(hostd_completion, UnsafeMutableRawPointer?)] = []
        var answer = HOSTD_OK
        var completesAtOnce = false
    }

    /// What the caller has seen.
    private final class Caller {
        var statuses: [Int32] = []
    }

    private let provider = Provider()
    private let caller = Caller()

    private func binding() throws -> RoleBinding {
        let function: StartFunction = { this, _, _, completion, context, _ in
            guard let this, let completion else { return HOSTD_ERROR_INVALID_ARGUMENT }
            let provider = Unmanaged<Provider>.fromOpaque(this).takeUnretainedValue()
            provider.pending.append((completion, context))
            if provider.completesAtOnce { completion(context, HOSTD_OK, nil, 0, nil) }
            return provider.answer
        }
        let table = try TestTable(
            "start:bce", self: Unmanaged.passUnretained(provider).toOpaque(),
            [unsafeBitCast(function, to: UnsafeRawPointer.self)])
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.start/1", descriptor: table.descriptor))
        binding.bind(table.target)
        return binding
    }

    private func start(_ binding: RoleBinding) -> Int32 {
        let completion: hostd_completion = { context, status, _, _, _ in
            guard let context else { return }
            Unmanaged<Caller>.fromOpaque(context).takeUnretainedValue().statuses.append(status)
        }
        return slotFunction(binding.table, 0, as: StartFunction.self)(
            binding.table.pointee.`self`, nil, 0, completion, Unmanaged.passUnretained(caller).toOpaque(), nil)
    }

    func testATargetIsHeldUntilTheCompletionRan() throws {
        let binding = try binding()
        let target = try XCTUnwrap(binding.target)
        XCTAssertEqual(start(binding), HOSTD_OK)
        XCTAssertEqual(target.operations, 1)
        XCTAssertEqual(target.calls, 0)
        binding.bind(nil)
        XCTAssertTrue(target.drainCalls(deadline: monotonicNow() + 1))
        XCTAssertFalse(target.drainOperations(deadline: monotonicNow() + 1_000_000))
        XCTAssertEqual(target.figures().calls, 0, "an operation counts when it ends")
        let (completion, context) = provider.pending[0]
        completion(context, HOSTD_ERROR_CANCELLED, nil, 0, nil)
        XCTAssertTrue(target.drainOperations(deadline: monotonicNow() + 1_000_000_000))
        XCTAssertEqual(caller.statuses, [HOSTD_ERROR_CANCELLED])
        XCTAssertEqual(target.figures().errors, 1)
    }

    func testARefusalTakesTheCompletionBack() throws {
        let binding = try binding()
        provider.answer = HOSTD_ERROR_RESOURCE_EXHAUSTED
        XCTAssertEqual(start(binding), HOSTD_ERROR_RESOURCE_EXHAUSTED)
        XCTAssertEqual(binding.target?.operations, 0)
        let (completion, context) = provider.pending[0]
        completion(context, HOSTD_OK, nil, 0, nil)
        XCTAssertEqual(caller.statuses, [], "a completion after a refusal must not reach the caller")
    }

    func testASecondCompletionDoesNotReachTheCaller() throws {
        let binding = try binding()
        XCTAssertEqual(start(binding), HOSTD_OK)
        let (completion, context) = provider.pending[0]
        for _ in 0..<3 { completion(context, HOSTD_OK, nil, 0, nil) }
        XCTAssertEqual(caller.statuses, [HOSTD_OK])
        // The entry is used again; the old token must not end the new operation.
        XCTAssertEqual(start(binding), HOSTD_OK)
        completion(context, HOSTD_OK, nil, 0, nil)
        XCTAssertEqual(caller.statuses, [HOSTD_OK])
        XCTAssertEqual(binding.target?.operations, 1)
        let (second, secondContext) = provider.pending[1]
        second(secondContext, 5, nil, 0, nil)
        XCTAssertEqual(caller.statuses, [HOSTD_OK, HOSTD_ERROR_INTERNAL], "a positive status is a breach")
    }

    func testCompletedAndRefusedIsASuccessOnce() throws {
        let binding = try binding()
        provider.completesAtOnce = true
        provider.answer = HOSTD_ERROR_INTERNAL
        XCTAssertEqual(start(binding), HOSTD_OK, "the caller already has its completion")
        XCTAssertEqual(caller.statuses, [HOSTD_OK])
        XCTAssertEqual(binding.target?.figures().violations, 1)
    }

    func testAMissingCompletionIsAnInvalidArgument() throws {
        let binding = try binding()
        let status = slotFunction(binding.table, 0, as: StartFunction.self)(
            binding.table.pointee.`self`, nil, 0, nil, nil, nil)
        XCTAssertEqual(status, HOSTD_ERROR_INVALID_ARGUMENT)
        XCTAssertEqual(binding.target?.calls, 0)
    }

    func testManyOperationsAreTrackedApart() throws {
        let binding = try binding()
        for _ in 0..<1000 { XCTAssertEqual(start(binding), HOSTD_OK) }
        XCTAssertEqual(binding.target?.operations, 1000)
        for (completion, context) in provider.pending.reversed() { completion(context, HOSTD_OK, nil, 0, nil) }
        XCTAssertEqual(binding.target?.operations, 0)
        XCTAssertEqual(caller.statuses.count, 1000)
    }
}
