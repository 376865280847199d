"""A steady stream of pods for a scheduler: nodes without a kubelet, pods that arrive at a fixed rate and go again once they
were bound, and a watch that sees every binding. Each part is a process of its own, so that none waits for another.
"""
import gc
import json
import multiprocessing
import os
import re
import socket
import sys
import threading
import time

PODS_PER_NODE = 400
NODES = 10
CONNECTIONS = 8
# What a watch's events tell of pods that are named as here; a whole parser would take a tenth of the machine.
EVENT = re.compile(rb'\{"type":"([A-Z]+)"')
NAME = re.compile(rb'"name":"(load-[0-9]+)"')
UID = re.compile(rb'"uid":"([^"]+)"')
PLACE = re.compile(rb'"nodeName":"([^"]*)"')
# So many bound pods stay; older ones are deleted. There is room for four times as many.
LIVE = 1000


def go_first():
    """What is measured is when hostd binds, not when this process is given a processor to see it."""
    gc.disable()
    os.setpriority(os.PRIO_PROCESS, 0, -10)


def processor(pid):
    """Seconds of a processor that a process has used so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Connection:
    """Requests over one TLS connection, as cheap as Python can make them."""

    def __init__(self, context):
        plain = socket.create_connection(("127.0.0.1", 6443))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.rest = b""

    def request(self, method, path, body=b""):
        head = (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        self.socket.sendall(head + body)
        while b"\r\n\r\n" not in self.rest:
            self.receive()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        size = int(fields.get(b"content-length", b"0"))
        while len(self.rest) < size:
            self.receive()
        body, self.rest = self.rest[:size], self.rest[size:]
        return int(head.split(b" ", 2)[1]), body

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("hostd closed the connection")
        self.rest += data


def node(index):
    amounts = {"cpu": str(PODS_PER_NODE * 10) + "m", "memory": "64Gi", "pods": str(PODS_PER_NODE + 50),
               "ephemeral-storage": "100Gi"}
    name = f"node-{index}"
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"capacity": amounts, "allocatable": amounts,
                       "conditions": [{"type": "Ready", "status": "True", "reason": "Bench", "message": "",
                                       "lastHeartbeatTime": now(), "lastTransitionTime": now()}]}}


def pod(name):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": "load"}},
            "spec": {"terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "main", "image": "example", "resources": {"requests": {"cpu": "10m"}}}]}}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def micro_now():
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000Z"


class Nodes:
    """Nodes that are ready, kept so by their leases."""

    def __init__(self, context):
        self.context = context
        self.stopped = threading.Event()
        self.connection = Connection(context)
        for index in range(NODES):
            self.must("POST", "/api/v1/nodes", node(index))
            self.must("PUT", f"/api/v1/nodes/node-{index}/status", node(index))
            self.must("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", self.lease(index))
        self.thread = threading.Thread(target=self.renew, daemon=True)
        self.thread.start()

    def lease(self, index):
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": f"node-{index}", "namespace": "kube-node-lease"},
                "spec": {"holderIdentity": f"node-{index}", "leaseDurationSeconds": 40, "renewTime": micro_now()}}

    def must(self, method, path, body):
        code, answer = self.connection.request(method, path, json.dumps(body).encode())
        if code >= 300:
            sys.exit(f"{method} {path}: {code} {answer[:300]}")

    def renew(self):
        while not self.stopped.wait(10):
            for index in range(NODES):
                self.must("PUT", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-{index}",
                          self.lease(index))

    def stop(self):
        self.stopped.set()
        self.thread.join()


def create(context, rate, backlog, bound, stop, created):
    """Process: creates pods at a rate, not more than `backlog` ahead of those that are bound, until told to stop; then says
    which."""
    go_first()
    connections = [Connection(context) for _ in range(CONNECTIONS)]
    counts = [0] * CONNECTIONS
    began = time.monotonic() + 0.1

    def run(lane):
        index = lane
        while not stop.is_set():
            wait = began + index / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            while sum(counts) - bound.value >= backlog and not stop.is_set():
                time.sleep(0.01)
            code, answer = connections[lane].request("POST", "/api/v1/namespaces/default/pods",
                                                     json.dumps(pod(f"load-{index}")).encode())
            if code != 201:
                sys.exit(f"create: {code} {answer[:300]}")
            counts[lane] += 1
            index += CONNECTIONS

    threads = [threading.Thread(target=run, args=(lane,)) for lane in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    created.put([f"load-{lane + CONNECTIONS * step}" for lane in range(CONNECTIONS) for step in range(counts[lane])])


def delete(context, names):
    """Process: deletes the pods that it is told of; None ends it."""
    go_first()

    def run():
        connection = Connection(context)
        while (name := names.get()) is not None:
            code, answer = connection.request("DELETE", f"/api/v1/namespaces/default/pods/{name}",
                                              b'{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0}')
            if code >= 300:
                sys.exit(f"delete: {code} {answer[:300]}")
        names.put(None)

    def run_events():
        # They would stay for an hour; those of trouble stay.
        connection = Connection(context)
        while not ended.wait(1):
            connection.request("DELETE", "/api/v1/namespaces/default/events?fieldSelector=reason%3DScheduled")

    ended = threading.Event()
    events = threading.Thread(target=run_events)
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in [events, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    events.join()


class Sight:
    """What a watch of pods shows: who came and was bound when, how often, and how full nodes were."""

    def __init__(self):
        self.node, self.live = {}, {}
        # Of each binding, in order: when it was seen, and when its pod was first seen.
        self.times, self.came, self.bound = [], [], set()
        self.first = {}
        self.twice, self.overfull = [], []

    def see(self, line, at):
        """Returns the pod's name when an event says that it was bound just now."""
        event, name, uid, place = (pattern.search(line) for pattern in (EVENT, NAME, UID, PLACE))
        if not (event and name and uid):
            sys.exit(f"the watch of pods says {line[:300]}")
        event, name, uid, place = event[1], name[1].decode(), uid[1], place[1].decode() if place else ""
        before = self.node.get(uid, "")
        if event == b"DELETED":
            if self.node.pop(uid, ""):
                self.live[before] -= 1
            return None
        if place == before:
            self.first.setdefault(uid, at)
            return None
        if before:
            self.twice.append(name)
        self.node[uid] = place
        self.live[place] = self.live.get(place, 0) + 1
        if self.live[place] > PODS_PER_NODE:
            self.overfull.append(place)
        if name in self.bound:
            self.twice.append(name)
        self.bound.add(name)
        self.times.append(at)
        self.came.append(self.first.pop(uid, at))
        return name


