"""A network of one's own, and who answers there."""

import fcntl
import http.client
import http.server
import json
import socket
import struct
import threading

PATIENCE = 20


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers any chat, and remembers by which credential it was asked."""

    credentials = []

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @classmethod
    def start(cls):
        """At port 8000 of loopback, as long as this process runs."""
        provider = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), cls)
        threading.Thread(target=provider.serve_forever, daemon=True).start()

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.credentials.append(self.headers["authorization"])
        answer = {
            "id": "c", "object": "chat.completion", "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def loopback():
    """A network of one's own begins with nothing that is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sh14x", b"lo", 1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS


def asked(port, method, path, body=None, **headers):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()
