/// Which queues a flow may use: a hand of them, dealt by its hash, so that two flows seldom share all of theirs.
enum ShuffleSharding {
    /// FNV-1a, 64 bits, mixed once more so that short names differ in all bits.
    static func hash(_ schema: String, _ flow: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func take(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for byte in schema.utf8 { take(byte) }
        take(0)
        for byte in flow.utf8 { take(byte) }
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ (hash >> 33)
    }

    /// Deals `handSize` different numbers below `deckSize`, each hand as likely as any other as far as the hash's bits reach.
    static func hand(_ hash: UInt64, deckSize: Int, handSize: Int) -> [Int] {
        var rest = hash
        var hand: [Int] = []
        for dealt in 0..<min(handSize, deckSize) {
            let left = UInt64(deckSize - dealt)
            var card = Int(rest % left)
            rest /= left
            // The card's place among those that are left, as a number among all.
            for taken in hand.sorted() where taken <= card { card += 1 }
            hand.append(card)
        }
        return hand
    }
}
