/// Where a setting comes from: flags, then the environment, then a file. Every value remembers its source, so that
/// `serve --print-configuration` can answer the question that configuration always raises.
import Configuration
import Foundation
import JSON
import Yams

/// The sources of settings, the most important first.
struct ConfigurationLayers: Sendable {
    struct Layer: Sendable {
        enum Kind: Sendable {
            case flags, environment
            case file(path: String)
        }

        let kind: Kind
        let provider: any ConfigProvider

        /// Where in this layer the setting is: `flag --pool-size`, `environment BURSAR_POOL_SIZE`, `file bursar.json`.
        func place(of key: String) -> String {
            switch kind {
            case .flags: "flag --" + key.replacing("_", with: "-")
            case .environment: "environment BURSAR_" + key.uppercased()
            case .file(let path): "file " + path
            }
        }
    }

    /// A value and the layer that gave it.
    struct Found<Value: Sendable>: Sendable {
        let value: Value
        let source: String
    }

    let layers: [Layer]
    /// The process's environment, for variables that are not ours: `DATABASE_URL`, `PGHOST`.
    let environment: [String: String]

    /// - Parameters:
    ///   - flags: What was given on the command line, by setting.
    ///   - file: The path of a JSON or YAML file, if any; it must exist.
    init(flags: [String: ConfigValue], environment: [String: String], file: String?) async throws {
        var layers = [
            Layer(
                kind: .flags,
                provider: InMemoryProvider(
                    name: "flags", values: Dictionary(uniqueKeysWithValues: flags.map { (AbsoluteConfigKey([$0.key]), $0.value) }))),
            Layer(
                kind: .environment, provider: EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "bursar")),
        ]
        if let file { layers.append(Layer(kind: .file(path: file), provider: try await ConfigurationLayers.read(file))) }
        self.layers = layers
        self.environment = environment
    }

    func string(_ key: String) throws -> Found<String>? {
        try find(key, .string) { content in if case .string(let value) = content { value } else { nil } }
    }

    func int(_ key: String) throws -> Found<Int>? {
        try find(key, .int) { content in if case .int(let value) = content { value } else { nil } }
    }

    func bool(_ key: String) throws -> Found<Bool>? {
        try find(key, .bool) { content in if case .bool(let value) = content { value } else { nil } }
    }

    func strings(_ key: String) throws -> Found<[String]>? {
        try find(key, .stringArray) { content in if case .stringArray(let value) = content { value } else { nil } }
    }

    private func find<Value: Sendable>(_ key: String, _ type: ConfigType, _ read: (ConfigContent) -> Value?) throws -> Found<Value>? {
        for layer in layers {
            if let value = try layer.find(key, type, read) { return Found(value: value, source: layer.place(of: key)) }
        }
        return nil
    }

    private static func read(_ file: String) async throws -> any ConfigProvider {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw CommandError("cannot read the configuration file \(file)")
        }
        let isYAML = file.hasSuffix(".yaml") || file.hasSuffix(".yml")
        let path = ConfigReader(provider: InMemoryProvider(values: ["filePath": ConfigValue(.string(file), isSecret: false)]))
        do {
            // An empty YAML file says nothing, and that is fine.
            let names = isYAML ? try (Yams.load(yaml: text) as? [String: Any] ?? [:]).keys.sorted() : try jsonNames(text)
            for name in names where !Setting.names.contains(name) { throw Setting.unknown(name, in: file) }
            return isYAML ? try await FileProvider<YAMLSnapshot>(config: path) : try await FileProvider<JSONSnapshot>(config: path)
        } catch let error as CommandError {
            throw error
        } catch {
            // The parser's own words may quote the file, and secrets are in it.
            throw CommandError("the configuration file \(file) is not a valid \(isYAML ? "YAML" : "JSON") object")
        }
    }

    private static func jsonNames(_ text: String) throws -> [String] {
        guard let object = try JSON.parse(text).object else { throw CommandError("the configuration must be an object") }
        return object.map(\.name)
    }
}

extension ConfigurationLayers.Layer {
    func find<Value>(_ key: String, _ type: ConfigType, _ read: (ConfigContent) -> Value?) throws -> Value? {
        let content: ConfigContent?
        do {
            content = try provider.value(forKey: AbsoluteConfigKey([key]), type: type).value?.content
        } catch {
            throw CommandError("\(key) from \(place(of: key)) is not \(type.words)")
        }
        return content.flatMap(read)
    }
}

extension ConfigType {
    fileprivate var words: String {
        switch self {
        case .int: "a whole number"
        case .bool: "true or false"
        case .stringArray: "a list"
        default: "text"
        }
    }
}

/// Why a command cannot do what was asked, in words for the person at the terminal.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
