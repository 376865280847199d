"""5,000 watches, each of one of fifty objects' labels: 100 writes a second, each of which concerns a hundred watches."""
import json
import select
import threading
import time

from .requests import MAPS

WATCHES = 5000
GROUPS = 50
RATE = 100
SECONDS = 20


def measure(bench):
    hostd = bench.hostd("api-watches")
    hostd.start()
    hostd.wait_for_default()
    before = bench.resident(hostd.process.pid)
    watches = [watch(hostd, number % GROUPS) for number in range(WATCHES)]
    memory = bench.resident(hostd.process.pid)
    sent, took = {}, []
    poll = select.epoll()
    sockets = {}
    for sock in watches:
        sock.setblocking(False)
        poll.register(sock.fileno(), select.EPOLLIN)
        sockets[sock.fileno()] = sock
    reader = threading.Thread(target=read, args=(bench, poll, sockets, sent, took), daemon=True)
    reader.start()
    connection = hostd.connect()
    begin = bench.now()
    for number in range(RATE * SECONDS):
        time.sleep(max(0, begin + number / RATE - bench.now()))
        name = f"w{number}w"
        sent[name.encode()] = bench.now()
        hostd.request(connection, "POST", MAPS, {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"group": f"g{number % GROUPS}"}}, "data": {"text": "x" * 850}})
    expected = RATE * SECONDS * WATCHES // GROUPS
    limit = bench.now() + 20
    while len(took) < expected and bench.now() < limit:
        time.sleep(0.1)
    if len(took) != expected:
        raise SystemExit(f"{len(took)} of {expected} events came")
    took.sort()
    bench.line("5,000 watches, 100 writes/s to 100 of them each, p99", f"{took[len(took) * 99 // 100] * 1000:.1f}", "ms", "<= 20")
    bench.line("… memory of hostd", f"{memory / 1024:.0f}", "MB", "<= 120")
    bench.line("… of that for one watch", f"{(memory - before) / WATCHES:.1f}", "KB")
    hostd.stop()


def watch(hostd, group):
    sock = hostd.connect().sock
    sock.sendall(f"GET {MAPS}?watch=1&labelSelector=group%3Dg{group} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(4096)
    return sock


def read(bench, poll, sockets, sent, took):
    """Notes for each event when it came, by the name in it."""
    marker = b'"name":"w'
    while True:
        for descriptor, _ in poll.poll():
            while True:
                try:
                    data = sockets[descriptor].recv(65536)
                except (BlockingIOError, OSError):
                    break
                if not data:
                    return
                now = bench.now()
                at = data.find(marker)
                while at >= 0:
                    start = at + len(marker) - 1
                    took.append(now - sent[data[start:data.index(b'"', start)]])
                    at = data.find(marker, start)
