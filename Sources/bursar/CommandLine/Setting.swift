/// The names of all settings, so that a misspelt one in a file is refused and not ignored.

enum Setting {
    /// As in files; environment variables have them in capitals after `BURSAR_`, flags with dashes.
    static let names = [
        "allow_targets", "data_directory", "database_url", "embedded", "host", "lanes", "log_level", "pool_size", "port", "public_url",
        "secret_key", "secret_key_file", "sweep_interval", "trace", "trust_proxies",
    ]

    /// The fault of a name that is none, with the one that was probably meant.
    static func unknown(_ name: String, in file: String) -> CommandError {
        let nearest = names.map { (name: $0, distance: distance($0, name)) }.min { $0.distance < $1.distance }
        let hint = nearest.flatMap { $0.distance <= 3 ? "did you mean \($0.name)?" : nil } ?? "there are \(names.joined(separator: ", "))"
        return CommandError("the configuration file \(file) has an unknown setting «\(name)»; \(hint)")
    }

    /// How many letters must be put in, taken out or changed to make one of the other (Levenshtein).
    private static func distance(_ left: String, _ right: String) -> Int {
        var row = Array(0...right.utf8.count)
        for (index, letter) in left.utf8.enumerated() {
            var corner = row[0]
            row[0] = index + 1
            for (column, other) in right.utf8.enumerated() {
                let change = corner + (letter == other ? 0 : 1)
                corner = row[column + 1]
                row[column + 1] = min(change, corner + 1, row[column] + 1)
            }
        }
        return row[right.utf8.count]
    }
}
