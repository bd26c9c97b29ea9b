"""An https receiver on loopback for tests, with the certificate and key given. Prints its port, then each request's body as a line of JSON.
Answers as PagerDuty does; with `slow` never, with `redirect` to a metadata address."""
import http.server
import json
import ssl
import sys
import threading

certificate, key, mode = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "ok"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        print(json.dumps({"path": self.path, "body": body.decode()}), flush=True)
        if mode == "slow":
            threading.Event().wait()
        answer = b'{"status":"success","message":"Event processed","dedup_key":"key"}'
        self.send_response(301 if mode == "redirect" else 202)
        if mode == "redirect":
            self.send_header("location", "http://169.254.169.254/latest/meta-data")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
