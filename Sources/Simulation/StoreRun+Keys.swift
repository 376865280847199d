import Kernel
import Objects
import PluginAPI

extension StoreRun {
    /// Who looks after the keys, as docs/operations.md has it: puts a new one in front, has everything encrypted under it,
    /// and takes away what the store's status does not list any more. Afterwards the store must open without those, after
    /// any crash.
    func changeKeys(_ luck: Generator) {
        guard let keyFile else { return }
        var luck = luck
        for _ in 0..<luck.number(in: 1...5) {
            // Now and then one change follows another at once.
            if !luck.oneIn(3) { scheduler.sleep(nanoseconds: UInt64(luck.number(in: 1...30)) * 1_000_000) }
            keyFile.addInFront(&luck)
            guard rotate(), takeAwayKeys(from: keyFile) else { return }
            if luck.oneIn(2), !rotate() { return }
        }
    }

    /// - Returns: whether the store is still there.
    private func rotate() -> Bool {
        guard let store else { return false }
        do throws(StoreError) {
            try store.rotateKeys()
            scheduler.note("the keys are \(keyFile?.names ?? [])", 81)
        } catch {
            scheduler.note("the keys cannot be changed: \(error.message)", 82)
            let mayFail =
                plan.diskFills && error.code == HOSTD_ERROR_NO_SPACE
                || history.diskFails && [HOSTD_ERROR_INTERNAL, HOSTD_ERROR_DATA_LOSS].contains(error.code)
                || error.code == HOSTD_ERROR_UNAVAILABLE
            if !mayFail { problems.append("the keys cannot be changed: \(error.message)") }
        }
        return true
    }

    private func takeAwayKeys(from keyFile: KeyFile) -> Bool {
        guard let store else { return false }
        do {
            let status = try JSON(parsing: Array(store.status().utf8))
            let needed = status["neededKeys"].arrayValue.compactMap(\.stringValue)
            keyFile.keep(needed)
            if status["filesWithPlainValues"].arrayValue.isEmpty { isPlainGone = true }
            scheduler.note("files need the keys \(needed), kept are \(keyFile.names)", 83)
        } catch {
            problems.append("the store's status is no JSON: \(error)")
        }
        return true
    }
}
