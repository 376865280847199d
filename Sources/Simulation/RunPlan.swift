import Kernel

/// What one seed chooses about the store, its disk and its clients.
struct RunPlan {
    var epochs = 4
    var clients = 4
    var operations = 40
    var watches = 3
    var keys = 5
    var options = StateStoreOptions()
    var character = SimulatedDisk.Character()
    var diskFills = false
    var slowSinks = false
    /// Values of pods lie encrypted on disk, …
    var isEncrypted = false
    /// … from this epoch on.
    var encryptsFrom = 1
    /// … and somebody changes the keys.
    var rotatesKeys = false
    /// All values have one size, so that a frame can stand exactly where another one ended.
    var isUniform = false

    init(_ generator: inout Generator) {
        epochs = generator.number(in: 2...6)
        clients = generator.number(in: 1...6)
        operations = generator.number(in: 10...60)
        watches = generator.number(in: 0...5)
        keys = generator.number(in: 1...8)
        options.segmentSize = 64 << 10
        options.firstSegmentSize = 64 << 10
        options.reservedSpace = 64 << 10
        options.historySeconds = 0
        options.recordsPerStep = generator.pick([1, 2, 1024])
        options.snapshotThreshold = generator.pick([1, 64 << 10, 32 << 20])
        options.writesPerRound = generator.pick([1, 1, 2, 16])
        options.historyCount = generator.pick([64, 200, 100_000])
        options.watchQueueSize = generator.pick([200, 2000, 1 << 20])
        slowSinks = generator.oneIn(2)
        character.sectorsSurvive = generator.pick([0, 10, 50, 90, 100])
        character.namesAreJournalled = generator.oneIn(2)
        character.synchronizeFails = generator.pick([0, 0, 0, 60, 300])
        character.writeFails = generator.pick([0, 0, 0, 400])
        character.writeIsShort = generator.pick([0, 5])
        character.writeIsInterrupted = generator.pick([0, 7])
        diskFills = generator.oneIn(3)
        character.copiesOnWrite = diskFills && generator.oneIn(2)
        character.directBlock = generator.pick([0, 512, 512, 4096])
        character.writesDurably = !generator.oneIn(3)
        if generator.oneIn(3) { makeUniform(&generator) }
        isEncrypted = generator.oneIn(4)
        rotatesKeys = isEncrypted && !generator.oneIn(4)
        if isEncrypted, generator.oneIn(3) { encryptLater(&generator) }
    }
}

extension RunPlan {
    /// Plain values at first, and so much log that its segments have had an older use by then.
    fileprivate mutating func encryptLater(_ generator: inout Generator) {
        epochs = generator.number(in: 3...6)
        encryptsFrom = generator.number(in: 2...epochs - 1)
        rotatesKeys = true
        clients = generator.number(in: 4...6)
        operations = generator.number(in: 40...80)
        options.snapshotThreshold = 1
        options.historyCount = 64
    }

    /// Many short lives with batches of frames of one size: what is left of a batch fits behind a later one.
    fileprivate mutating func makeUniform(_ generator: inout Generator) {
        isUniform = true
        epochs = generator.number(in: 6...12)
        clients = generator.number(in: 3...6)
        operations = generator.number(in: 5...20)
        watches = 1
        character.sectorsSurvive = generator.pick([50, 80, 100])
    }
}
