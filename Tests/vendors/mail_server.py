"""A mail server for tests (aiosmtpd) on the listening socket that is standard input: STARTTLS and a login are required. Each message that
it accepts stands in the file given, as a line of JSON, before the client is told so."""
import asyncio
import json
import socket
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

certificate, key, mailbox = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@"):
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        message = {
            "tls": session.ssl is not None, "from": envelope.mail_from, "to": envelope.rcpt_tos, "data": envelope.content.decode()
        }
        with open(mailbox, "a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")
        return "250 accepted"


def login(server, session, envelope, mechanism, data):
    isKnown = isinstance(data, LoginPassword) and (data.login, data.password) == (b"bursar", b"s3cret-of-the-mail-server")
    return AuthResult(success=isKnown, handled=isKnown)


async def main():
    def make():
        return SMTP(
            Mailbox(), hostname="localhost", tls_context=context, require_starttls=True, authenticator=login, auth_required=True)

    server = await asyncio.get_running_loop().create_server(make, sock=socket.socket(fileno=0))
    await server.serve_forever()


asyncio.run(main())
