import json

import pytest
from starlette.requests import Request

from ksh_studio.locales import sentence, translate
from ksh_studio.ui.server.refusals import refusal


def request(**headers):
    return Request({"type": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]})


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_script_gets_the_sentence_in_every_language(language):
    answer = refusal(request(cookie=f"ksh_language={language}"), sentence("access.login"), 401, {"Retry-After": "3"})
    content = json.loads(answer.body)
    assert (answer.status_code, answer.headers["retry-after"]) == (401, "3")
    assert content["error"] == translate("access.login", language)
    assert json.loads(content["title"]) == {each: translate("access.login", each) for each in ("en", "ko")}


def test_a_page_of_its_own_shows_the_sentence_alone():
    answer = refusal(request(accept="text/html,*/*", cookie="ksh_language=ko"), sentence("access.login"), 401)
    assert answer.body.decode() == translate("access.login", "ko")
