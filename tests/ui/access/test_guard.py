import json
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.utils import error_payload

from ksh_studio.errors import StudioError
from ksh_studio.locales import translate
from ksh_studio.ui.access.guard import emptied_before_raised, guarded, guarded_call


def request(language):
    inner = SimpleNamespace(headers={"host": "127.0.0.1"}, cookies={"ksh_language": language}, query_params={})
    return gr.Request(inner, username=None, session_hash="x")


def refusing(visit):
    raise StudioError("caption_tab.too_long", limit="<b>7</b>")


def streaming(visit):
    yield "first"
    raise StudioError("caption_tab.no_folder")


def failing(visit):
    raise ZeroDivisionError


def refusal(run):
    with pytest.raises(gr.Error) as caught:
        run()
    return error_payload(caught.value, show_error=False)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_refusal_is_an_error_for_other_programs_and_holds_every_language_for_the_page(studio, language):
    payload = refusal(lambda: guarded(studio, "look", refusing)(request(language)))
    assert payload["error"] == translate("caption_tab.too_long", language, limit="<b>7</b>")
    texts = {each: translate("caption_tab.too_long", each, limit="<b>7</b>") for each in ("en", "ko")}
    assert json.loads(payload["title"]) == texts


def test_gradio_shows_no_refusal_a_second_time(studio):
    assert refusal(lambda: guarded(studio, "look", refusing)(request("en")))["visible"] is False


def test_a_stream_that_is_refused_later_says_so_too(studio):
    answers = guarded(studio, "look", streaming)(request("en"))
    assert next(answers) == "first"
    assert refusal(lambda: next(answers))["error"] == translate("caption_tab.no_folder")


def test_any_other_error_is_a_sentence_that_names_the_terminal(studio, caplog):
    assert "terminal" in refusal(lambda: guarded(studio, "look", failing)(request("en")))["error"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("handler", "key"), [(refusing, "caption_tab.too_long"), (failing, "messages.unexpected")])
def test_a_call_of_a_script_is_answered_in_every_language(studio, handler, key):
    answer = guarded_call(studio, "look", lambda visit, values: handler(visit))([], request("ko"))
    texts = {each: translate(key, each, limit="<b>7</b>") for each in ("en", "ko")}
    assert answer == {"ok": False, "message": texts["ko"], "texts": texts}


def test_the_progress_goes_before_the_error_comes():
    def events():
        yield "an event"
        raise StudioError("caption_tab.no_folder")

    seen = []
    with pytest.raises(StudioError):
        seen.extend(iter_into(seen, emptied_before_raised(events())))
    assert seen == ["an event", ""]


def iter_into(seen, events):
    for event in events:
        seen.append(event)
    return []
