import PluginAPI

/// Rule 19: what cannot be a key, prefix, index, selector or transaction is refused, and nothing is written.
enum ArgumentClauses {
    static let all = [
        StoreClause(19, "what is no key, prefix, index or selector", texts),
        StoreClause(19, "what is no transaction", transactions),
    ]

    private static func texts(_ space: ContractSpace) throws(Violation) {
        let (engine, invalid) = (space.engine, HOSTD_ERROR_INVALID_ARGUMENT)
        let name = space.resource
        let long = space.key(String(repeating: "x", count: 1100))
        for key in ["", name, "\(name)/n", "/n/a", "\(name)/n/", "\(name)/n/a/b", "\(name)/n/\u{1}", long] {
            try space.refused(try engine.create(key, []), with: invalid, "create of the key \"\(key.prefix(40))\"")
            try space.refused(try engine.get(key), with: invalid, "get of the key \"\(key.prefix(40))\"")
        }
        for prefix in [name, "/", "\(name)/n", "\(name)/n/a", "\(name)/n/a/"] {
            try space.refused(try engine.list(prefix), with: invalid, "list of the prefix \"\(prefix)\"")
            try space.refused(
                try engine.watch(prefix, into: WatchLog()), with: invalid, "watch of the prefix \"\(prefix)\"")
        }
        for selector in ["a in (", "=,=", "a b", "a in b", "(", "a=b,,c"] {
            try space.refused(
                try engine.list(space.prefix, selector: selector), with: invalid,
                "list with the selector \"\(selector)\"")
            try space.refused(
                try engine.watch(space.prefix, selector: selector, into: WatchLog()), with: invalid,
                "watch with the selector \"\(selector)\"")
        }
        for bytes: [UInt8] in [[1], [97, 0], [97, 0, 98], [97, 0, 98, 0, 99, 0]] {
            try space.refused(
                try engine.create(space.key("a"), [], index: bytes), with: invalid,
                "create with an index that is no pairs")
        }
        let future = try space.list("").revision + 1000
        try space.refused(
            try engine.compact(future), with: invalid, "compact to a revision that is not yet reached")
        try require(try space.list().keys.isEmpty, "a write that was refused left a key")
    }

    private static func transactions(_ space: ContractSpace) throws(Violation) {
        let last = try space.create("a", "1")
        var whole = Steps()
        whole.put(space.key("b"), "1")
        var (cut, long, kind, head, key) = (whole.bytes, whole.bytes, whole.bytes, whole.bytes, whole.bytes)
        cut.removeLast(8)
        long[4] = 0xFF  // operation_size
        kind[8] = 99
        head[0] = 8  // struct_size
        key[33] = 0xFF  // key_size
        for (bytes, what) in [
            (cut, "that is cut off"), (long, "whose operation_size is too large"), (kind, "of an unknown kind"),
            (head, "whose struct_size is too small"), (key, "whose key_size is too large"),
            (whole.bytes + [0, 0, 0], "with bytes behind it"),
        ] {
            try expectRefusal(space, bytes, what)
        }
        var badKey = Steps()
        badKey.put(space.key("c"), "1")
        badKey.put("no-key", "1")
        try expectRefusal(space, badKey.bytes, "with a key that is none")
        try require(
            try space.update("a", "2") == last + 1, "a transaction that was refused took a revision", rule: 54)
        try require(
            try space.list().keys == [space.key("a")], "a transaction that was refused wrote something", rule: 58)
    }

    /// At once or by its completion.
    private static func expectRefusal(_ space: ContractSpace, _ bytes: [UInt8], _ what: String) throws(Violation) {
        let answer = try space.engine.commit(bytes)
        if case .success(let commit) = answer, commit.status == HOSTD_ERROR_INVALID_ARGUMENT { return }
        try space.refused(answer, with: HOSTD_ERROR_INVALID_ARGUMENT, "a transaction \(what)")
    }
}
