"""TLS for tests, on the listening socket that is standard input, with the certificate and key given: what comes through goes to a port of
loopback, and back."""
import select
import socket
import ssl
import sys
import threading

certificate, key, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


def relay(inside, outside):
    while True:
        ready = [inside] if inside.pending() else select.select([inside, outside], [], [])[0]
        for end in ready:
            data = end.recv(65536)
            if not data:
                return
            (outside if end is inside else inside).sendall(data)


def serve(plain):
    try:
        with context.wrap_socket(plain, server_side=True) as inside, socket.create_connection(("127.0.0.1", port)) as outside:
            relay(inside, outside)
    except OSError:
        plain.close()


listener = socket.socket(fileno=0)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
