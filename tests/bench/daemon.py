"""A gradd of its own for a bench: started on a free port of loopback, and asked over one
connection that stays open."""
import json
import os
import re
import socket
import subprocess
import tempfile
import time

START_SECONDS = 30
ANSWER_SECONDS = 120


def environment():
    """Ours without the options that it may hold: the daemon is measured as it ships."""
    return {key: value for key, value in os.environ.items() if not key.startswith("GRADD_")}


class Daemon:
    """As a context: runs until its end; its files go with it."""

    def __init__(self, binary, folder, *options):
        """folder: where its database is to lie, on a disk like that of a user."""
        self.dir = tempfile.TemporaryDirectory(prefix="gradd-", dir=folder)
        self.log = os.path.join(self.dir.name, "log")
        self.command = ["setpriv", "--pdeathsig", "KILL", binary, "--listen", "127.0.0.1:0",
                        "--data", os.path.join(self.dir.name, "db"), *options]
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise

    def start(self):
        """On the files that are there."""
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log,
                                            env=environment())
        self.port = self.wait_for_port()

    def wait_for_port(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.log, encoding="utf-8") as log:
                found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read())
            if found:
                return int(found.group(1))
            time.sleep(0.0005)
        with open(self.log, encoding="utf-8") as log:
            raise RuntimeError("the daemon did not start:\n" + log.read())

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def memory(self, line):
        """In bytes, of a line of the kernel's account: VmRSS, or VmHWM for the highest so far."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            return 1024 * int(re.search(rf"{line}:\s+(\d+) kB", status.read()).group(1))

    def cpu_seconds(self):
        """Of all its threads that still run."""
        tasks = f"/proc/{self.process.pid}/task"
        total = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="utf-8") as schedstat:
                total += int(schedstat.read().split()[0])
        return total / 1e9

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.dir.cleanup()


def request_bytes(method, path, body=None, media="application/json"):
    """A request ready to be sent, so that making it is not part of what is measured. body: bytes
    of that media type, or what is to become JSON."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n"
    if body is not None:
        head += f"Content-Type: {media}\r\nAccept: {media}\r\n"
    return head.encode() + b"\r\n" + data


class Connection:
    """One keep-alive connection. A socket, since http.client costs more than a step does."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request):
        """Sends it whole; returns the answer's head and body once they are there whole."""
        self.socket.sendall(request)
        answer = self.receive()
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self.receive()
        head = answer[:end]
        length = re.search(rb"\r\nContent-Length: (\d+)", head, re.IGNORECASE)
        size = int(length.group(1)) if length else 0  # 204 has none
        parts, missing = [answer[end + 4:]], size - (len(answer) - end - 4)
        while missing > 0:
            parts.append(self.receive())
            missing -= len(parts[-1])
        return head, b"".join(parts)

    def receive(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the daemon closed the connection")
        return data

    def ask(self, method, path, body=None):
        """The answer's JSON; any status but 2xx ends the bench."""
        head, text = self.exchange(request_bytes(method, path, body))
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{method} {path}: {text[:500].decode()}")
        return json.loads(text)

    def close(self):
        self.socket.close()
