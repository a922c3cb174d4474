"""The client of a batch sees a reply that comes while it sends: nbclient does so for cells with output widgets."""

from __future__ import annotations

import asyncio
import select
import tempfile
from pathlib import Path

import zmq

from tests.support.waiting import DEADLINE
from tfprovisioner.batch.kernel_client import KernelManager


def test_a_reply_that_comes_while_sending_is_seen() -> None:
    manager = KernelManager(transport="ipc")
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        manager.ip = str(Path(folder) / "s")
        manager.write_connection_file()
        kernel = context.socket(zmq.ROUTER)
        kernel.bind(f"ipc://{manager.ip}-{manager.shell_port}")
        client = manager.client()

        async def cell() -> object:
            request = client.execute("pass")
            ident, received = manager.session.feed_identities(kernel.recv_multipart())
            waiting = asyncio.ensure_future(client.shell_channel.get_msg(timeout=DEADLINE))
            await asyncio.sleep(0)  # it waits from now on
            parent = manager.session.deserialize(received)
            manager.session.send(kernel, "execute_reply", {}, parent, ident=ident)
            arrived = select.poll()
            arrived.register(client.shell_channel.socket.FD, select.POLLIN)
            arrived.poll()
            client.shell_channel.send(client.session.msg("comm_msg", {}))
            return (await asyncio.wait_for(waiting, DEADLINE / 2))["parent_header"]["msg_id"] == request

        try:
            assert asyncio.run(cell())
        finally:
            client.stop_channels()
            kernel.close(linger=0)
            manager.cleanup_connection_file()
            manager.context.term()
