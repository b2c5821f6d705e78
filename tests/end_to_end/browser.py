"""A headless Chromium, driven over WebDriver.

Source: https://www.w3.org/TR/webdriver2/, https://developer.chrome.com/docs/chromedriver
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1100,1400",
)
STARTED = "ChromeDriver was started successfully on port "


class Browser:
    """One window."""

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self, page: Path) -> None:
        self._post("url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        """Run the body of a function, such as ``return document.title``; return what it returns."""
        return self._post("execute/sync", {"script": script, "args": []})

    def point_at(self, selector: str) -> None:
        """Move the mouse over the first element that a CSS selector finds."""
        element = self._post("element", {"using": "css selector", "value": selector})
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView()")
        move = {"type": "pointerMove", "x": 0, "y": 0, "duration": 0, "origin": element}
        mouse = {"type": "pointer", "id": "mouse", "actions": [move]}
        self._post("actions", {"actions": [mouse]})

    def emulate(self, width: int, color_scheme: str) -> None:
        """Make the window as wide as a device, and prefer ``light`` or ``dark`` pages."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        features = [{"name": "prefers-color-scheme", "value": color_scheme}]
        for command, parameters in (
            ("Emulation.setDeviceMetricsOverride", size),
            ("Emulation.setEmulatedMedia", {"features": features}),
        ):
            self._post("goog/cdp/execute", {"cmd": command, "params": parameters})

    def console(self) -> list[str]:
        """Return the messages on the console since the last call."""
        return [entry["message"] for entry in self._post("se/log", {"type": "browser"})]

    def requested(self) -> list[str]:
        """Return the URLs that the page has requested since the last call."""
        entries = self._post("se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def screenshot(self) -> bytes:
        """Return the window as PNG."""
        answer = requests.get(f"{self._url}/screenshot", timeout=30).json()
        return base64.b64decode(answer["value"])

    def _post(self, command: str, body: dict[str, Any]) -> Any:
        answer = requests.post(f"{self._url}/{command}", json=body, timeout=30)
        value = answer.json()["value"]
        assert answer.ok, value
        return value


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield a new browser with an empty profile; skip the test if no browser is installed."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    path = os.pathsep.join([os.environ.get("PATH", ""), os.environ.get("CHROMEWEBDRIVER", "")])
    driver = shutil.which("chromedriver", path=path)
    if not chromium or not driver:
        pytest.skip("there is no chromium with its chromedriver on the PATH")
    with (
        tempfile.TemporaryDirectory(prefix="chromium-") as profile,
        subprocess.Popen((driver, "--port=0"), stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            url = f"http://127.0.0.1:{_port(process)}/session"
            session = f"{url}/{_session(url, chromium, profile)}"
            yield Browser(session)
            requests.delete(session, timeout=30)
        finally:
            process.terminate()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(STARTED):
            return int(line.removeprefix(STARTED).rstrip(".\n"))
    pytest.fail("chromedriver did not start")


def _session(url: str, chromium: str, profile: str) -> str:
    capabilities = {
        "goog:chromeOptions": {
            "binary": chromium,
            "args": [*FLAGS, f"--user-data-dir={profile}"],
        },
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    body = {"capabilities": {"alwaysMatch": capabilities}}
    value = requests.post(url, json=body, timeout=60).json()["value"]
    assert "sessionId" in value, value
    session: str = value["sessionId"]
    return session
