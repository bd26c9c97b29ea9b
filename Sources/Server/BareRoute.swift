/// What any JSON route of this server costs before it does anything: the measure of `bursar bench`.
import HTTPTypes
import JSON

extension Route {
    /// Takes the body of a reservation, reads its fields as strictly as every route, and answers with them. No credential is looked at,
    /// no engine and no database. Served only where `bursar bench` measures.
    static let bare = Route(.post, "/bench", .open) { _ in
        { exchange in
            var fields = try exchange.fields()
            let requestID = fields.require("request_id", .requestID)
            let model = fields.require("model", .text(1...200))
            let feature = fields.optional("feature", .text(1...200))
            let inputTokens = fields.require("input_tokens", .tokenCount)
            let maxOutputTokens = fields.require("max_output_tokens", .tokenCount)
            try fields.finish()
            return .json { writer in
                writer.object { writer in
                    writer.field("request_id", requestID)
                    writer.field("model", model)
                    writer.field("feature", feature)
                    writer.field("input_tokens", inputTokens)
                    writer.field("max_output_tokens", maxOutputTokens)
                }
            }
        }
    }
}
