import PluginAPI
import PluginKit

/// One change of an object, laid out once for all watches.
final class Change: Sendable {
    let revision: UInt64
    let key: [UInt8]
    let isDelete: Bool
    /// The record as it crosses, without flags.
    let record: [UInt8]
    private let index: ArraySlice<UInt8>
    /// The key's record before, when there was one.
    let previous: [UInt8]?
    private let previousIndex: ArraySlice<UInt8>

    /// Nil for a key that is no object.
    /// - Throws: DATA_LOSS for a value that this plugin cannot have written.
    init?(_ event: WatchEvent, _ keys: KeySpace) throws(PluginError) {
        let found = event.keyValue
        guard let key = keys.object(found.key) else { return nil }
        self.key = Array(key)
        revision = keys.revision(found.modRevision)
        isDelete = event.isDelete
        var head = StoreRecordWriter.Head(revision: revision, isDelete: event.isDelete)
        var writer = StoreRecordWriter()
        if event.isDelete {
            let none: ArraySlice<UInt8> = []
            index = none
            writer.add(head, key: key, index: none, value: none)
        } else {
            let (index, value) = try KeySpace.unpack(found.value)
            head.createRevision = keys.revision(found.createRevision)
            head.version = UInt64(bitPattern: found.version)
            head.lease = UInt64(bitPattern: found.lease)
            self.index = index
            writer.add(head, key: key, index: index, value: value)
        }
        record = writer.bytes
        guard let before = event.previous else {
            previous = nil
            previousIndex = []
            return
        }
        let (beforeIndex, beforeValue) = try KeySpace.unpack(before.value)
        var beforeWriter = StoreRecordWriter()
        beforeWriter.add(
            StoreRecordWriter.Head(
                revision: keys.revision(before.modRevision), createRevision: keys.revision(before.createRevision),
                version: UInt64(bitPattern: before.version), lease: UInt64(bitPattern: before.lease)),
            key: key, index: beforeIndex, value: beforeValue)
        previous = beforeWriter.bytes
        previousIndex = beforeIndex
    }

    /// Bytes that it takes.
    var size: Int { record.count + (previous?.count ?? 0) + key.count + 128 }

    /// Adds it to a batch for a watch, with the flags that it has there; false when the watch does not want it.
    func add(to batch: inout StoreRecordWriter, _ selector: IndexSelector) -> Bool {
        let matchedBefore = previous != nil && selector.matches(IndexText(bytes: previousIndex).value)
        if isDelete {
            guard selector.isEmpty || matchedBefore else { return false }
            batch.add(laidOut: record, flags: previous == nil ? 0 : UInt32(HOSTD_STORE_RECORD_HAS_PREVIOUS))
            if let previous { batch.add(laidOut: previous) }
            return true
        }
        let matches = selector.matches(IndexText(bytes: index).value)
        if matches {
            let hasEntered = !selector.isEmpty && previous != nil && !matchedBefore
            batch.add(laidOut: record, flags: hasEntered ? UInt32(HOSTD_STORE_RECORD_ENTERED) : 0)
            return true
        }
        guard matchedBefore, let previous else { return false }
        batch.add(
            laidOut: record, flags: UInt32(HOSTD_STORE_RECORD_LEFT) | UInt32(HOSTD_STORE_RECORD_HAS_PREVIOUS))
        batch.add(laidOut: previous)
        return true
    }
}
