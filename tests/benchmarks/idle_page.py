"""What a page costs that is only open: CPU of its main thread and its requests, beside an empty page of gradio.

`python -m tests.benchmarks.idle_page [--seconds 30]` prints a table. Time is counted on the thread's own clock, so that
other work on the machine changes little; the pages are measured one after the other in one Chromium.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page, Request

from ksh_studio.project.workspace import Workspace
from tests.journeys.browser import ROOT, chromium, demo_of, free_port, open_studio, until_open, visit

EMPTY_PAGE = """
import sys, gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    gr.Markdown("# empty", elem_id="stages")
page.launch(server_port=int(sys.argv[1]), quiet=True, share=False)
"""
TABS = ("caption", "train", "generate")
QUIET_SECONDS = 4
"""A page has settled when gradio has asked nothing for so long."""


class Cost(NamedTuple):
    """What an idle page cost, by the second."""

    core: float
    """Share of a core that its main thread took."""
    requests: float


@contextmanager
def empty_page() -> Iterator[str]:
    """A page of gradio with one line of text, in a process of its own; gives its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", EMPTY_PAGE, str(port)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        until_open(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(120)


def settle(page: Page, most: float = 90) -> None:
    """Wait until what the opening of the page has set off is done."""
    last = begun = time.monotonic()

    def asked(request: Request) -> None:
        nonlocal last
        last = time.monotonic() if "gradio_api" in request.url else last

    page.on("request", asked)
    while time.monotonic() - last < QUIET_SECONDS and time.monotonic() - begun < most:
        page.wait_for_timeout(200)
    page.remove_listener("request", asked)


def cost_of(page: Page, seconds: float) -> Cost:
    """What the page costs from now on, nobody touching it."""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    before = _task_seconds(tools.send("Performance.getMetrics"))
    page.wait_for_timeout(seconds * 1000)
    spent = _task_seconds(tools.send("Performance.getMetrics")) - before
    return Cost(spent / seconds, len(addresses) / seconds)


def _task_seconds(answer: dict) -> float:
    return {metric["name"]: metric["value"] for metric in answer["metrics"]}["TaskDuration"]


def costs(browser: Browser, studio: str, empty: str, seconds: float) -> dict[str, Cost]:
    """The empty page and each tab of the studio, by name."""
    pages = {"empty page": empty} | {tab: f"{studio}?tab={tab}" for tab in TABS}
    measured = {}
    for name, address in pages.items():
        page = visit(browser, address)
        settle(page)
        measured[name] = cost_of(page, seconds)
        page.context.close()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--drawings", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        workspace.prepare()
        demo_of(workspace, arguments.drawings, "a person")
        with open_studio(workspace) as studio, empty_page() as empty, chromium() as browser:
            measured = costs(browser, studio, empty, arguments.seconds)
    print(f"{'page':12} {'core':>7} {'requests a second':>18}")
    for name, cost in measured.items():
        print(f"{name:12} {cost.core:7.2%} {cost.requests:18.2f}")


if __name__ == "__main__":
    main()
