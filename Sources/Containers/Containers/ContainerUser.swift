import Objects

/// Who a container's first process was started as, in numbers of its own user namespace.
package struct ContainerUser: Sendable, Equatable {
    package let user: UInt32
    package let group: UInt32
    /// All groups, the first one included, in the kernel's order.
    package let groups: [UInt32]

    package init(user: UInt32, group: UInt32, groups: [UInt32]) {
        self.user = user
        self.group = group
        self.groups = groups.sorted()
    }

    /// What a monitor writes into the file `started`; nil when it says nothing of a user.
    init?(fields: [String: Int64]) {
        guard let user = fields["user"], let group = fields["group"], let count = fields["groups"], count >= 0,
            count <= 64
        else { return nil }
        self.init(
            user: UInt32(clamping: user), group: UInt32(clamping: group),
            groups: (0..<count).compactMap { fields["group\($0)"].map { UInt32(clamping: $0) } })
    }

    /// The role's member `user`.
    package var json: JSON {
        [
            "uid": JSON(user), "gid": JSON(group), "supplementalGroups": .array(groups.map { JSON($0) }),
        ]
    }
}
