/// Secrets of endpoints: a file names the environment variable, and only a new endpoint is given what stands in it.
import JSON

struct SetupSecrets {
    let environment: [String: String]

    /// What stands in the place of a secret in a dump.
    static func reference(_ variable: String) -> String { "${ENV:\(variable)}" }

    /// A text with each reference replaced; nil when a variable is not set.
    func open(_ text: String) -> String? {
        var isWhole = true
        let opened = text.replacing(Self.pattern) { match in
            let value = environment[String(match.1)]
            isWhole = isWhole && value?.isEmpty == false
            return value ?? ""
        }
        return isWhole ? opened : nil
    }

    /// Why a new thing could not be given its secrets.
    func faults(of object: SetupObject) -> [SetupFault] {
        guard object.key.kind == .endpoint else { return [] }
        var faults: [SetupFault] = []
        for field in object.key.kind.fields {
            let place = object.places[field.name] ?? object.place
            for text in Self.texts(object.fields[field.name] ?? .null, field.form) {
                let variables = text.matches(of: Self.pattern).map { String($0.1) }
                for name in variables where environment[name]?.isEmpty ?? true {
                    faults.append(SetupFault(place: place, text: "needs the environment variable \(name), which is not set"))
                }
                if variables.isEmpty, Self.isSecret(field.name, of: object) {
                    faults.append(SetupFault(place: place, text: "is a secret: write ${ENV:NAME} and set NAME where apply runs"))
                }
            }
        }
        let signing = object.fields["signing"]?.string
        if object.fields["kind"] == "webhook", object.fields["secret"] == nil, signing != "ed25519" {
            let text = "needs secret: ${ENV:NAME}, or signing: ed25519; a secret that the server made would be shown to nobody"
            faults.append(SetupFault(place: object.place, text: text))
        }
        return faults
    }

    /// The URL of Slack and Teams is all that one needs to post there; that of others is an address.
    private static func isSecret(_ field: String, of object: SetupObject) -> Bool {
        field == "secret" || field == "routing_key" || field == "url" && ["slack", "teams"].contains(object.fields["kind"])
    }

    private static func texts(_ value: JSON, _ form: SetupForm) -> [String] {
        switch (form, value) {
        case (.secret, .string(let text)): [text]
        case (.list(let form), .array(let elements)): elements.flatMap { texts($0, form) }
        default: []
        }
    }

    private static var pattern: Regex<(Substring, Substring)> { #/\$\{ENV:([A-Za-z_][A-Za-z0-9_]*)\}/# }
}
