/// The address table: what is public, what never is, and every way to write the latter.
import Logging
import TestSupport
import Testing

@testable import Outbound

@Suite struct TargetPolicyTests {
    let policy = TargetPolicy(allowTargets: [])

    @Test(
        "the first and last address of every reserved block are refused, their outer neighbours are not",
        arguments: [
            ("0.0.0.0", "0.255.255.255", nil, "1.0.0.0"), ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"),
            ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"),
            ("168.63.129.16", "168.63.129.16", "168.63.129.15", "168.63.129.17"),
            ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"),
            ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"),
            ("192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"), ("192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"),
            ("192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"),
            ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"),
            ("198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"),
            ("198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"),
            ("203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"), ("224.0.0.0", "255.255.255.255", "223.255.255.255", nil),
            ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, "2000::"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
            ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, nil),
        ] as [(String, String, String?, String?)])
    func blocks(first: String, last: String, before: String?, after: String?) throws {
        for text in [first, last] { #expect(!TargetPolicy.isPublic(try #require(IPAddress(text))), "\(text)") }
        for text in [before, after].compactMap(\.self) { #expect(TargetPolicy.isPublic(try #require(IPAddress(text))), "\(text)") }
    }

    @Test(
        "every way of carrying an IPv4 address inside an IPv6 one is refused, whatever is inside",
        arguments: [
            "::ffff:%", "::%", "::ffff:0:%", "64:ff9b::%", "64:ff9b:1::%", "2002:7f00:1::%", "2001:0:4136:e378:8000:63bf:%", "fe80::5efe:%",
            "fd00::%", "100::%", "fec0::%", "ff02::%", "5f00::%",
        ])
    func embeddings(form: String) throws {
        for inner in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "8.8.8.8"] {
            let address = try #require(IPAddress(form.replacing("%", with: inner)))
            #expect(!policy.permits(address, port: 443, isEncrypted: true), "\(address)")
        }
    }

    @Test("public addresses are spoken to over TLS at the ports of https only")
    func publicAddresses() throws {
        for text in ["8.8.8.8", "3.120.0.1", "99.255.255.255", "2606:4700::1111", "2a00:1450:4001:80e::2004"] {
            let address = try #require(IPAddress(text))
            #expect(policy.permits(address, port: 443, isEncrypted: true))
            #expect(policy.permits(address, port: 8443, isEncrypted: true))
            #expect(!policy.permits(address, port: 443, isEncrypted: false))
            for port in [UInt16(22), 25, 80, 5432, 6379] { #expect(!policy.permits(address, port: port, isEncrypted: true)) }
        }
    }

    @Test("the operator's list opens its blocks at any port and in plain http, in their mapped form too, and nothing else")
    func allowList() throws {
        let policy = TargetPolicy(allowTargets: [
            try #require(CIDR("10.8.0.0/16")), try #require(CIDR("fd12::/16")), try #require(CIDR("::1")),
        ])
        for text in ["10.8.0.1", "::ffff:10.8.255.255", "fd12::1", "::1"] {
            #expect(policy.permits(try #require(IPAddress(text)), port: 8080, isEncrypted: false), "\(text)")
        }
        for text in ["10.9.0.1", "10.7.255.255", "127.0.0.1", "::ffff:10.9.0.1", "fd13::1", "::2", "::10.8.0.1", "8.8.8.8"] {
            #expect(!policy.permits(try #require(IPAddress(text)), port: 8080, isEncrypted: false), "\(text)")
        }
    }

    @Test(
        "malformed blocks and addresses are not read",
        arguments: [
            "", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "010.0.0.0/8", "::/129", "::g/8", "10.0.0.0/8/8",
            "fe80::1%lo/64", "10.0.0.0/٨",
        ])
    func malformed(text: String) {
        #expect(CIDR(text) == nil)
    }

    @Test("blocks of every length hold exactly the addresses that share their prefix")
    func lengths() {
        var generator = SystemRandomNumberGenerator()
        for length in 0...128 {
            let base = UInt128.random(in: 0 ... .max, using: &generator)
            for bit in 0..<128 {
                let other = IPAddress.v6(base ^ (1 << UInt128(127 - bit)))
                #expect(CIDR(.v6(base), length).contains(other) == (bit >= length))
                #expect(!CIDR(.v6(base), length).contains(.v4(0)))
            }
        }
        for length in 0...32 {
            let base = UInt32.random(in: 0 ... .max, using: &generator)
            for bit in 0..<32 {
                #expect(CIDR(.v4(base), length).contains(.v4(base ^ (1 << UInt32(31 - bit)))) == (bit >= length))
            }
        }
    }
}
