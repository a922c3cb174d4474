"""The debugger of a notebook, as JupyterLab drives it on the control channel."""

from __future__ import annotations

from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.support.waiting import DEADLINE, eventually


class Debugger:
    """A debug session with the kernel of a client."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client
        self._requests = 0
        self.request("initialize", clientID="tests", adapterID="", linesStartAt1=True, columnsStartAt1=True)
        self.request("attach")
        self.request("configurationDone")

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The body of the reply."""
        self._requests += 1
        content = {"type": "request", "seq": self._requests, "command": command, "arguments": arguments}
        message = self._client.session.msg("debug_request", content)
        self._client.control_channel.send(message)
        while True:
            reply = self._client.get_control_msg(timeout=DEADLINE)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                assert reply["content"]["success"], reply["content"]
                body: dict[str, Any] = reply["content"].get("body", {})
                return body

    def stop_in(self, code: str, line: int) -> int:
        """Runs a cell until it stops at a line; returns the number of the frame."""
        path = self.request("dumpCell", code=code)["sourcePath"]
        self.request("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}], sourceModified=False)
        self._client.execute(code)
        thread = eventually(self._stopped_thread)
        frame: int = self.request("stackTrace", threadId=thread)["stackFrames"][0]["id"]
        return frame

    def _stopped_thread(self) -> int | None:
        event = self._client.get_iopub_msg(timeout=DEADLINE)["content"]
        return event["body"]["threadId"] if event.get("event") == "stopped" else None
