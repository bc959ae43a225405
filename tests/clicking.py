"""A person at a server's pages in Chromium with its scripts off: follows links by their words, fills forms by their fields, takes files."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chromium import Tab

SETTLE_S = 120.0


@dataclass
class Person:
    """One person at one server."""

    tab: Tab
    address: str
    folder: Path

    async def log_in(self, name: str, password: str) -> None:
        """Through the door, as soon as the server answers."""
        await self.tab.send("Security.setIgnoreCertificateErrors", ignore=True)
        for _ in range(int(SETTLE_S * 4)):
            if await self.tab.reaches(f"{self.address}/consola/entrar"):
                break
            await asyncio.sleep(0.25)
        await self.fill({"cuenta": name, "clave": password})
        await self.send()
        assert "Log out" in await self.tab.text()

    async def open(self, path: str) -> None:
        """A page by its address below the console."""
        await self.tab.open(f"{self.address}/consola/{path}")

    async def follow(self, words: str, number: int = 0, within: str = "") -> None:
        """Click the link of that text, the first unless another is meant; ``within`` is a text of its row."""
        script = f"""
        (() => {{
          const links = [...document.querySelectorAll('main a')].filter(a => a.textContent.trim() === {json.dumps(words)}
            && (!{json.dumps(within)} || a.closest('tr, li, div').textContent.includes({json.dumps(within)})));
          const found = links[{number}];
          if (found) found.id = 'followed';
          return links.length;
        }})()
        """
        assert await self.tab.ask(script) > number, f"no link {words!r} on {await self.where()}"
        await self.tab.click("#followed")

    async def fill(self, values: Mapping[str, str]) -> None:
        """Give fields their values by name."""
        for name, value in values.items():
            script = f"""
            (e => e ? (e.value = {json.dumps(value)}, e.value === {json.dumps(value)}) : false)(
              document.querySelector({json.dumps(_field(name))}))
            """
            assert await self.tab.ask(script), f"no field {name} for {value!r} on {await self.where()}"

    async def has_field(self, name: str) -> bool:
        """Whether the page asks for a field."""
        script = f"document.querySelector({json.dumps(_field(name))}) !== null"
        return bool(await self.tab.ask(script))

    async def upload(self, name: str, content: bytes, file_name: str) -> None:
        """Choose a file in a field."""
        file = self.folder / file_name
        await asyncio.to_thread(file.write_bytes, content)
        root = (await self.tab.send("DOM.getDocument"))["root"]["nodeId"]
        found = await self.tab.send("DOM.querySelector", nodeId=root, selector=f'main input[name="{name}"]')
        await self.tab.send("DOM.setFileInputFiles", nodeId=found["nodeId"], files=[str(file)])

    async def send(self, *, form: str = "main form[method=post]") -> None:
        """Send the form of the page."""
        await self.tab.click(f"{form} button")

    async def do(self, values: Mapping[str, str] | None = None, *, warned: bool = False) -> None:
        """Fill the form of the page that is open and send it; where a warning is expected, read it and do it all the same."""
        await self.fill(values or {})
        await self.send()
        if warned:
            assert "Nothing is done yet. Read this first:" in await self.tab.text(), await self.where()
            await self.send()
        text = await self.tab.text()
        assert "It was not done" not in text, text
        assert "Nothing is done yet" not in text, text
        assert "Done" in text, text

    async def download(self, words: str, number: int = 0) -> bytes:
        """Follow a link, or send the page's form where ``words`` is empty; the file that comes."""
        await self.tab.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(self.folder))
        self.tab.downloaded.clear()
        href = await self.tab.ask(
            f"[...document.querySelectorAll('main a')].filter(a => a.textContent.trim() === {json.dumps(words)})[{number}].href"
        )
        await self.tab.ask(f"void (location.href = {json.dumps(href)})")
        await asyncio.wait_for(self.tab.downloaded.wait(), SETTLE_S)
        return await asyncio.to_thread((self.folder / self.tab.file_name).read_bytes)

    async def until(self, path: str, words: str) -> None:
        """Open a page until it says so: states come over other servers, in their time."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                await self.open(path)
                text = await self.tab.text()
                if re.search(words, text):
                    return
                await asyncio.sleep(0.3)

    async def where(self) -> str:
        """The address and the text of the page, for a message."""
        return f"{await self.tab.ask('location.href')}: {(await self.tab.text())[:3000]}"


def _field(name: str) -> str:
    return f'main [name="{name}"]:not([type=hidden])'
