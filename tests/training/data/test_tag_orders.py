import torch

from ksh_studio.config import Trigger
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.training.data.tag_orders import tag_orders

END, FRONT = Trigger(), Trigger(position="front")
TAGS = "1girl, solo, blue hair, smile, hat, tree"


def tags(caption, trigger):
    return [tag.strip() for tag in trigger.strip(caption).split(",")]


def test_a_caption_of_tags_has_eight_orders_and_the_first_is_its_own():
    own = END.apply(TAGS)
    others = tag_orders(own, END, keep=2)
    assert len({own, *others}) == 8 and own not in others
    for caption in others:
        assert sorted(tags(caption, END)) == sorted(tags(own, END)) and tags(caption, END)[:2] == ["1girl", "solo"]
    assert others == tag_orders(own, END, keep=2)


def test_the_trigger_stays_where_it_is():
    for trigger, stands in ((END, str.endswith), (FRONT, str.startswith)):
        others = tag_orders(trigger.apply(TAGS), trigger, keep=1)
        assert len(others) == 7
        assert all(stands(caption, trigger.text) and caption.count(trigger.text) == 1 for caption in others)
        assert all(tags(caption, trigger)[0] == "1girl" for caption in others)


def test_sentences_and_few_tags_have_as_many_orders_as_there_are():
    assert tag_orders("a girl with blue hair", END, keep=0) == ()
    assert tag_orders(END.apply("a girl, smiling"), END, keep=1) == ()
    assert tag_orders("", END, keep=0) == tag_orders(END.apply(""), END, keep=0) == ()
    assert tag_orders("a, b", Trigger(text=""), keep=0) == ("b, a",)
    assert set(tag_orders("x, a, b", Trigger(text=""), keep=1)) == {"x, b, a"}
    assert len(tag_orders("a, b, c", Trigger(text=""), keep=0)) == 5


def test_orders_are_embedded_once_and_chosen_by_row(ready, project, drawings):
    with Catalogue(project) as catalogue:
        catalogue.save_caption(drawings[0].id, TAGS)
        catalogue.save_caption(drawings[1].id, "hat, tree, sun")
    plain, calls, _ = ready()
    assert calls["captions"] == 6 and plain.captions.tolist() == [[0], [1], [2], [3], [4]]
    data, calls, _ = ready(shuffle_tags=True, keep_tags=1)
    assert calls == {"pictures": 0, "captions": 7 + 1}  # "hat, sun, tree" is the only other order of the second
    assert ready(shuffle_tags=True, keep_tags=1)[1]["captions"] == 0
    assert data.captions.shape == (5, 8) and data.empty == len(data.embeddings) - 1 == 5 + 7 + 1
    assert torch.equal(data.embeddings[:5], plain.embeddings[:5])
    assert torch.equal(data.embeddings[data.empty], plain.embeddings[plain.empty])
    rows = {item.id: data.captions[n].tolist() for n, item in enumerate(data.items)}
    assert [len(set(rows[drawing.id])) for drawing in drawings] == [8, 2, 1, 1, 1]
    different = data.embeddings[rows[drawings[0].id]].flatten(1).unique(dim=0)
    assert len(different) == 8
