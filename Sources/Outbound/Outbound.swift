/// libcurl made safe: everything that leaves Bursar goes through here, so that one place decides where it may go (design §10).

import CCurl

/// The library as a whole.
public enum Outbound {
    /// Prepares libcurl and OpenSSL for use by several threads. To be called by `main` before it starts anything; later calls do nothing.
    /// Also makes the process ignore SIGPIPE, which libcurl relies on.
    public static func initialize() {
        _ = isInitialized
    }

    private static let isInitialized: Bool = bursar_curl_initialize() == CURLE_OK
}
