"""Client of a notebook's kernel that does not miss a reply. papermill's own stops on cells with output widgets.

nbclient sends an output widget's state while it waits for the cell's reply on the same socket. jupyter_client sends it
past pyzmq's asyncio socket, which then does not see a reply that came meanwhile: the cell waits until its limit, or
for ever. https://github.com/jupyter/nbclient/issues/312
"""

import asyncio
from typing import Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from traitlets import Type

# jupyter_client 7 and 8 have different names for it.
_AsyncChannel: Any = AsyncKernelClient.shell_channel_class.default_value


class _Channel(_AsyncChannel):  # type: ignore[misc]
    def send(self, message: dict[str, Any]) -> None:
        super().send(message)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return  # so nothing waits
        self.socket.get(zmq.EVENTS)  # pyzmq looks for messages that have come


class KernelClient(AsyncKernelClient):
    shell_channel_class = Type(_Channel)


class KernelManager(AsyncKernelManager):
    """Gives its kernel such a client."""

    client_factory = Type(KernelClient)
