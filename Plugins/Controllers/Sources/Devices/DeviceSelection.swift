import CEL
import Objects
import Synchronization

/// Whether expressions select devices. Those that were used lately stay compiled.
final class DeviceSelection: Sendable {
    private static let limit = 64
    private let programs = Mutex<[String: Result<CELProgram, CELIssues>]>([:])

    private func program(_ text: String) -> Result<CELProgram, CELIssues> {
        if let known = programs.withLock({ $0[text] }) { return known }
        let compiled: Result<CELProgram, CELIssues>
        do throws(CELIssues) {
            compiled = .success(try CELDevice.environment.compile(text))
        } catch {
            compiled = .failure(error)
        }
        programs.withLock { programs in
            if programs.count >= Self.limit { programs.removeAll() }
            programs[text] = compiled
        }
        return compiled
    }

    /// - Parameters:
    ///   - selectors: of which all must hold.
    ///   - owner: whose they are, as in "class gpu".
    func matches(_ device: OfferedDevice, _ selectors: JSON, of owner: String) throws(DeviceProblem) -> Bool {
        for (index, selector) in selectors.arrayValue.enumerated() {
            let program: CELProgram
            switch self.program(selector["cel"]["expression"].stringValue ?? "") {
            case .success(let compiled): program = compiled
            case .failure(let issues):
                throw DeviceProblem("\(owner): selector #\(index): CEL compile error: \(issues)")
            }
            do throws(CELError) {
                let value = try CELDevice.value(device.json, driver: device.id.driver)
                guard case .bool(let holds) = try program.evaluate(["device": value]).value else {
                    throw CELError("must evaluate to true or false")
                }
                if !holds { return false }
            } catch {
                throw DeviceProblem(
                    "\(owner): selector #\(index) on device \(device.id): CEL runtime error: \(error.message)")
            }
        }
        return true
    }
}

/// What is wrong with a claim or a class, so that nothing can be given for it.
struct DeviceProblem: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
