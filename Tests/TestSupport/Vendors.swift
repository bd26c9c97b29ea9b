/// Judges from outside: the vendors' own Python clients, which `make test` installs into `.build/vendors`.
public import Foundation

public enum Vendors {
    private static let package = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardized
    /// The Python that has the vendors' packages.
    static let python = package.appending(path: ".build/vendors/bin/python").path

    /// Of the repository.
    public static func file(_ path: String) -> URL { package.appending(path: path) }

    public static var areInstalled: Bool { FileManager.default.isExecutableFile(atPath: python) }

    /// Runs a subcommand of `judge.py`; returns what it complained of, empty when it is content.
    public static func judge(
        _ command: String, _ argument: String = "", input: String = "", environment: [String: String] = [:]
    ) async throws -> String {
        let (status, output) = try await Helper.run(
            python, [file("Tests/vendors/judge.py").path, command, argument], input: input, environment: environment)
        return status == 0 ? "" : "\(command): \(output)"
    }
}
