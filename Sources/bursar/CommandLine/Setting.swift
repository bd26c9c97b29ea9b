/// The names of all settings, so that a misspelt one in a file is refused and not ignored.

enum Setting {
    /// As in files; environment variables have them in capitals after `BURSAR_`, flags with dashes.
    static let names = [
        "allow_targets", "bad_keys_per_minute", "data_directory", "database_url", "embedded", "host", "lanes", "log_level", "pool_size",
        "port", "public_url", "secret_key", "secret_key_file", "smtp_password", "smtp_sender", "smtp_url", "smtp_user", "sweep_interval",
        "trace", "trust_proxies",
    ]

    /// The fault of a name that is none, with the one that was probably meant.
    static func unknown(_ name: String, in file: String) -> CommandError {
        let hint = Spelling.nearest(to: name, among: names).map { "did you mean \($0)?" } ?? "there are \(names.joined(separator: ", "))"
        return CommandError("the configuration file \(file) has an unknown setting «\(name)»; \(hint)")
    }
}
