/// The schema as this binary knows it: the files of the top-level `Migrations/`, embedded by the build so that the binary
/// finds them in whatever directory it runs. A package that builds `Store` states `resources: [.embedInCode("Migrations")]`.

import Crypto

/// One file of `Migrations/`: plain SQL that, once shipped, never changes.
public struct Migration: Sendable, Equatable {
    /// The number its name starts with; the first is 1 and none is left out.
    public let version: Int
    /// The file's name without `.sql`.
    public let name: String
    public let sql: String

    public init(version: Int, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
    }

    /// SHA-256 of the text, in hexadecimal: tells a shipped migration that was changed afterwards.
    public var checksum: String {
        let digits = Array("0123456789abcdef")
        return String(SHA256.hash(data: Array(sql.utf8)).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// Whether it must run outside a transaction, as CREATE INDEX CONCURRENTLY does. Such a file holds one statement that can be
    /// run again.
    public var needsNoTransaction: Bool { sql.hasPrefix("-- no transaction") }

    /// Every migration there is, in order.
    public static let all: [Migration] = [
        Migration(version: 1, name: "0001_foundation", sql: text(PackageResources._001_foundation_sql)),
        Migration(version: 2, name: "0002_alerts", sql: text(PackageResources._002_alerts_sql)),
        Migration(version: 3, name: "0003_bursts", sql: text(PackageResources._003_bursts_sql)),
        Migration(version: 4, name: "0004_users", sql: text(PackageResources._004_users_sql)),
        Migration(version: 5, name: "0005_audit", sql: text(PackageResources._005_audit_sql)),
        Migration(version: 6, name: "0006_idempotent_requests", sql: text(PackageResources._006_idempotent_requests_sql)),
        Migration(version: 7, name: "0007_growth", sql: text(PackageResources._007_growth_sql)),
        Migration(version: 8, name: "0008_burst_requests", sql: text(PackageResources._008_burst_requests_sql)),
        Migration(version: 9, name: "0009_budget_form", sql: text(PackageResources._009_budget_form_sql)),
        Migration(version: 10, name: "0010_access", sql: text(PackageResources._010_access_sql)),
        Migration(version: 11, name: "0011_event_concerns", sql: text(PackageResources._011_event_concerns_sql)),
        Migration(version: 12, name: "0012_entry_kinds", sql: text(PackageResources._012_entry_kinds_sql)),
        Migration(version: 13, name: "0013_reallocations", sql: text(PackageResources._013_reallocations_sql)),
        Migration(version: 14, name: "0014_api_key_limits", sql: text(PackageResources._014_api_key_limits_sql)),
        Migration(version: 15, name: "0015_cost_centers", sql: text(PackageResources._015_cost_centers_sql)),
        Migration(version: 16, name: "0016_month_close", sql: text(PackageResources._016_month_close_sql)),
        Migration(version: 17, name: "0017_subject_rollups", sql: text(PackageResources._017_subject_rollups_sql)),
        Migration(version: 18, name: "0018_walls", sql: text(PackageResources._018_walls_sql)),
        Migration(version: 19, name: "0019_lean_batches", sql: text(PackageResources._019_lean_batches_sql)),
        Migration(version: 20, name: "0020_catalogue", sql: text(PackageResources._020_catalogue_sql)),
        Migration(version: 21, name: "0021_attribution", sql: text(PackageResources._021_attribution_sql)),
        Migration(version: 22, name: "0022_cost_splits", sql: text(PackageResources._022_cost_splits_sql)),
        Migration(version: 23, name: "0023_exports", sql: text(PackageResources._023_exports_sql)),
        Migration(version: 24, name: "0024_charge_kinds", sql: text(PackageResources._024_charge_kinds_sql)),
        Migration(version: 25, name: "0025_policy_revisions", sql: text(PackageResources._025_policy_revisions_sql)),
        Migration(version: 26, name: "0026_commitments", sql: text(PackageResources._026_commitments_sql)),
        Migration(version: 27, name: "0027_local_days", sql: text(PackageResources._027_local_days_sql)),
        Migration(version: 28, name: "0028_budget_versions", sql: text(PackageResources._028_budget_versions_sql)),
    ]

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
