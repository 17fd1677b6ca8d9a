from types import SimpleNamespace

import pytest

from ksh_studio.config import setting_sentences
from ksh_studio.locales import sentences
from ksh_studio.ui.parts.languages import frontend_module, json_texts, language_of, page_text, page_texts


def request(cookie=None, accept=""):
    cookies = {"ksh_language": cookie} if cookie else {}
    return SimpleNamespace(cookies=cookies, headers={"accept-language": accept}, query_params={})


@pytest.mark.parametrize(
    ("cookie", "accept", "language"),
    [
        (None, "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        (None, "en-US,en;q=0.9,ko;q=0.8", "en"),
        (None, "fr-FR,ko;q=0.5", "ko"),
        (None, "KO-KR,EN;q=0.9", "ko"),
        (None, "EN-US,ko;q=0.9", "en"),
        (None, "", "en"),
        ("en", "ko-KR", "en"),
        ("ko", "en-US", "ko"),
        ("xx", "ko", "ko"),
    ],
)
def test_the_choice_counts_more_than_the_browser(cookie, accept, language):
    assert language_of(request(cookie, accept)) == language


def test_every_setting_speaks_korean():
    korean = sentences("ko")
    missing = [key for key in setting_sentences() if not any("가" <= letter <= "힣" for letter in korean.get(key, ""))]
    untranslated = {"settings.generate.lora", "settings.train.clip_skip", "settings.generate.clip_skip",
                    "settings.caption.top_p", "settings.project.trigger.info"}  # fmt: skip
    assert set(missing) <= untranslated


def test_texts_that_the_browser_translates_have_no_places_to_fill():
    texts = page_texts().translations_dict
    assert set(texts["en"]) == set(texts["ko"])
    assert not any("{" in text or "<" in text for text in texts["en"].values())
    assert texts["en"]["settings.train.rank.info"].endswith(
        "; empty: the base model's own for this number of drawings."
    )


def test_an_unknown_text_is_found_when_the_page_is_built():
    with pytest.raises(KeyError):
        page_text("ui.nothing_of_the_kind")


def test_texts_for_a_script_cannot_end_it():
    assert "<" not in json_texts("caption_tab.grid_") and '"empty"' in json_texts("caption_tab.grid_")


def test_this_gradio_has_the_function_that_switches_its_language():
    assert frontend_module().startswith("core-")
