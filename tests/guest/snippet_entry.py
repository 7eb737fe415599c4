"""A guest's entry that runs one snippet, and the host's side of it. The zygote loads this file by its path."""

import contextlib
import io
import socket

ENTRY = f"{__file__}:main"


def main(sock, report, options):
    """Run the code that the host sends, and send back what it printed, or the error it ended with."""
    code = b""
    while chunk := sock.recv(1 << 16):
        code += chunk
    names = {"report": report, "options": options, "sock": sock}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(code.decode(), names)
        except (Exception, SystemExit) as error:
            printed.write(f"{type(error).__name__}: {error}")
    sock.sendall(printed.getvalue().encode())


def run(zygote, code, **spawn):
    """What a fresh guest says to the code, and how it ended."""
    with zygote.spawn(**spawn) as guest:
        guest.sock.settimeout(20)
        said = b""
        with contextlib.suppress(ConnectionError):
            guest.sock.sendall(code.encode())
            guest.sock.shutdown(socket.SHUT_WR)
            while chunk := guest.sock.recv(1 << 16):
                said += chunk
        return said.decode().strip(), str(guest.wait(20))
