"""From a create to its event at one watcher: one thread sends and then waits on the watch, so that no other delays it."""
import json
import select

from .requests import MAPS, config_map

COUNT = 3000


def measure(bench):
    hostd = bench.hostd("api-events")
    hostd.start()
    hostd.wait_for_default()
    writer, watcher = hostd.connect(), Watcher(hostd, MAPS + "?watch=1")
    took = []
    for number in range(COUNT):
        name = f"event-{number}"
        began = bench.now()
        writer.request("POST", MAPS, json.dumps(config_map(name, 850)), {"Content-Type": "application/json"})
        watcher.wait_for(f'"name":"{name}"'.encode())
        took.append((bench.now() - began) * 1000)
        response = writer.getresponse()
        response.read()
        if response.status != 201:
            raise SystemExit(f"create: {response.status}")
    took = sorted(took[COUNT // 10:])
    bench.line("create to its event at 1 watcher, p50", f"{took[len(took) // 2]:.2f}", "ms", "<= 0.4")
    bench.line("… p99", f"{took[len(took) * 99 // 100]:.2f}", "ms", "<= 1.5")
    hostd.stop()


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
