"""The page learns in one short answer whether what its tabs show has changed."""

import asyncio
import json

import httpx
import pytest
from starlette.applications import Starlette

from ksh_studio.config import ProjectSettings, TrainConfig
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.start import create_job
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.app import VERSIONS
from ksh_studio.ui.server.changes import change_route
from tests.jobs.written_jobs import append, step


@pytest.fixture
def ask(workspace, no_probe):
    """Ask for the changes of a project, as the owner at home or as a visitor of a Space."""
    studios = {mode: Studio(workspace, mode, Worker(workspace), ()) for mode in ("local", "space")}

    def ask(slug, mode="local", versions=VERSIONS, **headers):
        app = Starlette(routes=[change_route(studios[mode], versions)])

        async def send():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
                return await client.get(f"/ksh/{slug}/changes", headers=headers)

        return asyncio.run(send())

    return ask


@pytest.fixture
def mine(workspace, drawings):
    project = workspace.create_project(ProjectSettings(name="Mine", base_model="pocket", captioner="pocket"))
    list(import_drawings(drawings, project))
    return project


def test_the_answer_is_short_and_the_same_until_something_changes(ask, mine):
    first = ask(mine.slug)
    assert first.status_code == 200 and len(first.text) <= 32
    assert first.headers["cache-control"] == "no-store"
    assert ask(mine.slug).text == first.text
    answers = [first.text]
    with Catalogue(mine) as catalogue:
        catalogue.save_caption(next(one.id for one in catalogue.drawings() if not one.caption), "a blue square")
    answers.append(ask(mine.slug).text)
    job = create_job(mine, "train", TrainConfig())
    answers.append(ask(mine.slug).text)
    append(job, step(1))
    answers.append(ask(mine.slug).text)
    answers.append(ask(mine.slug, **{"accept-language": "ko"}).text)
    assert len(set(answers)) == len(answers)
    assert ask(mine.slug).text == answers[3]


def test_an_error_and_its_end_are_changes(ask, mine):
    outcomes = iter(
        ["well", StudioError("job.none"), StudioError("job.none"), ValueError("odd"), OSError(5, "odd"), "well"]
    )

    def version(*_):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    well, refused, again, wrong, disk, after = (ask(mine.slug, versions=[version]).text for _ in range(6))
    assert well == after and refused == again
    assert len({well, refused, wrong, disk}) == 4


def test_a_project_that_there_is_not_is_an_answer_and_a_visitor_without_a_cookie_gets_none(ask, mine):
    assert ask("nothing").status_code == 200
    assert ask("nothing").text != ask(mine.slug).text
    refused = ask(mine.slug, mode="space")
    assert refused.status_code == 403
    assert set(json.loads(refused.json()["title"])) == {"en", "ko"}
