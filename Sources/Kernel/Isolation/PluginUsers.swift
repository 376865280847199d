/// The users that isolated plugins run as: one for each, far from those of people, services, containers and of systemd
/// (which leaves 1879048192 to 2147352575 unused: https://systemd.io/UIDS-GIDS).
enum PluginUsers {
    private static let first: UInt32 = 1_879_048_192
    private static let count: UInt32 = 1 << 24

    /// The user of a plugin, the same at every start as long as no other name has the same hash.
    static func user(of name: String, among names: [String]) -> UInt32 {
        var taken: Set<UInt32> = []
        for other in Set(names).union([name]).sorted() {
            // FNV-1a.
            var number = other.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 } % count
            while !taken.insert(number).inserted { number = (number + 1) % count }
            if other == name { return first + number }
        }
        return first
    }
}
