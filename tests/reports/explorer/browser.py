"""Chromium without a window, driven over a pipe by the Chrome DevTools protocol: no network."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-extensions --remote-debugging-pipe"
)
PATIENCE = 15.0
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


class Browser:
    """One page. ``asked`` are the addresses it requested, ``wrong`` what went wrong in it."""

    def __init__(self, profile: Path) -> None:
        reads, self._to = os.pipe()
        self._from, writes = os.pipe()
        command = f'exec "{CHROMIUM}" {FLAGS} --user-data-dir="{profile}" --window-size=1400,1000 about:blank'
        self._process = subprocess.Popen(
            ["bash", "-c", f"{command} 3<&{reads} 4>&{writes}"],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self.asked: list[str] = []
        self.wrong: list[str] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Performance.enable", timeDomain="threadTicks")

    def close(self) -> None:
        os.close(self._to)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command's result; events that come in between are noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            found = self._receive(until)
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])
            self._note(found)

    def _receive(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._from, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(message))

    def _note(self, event: dict[str, Any]) -> None:
        kind, what = event.get("method"), event.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.asked.append(what["request"]["url"])
        elif kind == "Runtime.exceptionThrown":
            self.wrong.append(json.dumps(what["exceptionDetails"])[:500])
        elif kind == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.wrong.append(what["entry"]["text"])
        elif kind == "Page.javascriptDialogOpening":
            self.wrong.append(f"dialog: {what['message']}")
            self.send("Page.handleJavaScriptDialog", accept=True)

    def run(self, expression: str) -> Any:
        """The value of an expression, awaited."""
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until an expression is true."""
        until = time.monotonic() + PATIENCE
        while not (found := self.run(condition)) and time.monotonic() < until:
            time.sleep(0.02)
        assert found, f"never true: {condition}\n{self.text()[:2000]}"

    def open(self, address: str) -> None:
        """Load an address, and wait until its page is drawn."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=address)
        self.wait("typeof assay === 'object' && assay.timings.shown !== undefined")

    def go(self, fragment: str) -> None:
        """Go to a page of the explorer that is open, as following a link does."""
        self.run(f"location.hash = {json.dumps(fragment)}")
        self.wait(f"document.getElementById('main').dataset.shown.startsWith({json.dumps(fragment.split('?')[0])})")

    def click(self, selector: str, containing: str = "") -> None:
        """Click the first visible element of a selector that holds a text."""
        found = self.run(
            f"""(() => {{ const one = [...document.querySelectorAll({json.dumps(selector)})].find(
              (node) => node.checkVisibility() && node.textContent.includes({json.dumps(containing)}));
              if (one) one.click(); return Boolean(one); }})()"""
        )
        assert found, f"no {selector} with {containing!r}"

    def type(self, selector: str, text: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.run(f"document.activeElement.value = {json.dumps(text)}")
        self.run("document.activeElement.dispatchEvent(new Event('input', {bubbles: true}))")

    def processor(self) -> float:
        """Milliseconds of processor that the page has taken since it was opened: script, style, layout, painting."""
        found = {one["name"]: one["value"] for one in self.send("Performance.getMetrics")["metrics"]}
        return 1000 * float(found["TaskDuration"])

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select element by its value."""
        self.run(
            f"""(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)};
            one.dispatchEvent(new Event('change')); }})()"""
        )

    def press(self, key: str) -> None:
        code = {"Enter": 13, "Tab": 9, " ": 32, "ArrowRight": 39, "ArrowLeft": 37, "End": 35}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def text(self) -> str:
        """What the page says."""
        return str(self.run("document.getElementById('main')?.innerText ?? ''"))
