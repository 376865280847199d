#!/usr/bin/env python3
"""What script/bench_plugin/network.py runs in pods: a server that echoes, and clients that keep connections busy.

    traffic.py serve PORT                      echoes until it is killed; says "listening"
    traffic.py ask ADDRESS PORT KEPT RATE      keeps KEPT connections exchanging, and makes RATE new ones a second, until
                                               standard input ends; says "begun", and at the end one line of JSON
"""
import asyncio
import json
import socket
import sys
import time

PERIOD = 0.05
LIMIT = 5


async def echo(reader, writer):
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def serve(port):
    server = await asyncio.start_server(echo, "0.0.0.0", port, backlog=1024)
    print("listening", flush=True)
    await server.serve_forever()


class Client:
    def __init__(self, address, port):
        self.target = (address, port)
        self.ends = False
        self.exchanges = self.connects = 0
        self.resets, self.failures = [], []
        self.longest_exchange = self.longest_connect = 0.0

    async def exchange(self, reader, writer):
        began = time.monotonic()
        writer.write(b"hello")
        await asyncio.wait_for(writer.drain(), LIMIT)
        if await asyncio.wait_for(reader.readexactly(5), LIMIT) != b"hello":
            raise OSError("another answer")
        self.exchanges += 1
        self.longest_exchange = max(self.longest_exchange, time.monotonic() - began)

    async def keep(self, reader, writer):
        try:
            while not self.ends:
                await self.exchange(reader, writer)
                await asyncio.sleep(PERIOD)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.resets.append(repr(error))

    async def connect(self):
        began = time.monotonic()
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*self.target), LIMIT)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.longest_connect = max(self.longest_connect, time.monotonic() - began)
        return reader, writer

    async def once(self):
        self.connects += 1
        try:
            reader, writer = await self.connect()
            await self.exchange(reader, writer)
            writer.close()
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.failures.append(repr(error))

    async def run(self, kept, rate):
        tasks = [asyncio.create_task(self.keep(*await self.connect())) for _ in range(kept)]
        print("begun", flush=True)
        asyncio.get_running_loop().add_reader(sys.stdin, self.end)
        following = time.monotonic()
        news = set()
        while not self.ends:
            task = asyncio.create_task(self.once())
            news.add(task)
            task.add_done_callback(news.discard)
            following += 1 / rate
            await asyncio.sleep(max(0, following - time.monotonic()))
        await asyncio.gather(*tasks, *news)
        print(json.dumps({
            "exchanges": self.exchanges, "connects": self.connects, "resets": self.resets, "failures": self.failures,
            "longestExchange": self.longest_exchange, "longestConnect": self.longest_connect}), flush=True)

    def end(self):
        if not sys.stdin.read(1):
            self.ends = True
            asyncio.get_running_loop().remove_reader(sys.stdin)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(Client(sys.argv[2], int(sys.argv[3])).run(int(sys.argv[4]), float(sys.argv[5])))
