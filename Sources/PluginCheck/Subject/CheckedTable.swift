import CInterposer
import CPluginCheck
import Kernel
import PluginAPI

/// A table of the plugin, with its descriptor read.
struct CheckedTable {
    struct Slot {
        let index: UInt32
        let name: String
        let letters: [Character]
        /// The slot that ends what this one begins; nil when there is none.
        var closer: UInt32?

        func has(_ letter: Character) -> Bool { letters.contains(letter) }
    }

    let id: String
    let pointer: UnsafePointer<hostd_interface>
    private(set) var slots: [Slot] = []

    /// Calls of these interfaces are serial by their headers.
    static let serial: Set<String> = [HOSTD_SCHEDULER_1, HOSTD_STATE_1]

    init(_ id: String, _ pointer: UnsafePointer<hostd_interface>) throws(Breach) {
        self.id = id
        self.pointer = pointer
        var message = [CChar](repeating: 0, count: Int(INTERPOSER_MESSAGE_LIMIT))
        guard let descriptor = interposer_descriptor_create(pointer.pointee.slots, &message) else {
            throw Breach(lines(message), rule: 16)
        }
        defer { interposer_descriptor_release(descriptor) }
        for index in 0..<interposer_descriptor_count(descriptor) {
            let name = String(cString: interposer_descriptor_name(descriptor, index))
            let letters = Array(String(cString: interposer_descriptor_letters(descriptor, index)))
            slots.append(Slot(index: index, name: name, letters: letters))
        }
        for index in slots.indices {
            slots[index].closer =
                slots.first { $0.letters == ["h", "e"] && Self.closes($0.name, slots[index].name) }?.index
        }
    }

    /// NAME_cancel ends NAME; an attach of a runtime is ended as an exec is.
    private static func closes(_ closer: String, _ opener: String) -> Bool {
        closer == "\(opener)_cancel" || (opener == "attach" && closer == "exec_cancel")
            || (opener == "pull_image" && closer == "pull_cancel") || (opener == "subscribe" && closer == "unsubscribe")
            || closer == "un\(opener)" || closer == "cancel_\(opener)"
    }

    /// The slots are those that the header of the role declares, as far as both have them.
    func expectAgreement() throws(Breach) {
        guard let slots = RoleCatalog.slots(id), let expected = CheckHost.descriptor(slots),
            let theirs = CheckHost.descriptor(String(cString: pointer.pointee.slots))
        else { return }
        defer {
            interposer_descriptor_release(expected)
            interposer_descriptor_release(theirs)
        }
        var message = [CChar](repeating: 0, count: Int(INTERPOSER_MESSAGE_LIMIT))
        try expect(interposer_descriptor_agree(theirs, expected, &message) == 1, lines(message), rule: 5)
    }

    func slot(_ name: String) -> Slot? { slots.first { $0.name == name } }
    func isThere(_ slot: Slot) -> Bool { check_has_slot(pointer, slot.index) == 1 }
}