def watch(context, names, began, count, result, wanted):
    """Process: watches pods until all that are wanted were bound, and has the oldest deleted."""
    go_first()
    connection = Connection(context)
    connection.socket.sendall(b"GET /api/v1/namespaces/default/pods?watch=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    while b"\r\n\r\n" not in connection.rest:
        connection.receive()
    began.set()
    sight, standing, rest = Sight(), [], connection.rest.split(b"\r\n\r\n", 1)[1]
    connection.socket.settimeout(0.2)
    done = None
    while done is None or len(sight.bound) < done:
        if done is None and not wanted.empty():
            done = wanted.get()
        try:
            data = connection.socket.recv(262144)
        except (TimeoutError, socket.timeout):
            continue
        at = time.monotonic()
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            # Between the lines of events are the sizes of chunks.
            if not line.startswith(b"{"):
                continue
            name = sight.see(line, at)
            if name:
                standing.append(name)
        count.value = len(sight.bound)
        while len(standing) > LIVE:
            names.put(standing.pop(0))
    names.put(None)
    result.put(sight)


def stand(number, stop, result):
    """Process: a real-time thread that wants one processor every two milliseconds, and notes when it was late: then the machine
    itself stood still, as a virtual one does whose host has other work, or its kernel let nobody else run. No program is on time
    meanwhile."""
    os.sched_setaffinity(0, {number})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    gc.disable()
    late, step, due = [], 0.002, time.monotonic()
    while not stop.is_set():
        due = max(due + step, time.monotonic())
        time.sleep(max(0, due - time.monotonic()))
        at = time.monotonic()
        if at - due > 0.001:
            late.append((due, at))
            due = at
    result.put(late)


class Standstills:
    """When one of the machine's processors stood still, told by a process on each. Needs root, as hostd does."""

    def __init__(self):
        fork = multiprocessing.get_context("fork")
        self.stop, self.parts = fork.Event(), []
        for number in sorted(os.sched_getaffinity(0)):
            result = fork.SimpleQueue()
            process = fork.Process(target=stand, args=(number, self.stop, result))
            process.start()
            self.parts.append((process, result))

    def end(self):
        """Beginnings and ends on the clock of `time.monotonic()`, of all processors."""
        self.stop.set()
        found = []
        for process, result in self.parts:
            found += result.get()
            process.join()
        return found


class Load:
    """Everything together: `with Load(context, rate) as load: …` and then `load.finish(seconds)`."""

    def __init__(self, context_of, rate=500, backlog=1 << 30):
        self.context_of, self.rate, self.backlog = context_of, rate, backlog
        self.fork = multiprocessing.get_context("fork")

    def __enter__(self):
        self.nodes = Nodes(self.context_of())
        self.stop, self.began = self.fork.Event(), self.fork.Event()
        self.count = self.fork.Value("q", 0)
        self.created, self.result, self.wanted = self.fork.SimpleQueue(), self.fork.SimpleQueue(), self.fork.SimpleQueue()
        names = self.fork.SimpleQueue()
        self.processes = [
            self.fork.Process(target=watch, args=(self.context_of(), names, self.began, self.count, self.result, self.wanted)),
            self.fork.Process(target=delete, args=(self.context_of(), names)),
            self.fork.Process(target=create, args=(self.context_of(), self.rate, self.backlog, self.count, self.stop, self.created)),
        ]
        for process in self.processes[:2]:
            process.start()
        if not self.began.wait(10):
            sys.exit("the watch of pods did not begin")
        self.processes[2].start()
        self.settle(self.rate)
        return self

    def processor(self):
        """Seconds of a processor that the load itself has used so far, in all of its processes."""
        return sum(processor(process.pid) for process in self.processes)

    def settle(self, pods, limit=60):
        """Waits until so many pods were bound in all."""
        end = time.monotonic() + limit
        while self.count.value < pods:
            if time.monotonic() > end:
                sys.exit(f"{self.count.value} of {pods} pods were bound in {limit} s")
            time.sleep(0.05)

    def finish(self, limit):
        """Ends the stream, waits for the last binding; the names that were created, and what was seen."""
        self.stop.set()
        names = self.created.get()
        self.wanted.put(len(names))
        self.settle(len(names), limit)
        return names, self.result.get()

    def __exit__(self, *_):
        self.stop.set()
        self.nodes.stop()
        for process in self.processes:
            process.join(10)
            if process.is_alive():
                process.kill()
