/// The expressions of one rule, in the order in which the kernel works through them: each loads a register, compares
/// one, or acts. Registers are numbered from 0, four bytes each. The numbers in the bodies are attribute types of
/// linux/netfilter/nf_tables.h, named beside them.
struct FilterExpressions {
    private var expressions: [(name: String, body: (inout NetlinkBatch) -> Void)] = []

    func write(into message: inout NetlinkBatch) {
        for expression in expressions {
            message.nested(NFT.NFTA_LIST_ELEM) { element in
                element.attribute(NFT.NFTA_EXPR_NAME, text: expression.name)
                element.nested(NFT.NFTA_EXPR_DATA) { expression.body(&$0) }
            }
        }
    }

    private func adding(_ name: String, _ body: @escaping (inout NetlinkBatch) -> Void) -> FilterExpressions {
        var copy = self
        copy.expressions.append((name, body))
        return copy
    }

    private static func number(_ register: Int) -> UInt32 { NFT.NFT_REG32_00 + UInt32(register) }

    enum Field {
        case sourceAddress, destinationAddress, destinationPort, icmpType

        /// NFT_PAYLOAD_NETWORK_HEADER = 1, NFT_PAYLOAD_TRANSPORT_HEADER = 2; offset and size in bytes.
        var place: (base: UInt32, offset: UInt32, size: UInt32) {
            switch self {
            case .sourceAddress: (1, 12, 4)
            case .destinationAddress: (1, 16, 4)
            case .destinationPort: (2, 2, 2)
            case .icmpType: (2, 0, 1)
            }
        }
    }

