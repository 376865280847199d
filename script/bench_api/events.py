"""From a create to its event at one watcher: one thread sends and then waits on the watch, so that no other delays it. Between the
creates, in the same minute: what the disk alone takes for as many bytes, and what the client and the connection take for a read."""
import http.client
import json
import os
import select

from .requests import MAPS, config_map

COUNT = 3000
BLOCK = 100
RECORD = 1424  # Bytes that the log gets for one of these creates.


def measure(bench):
    hostd = bench.hostd("api-events")
    hostd.start()
    hostd.wait_for_default()
    writer, watcher, disk = hostd.connect(), Watcher(hostd, MAPS + "?watch=1"), Disk(hostd.data)
    created, written, read = [], [], []
    for start in range(0, COUNT, BLOCK):
        names = [f"event-{number}" for number in range(start, start + BLOCK)]
        for name in names:
            sent = creation(name)
            created.append(timed(bench, lambda: create(writer, watcher, name, sent), lambda: answer(writer, 201)))
        written += [timed(bench, disk.write) for _ in names]
        read += [timed(bench, lambda: get(writer, name)) for name in names]
    for name, took, bars in (("create to its event at 1 watcher", created, ("<= 0.4", "<= 1.5")),
                             (f"the bare disk, {RECORD} B and fdatasync", written, ("", "")),
                             ("GET of one of them by the same client", read, ("", ""))):
        took = sorted(took[COUNT // 10:])
        bench.line(name + ", p50", f"{took[len(took) // 2]:.2f}", "ms", bars[0])
        bench.line("… p99", f"{took[len(took) * 99 // 100]:.2f}", "ms", bars[1])
    hostd.stop()


def timed(bench, run, afterwards=lambda: None):
    """Milliseconds that `run` takes."""
    began = bench.now()
    run()
    took = (bench.now() - began) * 1000
    afterwards()
    return took


def creation(name):
    """The request as it goes over the connection: made in advance, so that the time is the server's and not this client's."""
    body = json.dumps(config_map(name, 850))
    return (f"POST {MAPS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def create(writer, watcher, name, sent):
    writer.sock.sendall(sent)
    watcher.wait_for(f'"name":"{name}"'.encode())


def get(connection, name):
    connection.sock.sendall(f"GET {MAPS}/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer(connection, 200)


def answer(connection, status):
    response = http.client.HTTPResponse(connection.sock)
    response.begin()
    response.read()
    if response.status != status:
        raise SystemExit(f"{response.status} in place of {status}")


class Disk:
    """A file beside the store's, written with zeros in advance as the store's log is."""

    SIZE = 16 << 20

    def __init__(self, directory):
        self.file = os.open(os.path.join(directory, "bare"), os.O_RDWR | os.O_CREAT)
        os.pwrite(self.file, bytes(self.SIZE), 0)
        os.fsync(self.file)
        self.record = b"x" * RECORD
        self.place = 0

    def write(self):
        os.pwrite(self.file, self.record, self.place)
        os.fdatasync(self.file)
        self.place = (self.place + RECORD) % (self.SIZE - RECORD)


class Watcher:
    """A watch whose bytes are looked through as they come."""

    def __init__(self, hostd, path):
        connection = hostd.connect()
        self.socket = connection.sock
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.bytes = b""
        self.wait_for(b"\r\n\r\n")

    def wait_for(self, text):
        while text not in self.bytes:
            if not self.socket.pending() and not select.select([self.socket], [], [], 20)[0]:
                raise SystemExit(f"no {text.decode()} within 20 s")
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit("the watch ended")
            self.bytes += data
        self.bytes = self.bytes[self.bytes.index(text) + len(text):]
