"""A real studio in a process of its own and a real Chromium in front of it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ksh_studio import ASSETS
from ksh_studio.config import ProjectSettings
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project, Workspace

ROOT = Path(__file__).resolve().parent.parent.parent
# Playwright waits five seconds: a busy machine needs more until the page has what it shows.
expect.set_options(timeout=120_000)
DEMO = ASSETS / "demo" / "drawings"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def demo_of(workspace: Workspace, drawings: int, captions: str = "") -> Project:
    """The demo project with the first few of its drawings, pinned to pocket."""
    project = Project(workspace.projects_folder / "demo", workspace)
    project.save_settings(ProjectSettings(name="Demo", base_model="pocket", captioner="pocket"))
    for _ in import_drawings(sorted(DEMO.glob("*.png"))[:drawings], project):
        pass
    with Catalogue(project) as catalogue:
        for drawing in catalogue.drawings() if captions else []:
            catalogue.save_caption(drawing.id, captions)
    return project


@contextmanager
def open_studio(workspace: Workspace, *arguments: str, port: int = 0) -> Iterator[str]:
    """`python studio.py` on this workspace until the block ends; gives its address. Port 0: any free one."""
    port = port or free_port()
    command = [sys.executable, "studio.py", "--workspace", str(workspace.root), "--port", str(port), "--no-browser"]
    process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    try:
        until_open(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(120)


def until_open(process: subprocess.Popen, address: str) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            pytest.fail(process.stdout.read().decode())
        try:
            httpx.get(address, timeout=30)
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    pytest.fail("the studio did not open")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium; without one the test is skipped, but fails in CI."""
    found = shutil.which("chromium")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def visit(browser: Browser, address: str, **context: object) -> Page:
    """A fresh visitor's page, its first tab shown."""
    page = browser.new_context(locale="en-US", **context).new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.wait_for_selector("#stages [role=tablist]")
    return page


def open_sheet(page: Page, name: str) -> None:
    """Press the button of the head that opens this sheet."""
    page.locator(f"[data-sheet={name}]").click()
    expect(page.locator(f"#{name}")).to_be_visible()
