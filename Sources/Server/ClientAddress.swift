/// Where a request comes from: the peer of the connection, or, behind proxies that the operator trusts, whom they say they speak for.
import HTTPTypes
import Hummingbird
import NIOCore
import Outbound

extension ServerContext {
    private static let forwardedFor = HTTPField.Name("x-forwarded-for")!

    /// The nearest address that is no trusted proxy's; nil when there is none to be read. What a client writes into the field itself
    /// stands left of what the first trusted proxy added, and is never reached.
    func client(of request: Request, trusting proxies: [CIDR]) -> IPAddress? {
        guard let peer = peer?.unmapped else { return nil }
        guard proxies.contains(where: { $0.contains(peer) }) else { return peer }
        let hops = request.headers[values: ServerContext.forwardedFor].joined(separator: ",").split(separator: ",")
        for hop in hops.reversed() {
            guard let address = IPAddress(String(hop.trimming(" ")))?.unmapped else { return nil }
            if !proxies.contains(where: { $0.contains(address) }) { return address }
        }
        return peer
    }
}

extension IPAddress {
    /// Without the way over text, which every request would pay for; nil for a socket that has no address.
    init?(_ address: SocketAddress) {
        switch address {
        // Where the address stands in `sockaddr_in` and `sockaddr_in6`, the same on every system.
        case .v4(let address):
            self = .v4(withUnsafeBytes(of: address.address) { UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) })
        case .v6(let address):
            self = .v6(withUnsafeBytes(of: address.address) { UInt128(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt128.self)) })
        case .unixDomainSocket: return nil
        }
    }
}

extension Substring {
    fileprivate func trimming(_ character: Character) -> Substring {
        var text = drop { $0 == character }
        while text.last == character { text.removeLast() }
        return text
    }
}
