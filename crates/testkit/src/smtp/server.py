"""The mail server of Keystead's tests: aiosmtpd on a port of loopback, which reports what it sees as
JSON lines on stdout. It ends when stdin does, so it does not outlive the test.

The only argument is JSON: port (0 takes a free one), mode (plain, starttls or tls), certificate and
key (paths), user and password (null lets everybody send), mechanism (PLAIN, LOGIN).
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])
# What goes wrong in a session is often what the test is about.
logging.disable()


def report(kind, **members):
    sys.stdout.write(json.dumps({"kind": kind, **members}) + "\n")
    sys.stdout.flush()


def authenticate(server, session, envelope, mechanism, data):
    given = (data.login.decode(), data.password.decode())
    success = given == (options["user"], options["password"])
    report("auth", mechanism=mechanism, success=success)
    return AuthResult(success=success, handled=False)


class Server(SMTP):
    def connection_made(self, transport):
        report("connection")
        super().connection_made(transport)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        report("recipient", address=address)
        if address.startswith("refused@"):
            return f"550 5.1.1 <{address}>: no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        report(
            "mail",
            encrypted=server.transport.get_extra_info("ssl_object") is not None,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers=[[name, str(value)] for name, value in message.items()],
            parts=[[part.get_content_type(), part.get_content()] for part in message.iter_parts()],
        )
        return "250 OK"


async def main():
    mode, user = options["mode"], options["user"]
    context = None
    if mode != "plain":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options["certificate"], options["key"])
    loop = asyncio.get_running_loop()

    def make():
        return Server(
            Handler(),
            hostname="mail.test",
            loop=loop,
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=authenticate if user else None,
            auth_required=bool(user),
            auth_require_tls=mode == "starttls",
            auth_exclude_mechanism={"PLAIN", "LOGIN"} - {options["mechanism"]},
        )

    server = await loop.create_server(
        make, "127.0.0.1", options["port"], ssl=context if mode == "tls" else None
    )
    report("listening", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


def end_with_the_test():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
asyncio.run(main())
