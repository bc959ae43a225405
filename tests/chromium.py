"""A headless Chromium, driven over its DevTools protocol: opened, clicked, typed into, and asked what it shows.

Debian's package is used as it is; no driver and no client library. What the browser complains about (a refused resource, an
exception, a blocked style) is kept in ``complaints``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.programs import need

PATIENCE_S = 120.0
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-port=0",
    "--window-size=1000,1400",
)


@dataclass
class Tab:
    """One page of the browser."""

    _socket: aiohttp.ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)
    # The file that came last, and whether it is whole.
    file_name: str = ""
    downloaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, to the page or to what was attached under a session; its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        to = {"sessionId": session} if session else {}
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **to})
        answer = await asyncio.wait_for(self._waiting[number], PATIENCE_S)
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def open(self, address: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._loaded.clear()
        answer = await self.send("Page.navigate", url=address)
        assert not answer.get("errorText"), answer
        await asyncio.wait_for(self._loaded.wait(), PATIENCE_S)

    async def reaches(self, address: str) -> bool:
        """Go to an address that may not answer yet; whether it did."""
        self._loaded.clear()
        answer = await self.send("Page.navigate", url=address)
        # An address that does not answer has a page too, the browser's own, which is loaded as any other.
        await asyncio.wait_for(self._loaded.wait(), PATIENCE_S)
        return not answer.get("errorText")

    async def attach(self, kind: str) -> str:
        """Attach to the one target of a kind, as ``iframe``; its session."""
        async with asyncio.timeout(PATIENCE_S):
            while len(targets := [t["targetId"] for t in await self._targets() if t["type"] == kind]) != 1:
                await asyncio.sleep(0.05)
        (target,) = targets
        return str((await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"])

    async def _targets(self) -> list[dict[str, Any]]:
        return list((await self.send("Target.getTargets"))["targetInfos"])

    async def complained(self, words: str) -> None:
        """Wait until the browser has complained of something: it says so in its own time."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(words in complaint for complaint in self.complaints):
                await asyncio.sleep(0.05)

    async def ask(self, expression: str, session: str = "", *, awaited: bool = False) -> Any:
        """The value of an expression in the page, or what its promise gives: the test's own script, for pages have none."""
        answer = await self.send(
            "Runtime.evaluate", session, expression=expression, returnByValue=True, awaitPromise=awaited
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self) -> str:
        """What a person reads."""
        return " ".join(str(await self.ask("document.body.innerText")).split())

    async def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        assert await self.ask(
            f"(e => e ? (e.focus(), true) : false)(document.querySelector({json.dumps(selector)}))"
        )
        await self.send("Input.insertText", text=text)

    async def click(self, selector: str, *, loads: bool = True) -> None:
        """Click, and wait for the page that comes."""
        self._loaded.clear()
        script = f"(e => e ? (e.click(), true) : false)(document.querySelector({json.dumps(selector)}))"
        assert await self.ask(script), selector
        if loads:
            await asyncio.wait_for(self._loaded.wait(), PATIENCE_S)

    async def press(self, key: str) -> None:
        """Press a key, as Tab."""
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)

    async def picture(self) -> bytes:
        """A screenshot (PNG), for a person to look at."""
        answer = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def read(self) -> None:
        """Take in what the browser says until it is closed."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                waiting = self._waiting.pop(said["id"])
                if not waiting.done():
                    waiting.set_result(said)
            elif said["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif said["method"] == "Page.downloadWillBegin":
                self.file_name = said["params"]["suggestedFilename"]
            elif said["method"] == "Page.downloadProgress" and said["params"]["state"] == "completed":
                self.downloaded.set()
            elif said["method"] == "Log.entryAdded":
                entry = said["params"]["entry"]
                if entry["level"] in ("warning", "error"):
                    self.complaints.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
            elif said["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.complaints.append(json.dumps(said["params"])[:500])


@contextlib.asynccontextmanager
async def open_tab(language: str = "es-MX,es;q=0.9", *, scripts: bool = False) -> AsyncIterator[Tab]:
    """A fresh browser with one tab; pages' own scripts are off unless asked for."""
    program = need("chromium", package="chromium")
    # The browser may still be writing into its folder as it ends.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                page = await _first_page(session, port)
                async with session.ws_connect(page, max_msg_size=2**26) as socket:
                    tab = Tab(socket)
                    reading = asyncio.create_task(tab.read())
                    try:
                        for domain in ("Page", "Runtime", "Log", "Network"):
                            await tab.send(f"{domain}.enable")
                        await tab.send("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
                        await tab.send("Emulation.setScriptExecutionDisabled", value=not scripts)
                        yield tab
                    finally:
                        reading.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await reading
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _first_page(session: aiohttp.ClientSession, port: int) -> str:
    """Where the browser's one page is spoken to; it comes a moment after the port."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                for target in await answer.json():
                    if target["type"] == "page":
                        return str(target["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    for _ in range(int(PATIENCE_S * 20)):
        said = _text_of(file)
        if "\n" in said:
            return int(said.splitlines()[0])
        assert process.returncode is None, f"chromium ended with {process.returncode}"
        await asyncio.sleep(0.05)
    raise TimeoutError("chromium did not open its DevTools port")


def _text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""