    func load(_ field: Field, to register: Int) -> FilterExpressions {
        adding("payload") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_PAYLOAD_DREG
            data.attribute(2, networkOrder: field.place.base)  // NFTA_PAYLOAD_BASE
            data.attribute(3, networkOrder: field.place.offset)  // NFTA_PAYLOAD_OFFSET
            data.attribute(4, networkOrder: field.place.size)  // NFTA_PAYLOAD_LEN
        }
    }

    enum Meta: UInt32 {
        /// NFT_META_IIFNAME, NFT_META_OIFNAME (16 bytes each), NFT_META_L4PROTO
        case inputName = 6, outputName = 7, transport = 16
    }

    func load(_ meta: Meta, to register: Int) -> FilterExpressions {
        adding("meta") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_META_DREG
            data.attribute(2, networkOrder: meta.rawValue)  // NFTA_META_KEY
        }
    }

    enum Original: UInt32 {
        /// NFT_CT_DST_IP, NFT_CT_PROTO_DST
        case originalDestinationAddress = 20, originalDestinationPort = 12
    }

    /// Loads what the connection's first packet was sent to, before any translation.
    func load(_ original: Original, to register: Int) -> FilterExpressions {
        adding("ct") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_CT_DREG
            data.attribute(2, networkOrder: original.rawValue)  // NFTA_CT_KEY
            data.attribute(3, UInt8(0))  // NFTA_CT_DIRECTION = IP_CT_DIR_ORIGINAL
        }
    }

    /// Goes on only when the packet's destination is an address of this machine.
    func destinationIsLocal(using register: Int) -> FilterExpressions {
        adding("fib") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_FIB_DREG
            data.attribute(2, networkOrder: 3)  // NFTA_FIB_RESULT = NFT_FIB_RESULT_ADDRTYPE
            data.attribute(3, networkOrder: 2)  // NFTA_FIB_FLAGS = NFTA_FIB_F_DADDR
        }.compare(register, equals: true, withUnsafeBytes(of: UInt32(2)) { Array($0) })  // RTN_LOCAL
    }

    /// Goes on only when a register is, or is not, these bytes.
    func compare(_ register: Int, equals: Bool, _ bytes: [UInt8]) -> FilterExpressions {
        adding("cmp") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_CMP_SREG
            data.attribute(2, networkOrder: equals ? 0 : 1)  // NFTA_CMP_OP = NFT_CMP_EQ, NFT_CMP_NEQ
            data.nested(3) { $0.attribute(NFT.NFTA_DATA_VALUE, bytes) }  // NFTA_CMP_DATA
        }
    }

    /// Goes on only when the port in a register lies in a range.
    func compare(_ register: Int, within range: ClosedRange<UInt16>) -> FilterExpressions {
        if range.lowerBound == range.upperBound { return compare(register, Comparison.equal, range.lowerBound) }
        var result = self
        if range.lowerBound > 0 { result = result.compare(register, .atLeast, range.lowerBound) }
        if range.upperBound < UInt16.max { result = result.compare(register, .atMost, range.upperBound) }
        return result
    }

    /// NFT_CMP_EQ, NFT_CMP_LTE, NFT_CMP_GTE
    private enum Comparison: UInt32 {
        case equal = 0, atMost = 3, atLeast = 5
    }

    private func compare(_ register: Int, _ comparison: Comparison, _ port: UInt16) -> FilterExpressions {
        adding("cmp") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_CMP_SREG
            data.attribute(2, networkOrder: comparison.rawValue)  // NFTA_CMP_OP
            data.nested(3) { $0.attribute(NFT.NFTA_DATA_VALUE, port.bigEndian) }  // NFTA_CMP_DATA
        }
    }

    /// Goes on only when the address in a register lies, or does not lie, in a range.
    func compare(_ register: Int, inside: Bool, _ range: IPv4Range) -> FilterExpressions {
        let mask = range.prefixLength == 0 ? 0 : ~UInt32(0) << UInt32(32 - range.prefixLength)
        return adding("bitwise") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_BITWISE_SREG
            data.attribute(2, networkOrder: Self.number(register))  // NFTA_BITWISE_DREG
            data.attribute(3, networkOrder: 4)  // NFTA_BITWISE_LEN
            data.nested(4) { $0.attribute(NFT.NFTA_DATA_VALUE, mask.bigEndian) }  // NFTA_BITWISE_MASK
            data.nested(5) { $0.attribute(NFT.NFTA_DATA_VALUE, UInt32(0)) }  // NFTA_BITWISE_XOR
        }.compare(register, equals: inside, range.network.bytes)
    }

    /// Goes on only when the connection's destination has been translated.
    func isTranslated(using register: Int) -> FilterExpressions {
        tracked(2, has: 1 << 5, using: register)  // NFT_CT_STATUS, IPS_DST_NAT
    }

    /// Goes on only for packets of connections that both sides have spoken in, and what belongs to those.
    func isEstablished(using register: Int) -> FilterExpressions {
        tracked(0, has: 1 << 1 | 1 << 2, using: register)  // NFT_CT_STATE, the bits of ESTABLISHED and RELATED
    }

    /// Goes on only when one of these bits is set in what is known of the connection.
    private func tracked(_ key: UInt32, has bits: UInt32, using register: Int) -> FilterExpressions {
        let mask = withUnsafeBytes(of: bits) { Array($0) }
        return adding("ct") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_CT_DREG
            data.attribute(2, networkOrder: key)  // NFTA_CT_KEY
        }.adding("bitwise") { data in
            data.attribute(1, networkOrder: Self.number(register))
            data.attribute(2, networkOrder: Self.number(register))
            data.attribute(3, networkOrder: 4)
            data.nested(4) { $0.attribute(NFT.NFTA_DATA_VALUE, mask) }
            data.nested(5) { $0.attribute(NFT.NFTA_DATA_VALUE, UInt32(0)) }
        }.compare(register, equals: false, [0, 0, 0, 0])
    }

    /// Goes on only when the registers from `key` on are in the set; a map's data goes to `data`.
    func look(up set: String, key: Int, data register: Int? = nil) -> FilterExpressions {
        lookup(set, key, register.map(Self.number))
    }

    /// Goes where the map says for the key in the registers from `key` on; goes on when it says nothing.
    func dispatch(by map: String, key: Int) -> FilterExpressions { lookup(map, key, NFT.NFT_REG_VERDICT) }

    private func lookup(_ set: String, _ key: Int, _ destination: UInt32?) -> FilterExpressions {
        adding("lookup") { data in
            data.attribute(1, text: set)  // NFTA_LOOKUP_SET
            data.attribute(2, networkOrder: Self.number(key))  // NFTA_LOOKUP_SREG
            if let destination { data.attribute(3, networkOrder: destination) }  // NFTA_LOOKUP_DREG
        }
    }

    /// Writes a map's entry, or renews it: key and data from registers.
    func remember(in map: String, key: Int, data register: Int, milliseconds: UInt64) -> FilterExpressions {
        adding("dynset") { data in
            data.attribute(1, text: map)  // NFTA_DYNSET_SET_NAME
            data.attribute(3, networkOrder: 1)  // NFTA_DYNSET_OP = NFT_DYNSET_OP_UPDATE
            data.attribute(4, networkOrder: Self.number(key))  // NFTA_DYNSET_SREG_KEY
            data.attribute(5, networkOrder: Self.number(register))  // NFTA_DYNSET_SREG_DATA
            data.attribute(6, milliseconds.bigEndian)  // NFTA_DYNSET_TIMEOUT
        }
    }

    /// Loads a random number from 0 to count - 1.
    func random(below count: Int, to register: Int) -> FilterExpressions {
        adding("numgen") { data in
            data.attribute(1, networkOrder: Self.number(register))  // NFTA_NG_DREG
            data.attribute(2, networkOrder: UInt32(count))  // NFTA_NG_MODULUS
            data.attribute(3, networkOrder: 1)  // NFTA_NG_TYPE = NFT_NG_RANDOM
        }
    }

    /// Sends the connection to the address in one register and the port in the next.
    func translateDestination(from register: Int) -> FilterExpressions {
        adding("nat") { data in
            data.attribute(1, networkOrder: 1)  // NFTA_NAT_TYPE = NFT_NAT_DNAT
            data.attribute(2, networkOrder: UInt32(NFT.NFPROTO_IPV4))  // NFTA_NAT_FAMILY
            data.attribute(3, networkOrder: Self.number(register))  // NFTA_NAT_REG_ADDR_MIN
            data.attribute(5, networkOrder: Self.number(register + 1))  // NFTA_NAT_REG_PROTO_MIN
        }
    }

    /// Gives the connection the address of the interface that it leaves by.
    func masquerade() -> FilterExpressions { adding("masq") { _ in } }

    /// Answers with a TCP reset, or that the port is unreachable.
    func reject(withReset: Bool) -> FilterExpressions {
        adding("reject") { data in
            data.attribute(1, networkOrder: withReset ? 1 : 0)  // NFTA_REJECT_TYPE = NFT_REJECT_TCP_RST, _ICMP_UNREACH
            if !withReset { data.attribute(2, UInt8(3)) }  // NFTA_REJECT_ICMP_CODE = ICMP_PORT_UNREACH
        }
    }

    /// Ends the rule with a verdict; NFT_GOTO and NFT_JUMP name a chain.
    func verdict(_ code: Int32, chain: String? = nil) -> FilterExpressions {
        adding("immediate") { data in
            data.attribute(1, networkOrder: NFT.NFT_REG_VERDICT)  // NFTA_IMMEDIATE_DREG
            data.nested(2) { value in  // NFTA_IMMEDIATE_DATA
                value.nested(NFT.NFTA_DATA_VERDICT) { $0.verdict(code, chain: chain) }
            }
        }
    }

    /// The bytes that the kernel compares interface names as.
    static func interfaceName(_ name: String) -> [UInt8] {
        let bytes = Array(name.utf8.prefix(15))
        return bytes + [UInt8](repeating: 0, count: 16 - bytes.count)
    }
}
