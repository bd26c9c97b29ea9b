// swift-tools-version: 6.2
// The house of Bursar (README "Where things live"): few targets, arrows one way, each boundary there because
// the compiler then catches a mistake. Budgets cannot do I/O; only Postgres and Outbound may touch C.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]
/// Targets that touch C memory must also mark every unsafe expression.
let strictMemory = strict + [.strictMemorySafety()]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let tracing: Target.Dependency = .product(name: "Tracing", package: "swift-distributed-tracing")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")

func tests(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "bursar",
    platforms: [.macOS(.v26)],
    products: [.executable(name: "bursar", targets: ["bursar"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: [.defaults, "YAML"]),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "JSON", swiftSettings: strict),
        .target(name: "Budgets", swiftSettings: strict),
        .target(name: "Postgres", dependencies: ["CPostgres", logging, lifecycle], swiftSettings: strictMemory),
        .target(name: "Outbound", dependencies: ["CCurl", logging], swiftSettings: strictMemory),
        .target(
            name: "Store", dependencies: ["Budgets", "JSON", "Postgres", crypto, logging, tracing],
            resources: [.embedInCode("Migrations")],  // a link to the top-level folder; the binary needs no file beside it
            swiftSettings: strict),
        .target(
            name: "Ledger", dependencies: ["Budgets", "JSON", "Store", "Postgres", crypto, lifecycle, logging, tracing],
            swiftSettings: strict),
        .target(
            name: "Alerts", dependencies: ["Budgets", "JSON", "Store", "Outbound", crypto, lifecycle, logging], swiftSettings: strict),
        .target(name: "Chargeback", dependencies: ["Budgets", "CZlib", "JSON", "Store", crypto], swiftSettings: strictMemory),
        .target(
            name: "Server",
            dependencies: [
                "Alerts", "Budgets", "Chargeback", "JSON", "Ledger", "Outbound", "Postgres", "Store", crypto, hummingbird, lifecycle,
                logging, tracing,
                .product(name: "HTTPTypes", package: "swift-http-types"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            resources: [.embedInCode("openapi")],  // a link to the top-level folder
            swiftSettings: strict),
        .executableTarget(
            name: "bursar",
            dependencies: [
                "Budgets", "Chargeback", "JSON", "Outbound", "Postgres", "Server", "Store", "Yams", lifecycle, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            resources: [.embedInCode("Resources/prices.json")],
            swiftSettings: strict),
        .target(
            name: "TestSupport", dependencies: ["Budgets", "Postgres", "Store", logging], path: "Tests/TestSupport",
            swiftSettings: strict),
        tests("JSON"),
        tests("Budgets", ["TestSupport"]),
        tests("Postgres", ["TestSupport", lifecycle, logging]),
        tests("Outbound", ["TestSupport"]),
        tests("Store", ["TestSupport", lifecycle, logging]),
        tests("Ledger", ["TestSupport"]),
        tests("Alerts", ["TestSupport"]),
        tests("Chargeback", ["TestSupport"]),
        tests(
            "bursar",
            [
                "TestSupport", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        tests(
            "Server",
            [
                "Budgets", "JSON", "Outbound", "Postgres", "Store", "TestSupport", "Yams", crypto, lifecycle, logging,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdTesting", package: "hummingbird"), .product(name: "NIOCore", package: "swift-nio"),
            ]),
    ]
)
