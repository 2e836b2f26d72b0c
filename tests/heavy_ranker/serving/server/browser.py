"""A headless Chromium that a test drives as a user would: keys, clicks, files, sizes, colors.

It speaks the DevTools protocol over two pipes (--remote-debugging-pipe), which takes no WebSocket
library and opens no port: https://chromedevtools.github.io/devtools-protocol.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--hide-scrollbars",
)
# The browser reads commands from descriptor 3 and writes to 4.
_LAUNCHER = """
import os, sys
commands, answers = int(sys.argv[1]), int(sys.argv[2])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_PATIENCE = 90.0  # seconds


class Browser:
  """One tab. Close it after use; `errors` holds what scripts threw since the last `open`."""

  def __init__(self, folder: Path):
    command_reader, self._commands = os.pipe()
    self._answers, answer_writer = os.pipe()
    # Copies have numbers above 4, so that moving one to 3 cannot hit the other.
    ends = os.dup(command_reader), os.dup(answer_writer)
    arguments = [
      BROWSER,
      *FLAGS,
      "--remote-debugging-pipe",
      f"--user-data-dir={folder / 'profile'}",
      "about:blank",
    ]
    self._log = folder / "browser.log"
    with self._log.open("wb") as log:
      self._process = subprocess.Popen(
        [sys.executable, "-S", "-c", _LAUNCHER, *map(str, ends), *arguments],
        pass_fds=ends,
        stdout=log,
        stderr=log,
      )
    for end in (command_reader, answer_writer, *ends):
      os.close(end)
    self.errors = []
    self._buffer = b""
    self._number = 0
    self._session = None
    target = self.call("Target.createTarget", url="about:blank")["targetId"]
    self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Runtime", "Page", "DOM"):
      self.call(f"{domain}.enable")

  def close(self):
    with contextlib.suppress(OSError):
      os.close(self._commands)
    self._process.kill()
    self._process.wait()
    os.close(self._answers)

  def call(self, method: str, **parameters) -> dict:
    """Sends a command and returns its result."""
    self._number += 1
    message = {"id": self._number, "method": method, "params": parameters}
    if self._session:
      message["sessionId"] = self._session
    os.write(self._commands, json.dumps(message).encode() + b"\0")
    deadline = time.monotonic() + _PATIENCE
    while True:
      answer = self._read(deadline)
      if answer.get("method") == "Runtime.exceptionThrown":
        self.errors.append(answer["params"]["exceptionDetails"])
      if answer.get("id") == self._number:
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

  def _read(self, deadline: float) -> dict:
    while b"\0" not in self._buffer:
      ready, _, _ = select.select([self._answers], [], [], max(deadline - time.monotonic(), 0))
      assert ready, "the browser does not answer"
      part = os.read(self._answers, 1 << 16)
      assert part, f"the browser ended with {self._process.poll()}, see {self._log}"
      self._buffer += part
    message, self._buffer = self._buffer.split(b"\0", 1)
    return json.loads(message)

  def open(self, url: str):
    """Loads a page anew, also where only the part after # differs."""
    self.call("Page.navigate", url="about:blank")
    self.wait_for("location.href === 'about:blank'")
    self.errors.clear()
    self.call("Page.navigate", url=url)
    self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")

  def evaluate(self, expression: str):
    """Returns an expression's value, by way of JSON."""
    result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
    assert "exceptionDetails" not in result, result["exceptionDetails"]
    return result["result"].get("value")

  def wait_for(self, condition: str):
    deadline = time.monotonic() + _PATIENCE
    while not self.evaluate(condition):
      assert time.monotonic() < deadline, f"never true: {condition}"
      time.sleep(0.02)

  def focus(self, selector: str):
    quoted = json.dumps(selector)
    self.evaluate(f"document.querySelector({quoted}).focus()")
    assert self.evaluate(f"document.activeElement === document.querySelector({quoted})"), selector

  def press(self, key: str, code: int = 0):
    """Presses a key that has a name, such as ArrowRight (39), Tab (9) or Enter (13)."""
    text = {"text": "\r"} if key == "Enter" else {}
    common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    self.call("Input.dispatchKeyEvent", type="keyDown", **common, **text)
    self.call("Input.dispatchKeyEvent", type="keyUp", **common)

  def type_into(self, selector: str, text: str):
    """Replaces what a field holds by a text, as typed."""
    self.focus(selector)
    self.evaluate("document.activeElement.select()")
    self.call("Input.insertText", text=text)

  def choose_file(self, selector: str, path: Path):
    root = self.call("DOM.getDocument")["root"]["nodeId"]
    node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
    self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

  def look(self, width: int, height: int, is_dark: bool = False, is_still: bool = True):
    """Sets the window's size, the color scheme and whether motion is unwelcome."""
    self.call(
      "Emulation.setDeviceMetricsOverride",
      width=width,
      height=height,
      deviceScaleFactor=1,
      mobile=False,
    )
    features = {
      "prefers-color-scheme": "dark" if is_dark else "light",
      "prefers-reduced-motion": "reduce" if is_still else "no-preference",
    }
    pairs = [{"name": name, "value": value} for name, value in features.items()]
    self.call("Emulation.setEmulatedMedia", features=pairs)

  def picture(self, path: Path):
    """Writes the whole page as a PNG."""
    data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
    path.write_bytes(base64.b64decode(data))
