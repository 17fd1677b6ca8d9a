import json

from ksh_studio.locales import sentence
from ksh_studio.ui.parts.messages import as_title, done, in_languages


def test_a_message_holds_every_language():
    refused = sentence("train_tab.no_drawings")
    assert in_languages(refused) == {"en": refused.text("en"), "ko": refused.text("ko")}
    assert json.loads(as_title(refused)) == in_languages(refused) == json.loads(done(refused))["texts"]


def test_the_same_message_twice_is_another_value_so_that_it_is_shown_again():
    assert done(sentence("caption_tab.undone")) != done(sentence("caption_tab.undone"))
