/// Where a request may go: decided on the numeric address and port of each connection, at the moment it is opened, so that neither a
/// strange spelling nor a name that changes its answer can lead inside (design §10).

/// The rule of one client: public addresses over TLS, and whatever the operator allows.
struct TargetPolicy: Sendable {
    /// Blocks that may be private and may be spoken to in plain http, at any port.
    let allowTargets: [CIDR]
    /// A file of certificates that are trusted instead of the system's; nil: the system's.
    var authorities: String?
    /// Stands in for DNS in tests, which must not depend on the network's; nil: the system's.
    var names: (@Sendable (String) -> [String])?

    /// Whether a connection may be opened. Everything that is not known to be public is refused.
    func permits(_ address: IPAddress, port: UInt16, isEncrypted: Bool) -> Bool {
        if isInAllowList(address) { return true }
        return isEncrypted && TargetPolicy.publicPorts.contains(port) && TargetPolicy.isPublic(address)
    }

    func isInAllowList(_ address: IPAddress) -> Bool {
        allowTargets.contains { $0.contains(address) || $0.contains(address.unmapped) }
    }

    /// Ports of public https services; others would let a tenant probe strangers from our address.
    static let publicPorts: Set<UInt16> = [443, 8443]

    /// Whether an address belongs to the public internet: in IPv4 what is not listed; in IPv6 only global unicast space, and of that
    /// nothing that embeds an IPv4 address. Mapped, compatible, translated and local forms all lie outside 2000::/3.
    static func isPublic(_ address: IPAddress) -> Bool {
        switch address {
        case .v4: !reservedIPv4.contains { $0.contains(address) }
        case .v6: globalUnicast.contains(address) && !reservedIPv6.contains { $0.contains(address) }
        }
    }

    /// IANA's special-purpose registry (RFC 6890 and its updates) and multicast, class E, and one cloud's metadata address.
    private static let reservedIPv4: [CIDR] = [
        CIDR(.v4(0, 0, 0, 0), 8),  // this network (RFC 791)
        CIDR(.v4(10, 0, 0, 0), 8),  // private (RFC 1918)
        CIDR(.v4(100, 64, 0, 0), 10),  // carrier-grade NAT (RFC 6598)
        CIDR(.v4(127, 0, 0, 0), 8),  // loopback
        CIDR(.v4(168, 63, 129, 16), 32),  // Azure's host services, on a public-looking address
        CIDR(.v4(169, 254, 0, 0), 16),  // link-local: cloud metadata
        CIDR(.v4(172, 16, 0, 0), 12),  // private
        CIDR(.v4(192, 0, 0, 0), 24),  // protocol assignments (RFC 6890)
        CIDR(.v4(192, 0, 2, 0), 24),  // documentation (RFC 5737)
        CIDR(.v4(192, 88, 99, 0), 24),  // 6to4 relays (RFC 7526)
        CIDR(.v4(192, 168, 0, 0), 16),  // private
        CIDR(.v4(198, 18, 0, 0), 15),  // benchmarking (RFC 2544)
        CIDR(.v4(198, 51, 100, 0), 24),  // documentation
        CIDR(.v4(203, 0, 113, 0), 24),  // documentation
        CIDR(.v4(224, 0, 0, 0), 4),  // multicast
        CIDR(.v4(240, 0, 0, 0), 4),  // reserved, and broadcast
    ]

    private static let globalUnicast = CIDR(.v6(0x2000, 0), 3)

    private static let reservedIPv6: [CIDR] = [
        CIDR(.v6(0x2001, 0), 23),  // protocol assignments, Teredo among them (RFC 2928, RFC 4380)
        CIDR(.v6(0x2001, 0x0DB8), 32),  // documentation (RFC 3849)
        CIDR(.v6(0x2002, 0), 16),  // 6to4 (RFC 3056)
        CIDR(.v6(0x3FFF, 0), 20),  // documentation (RFC 9637)
    ]
}
