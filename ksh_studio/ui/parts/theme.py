"""How the page looks: quiet greys, one accent, the system's own fonts for both scripts."""

from typing import Any

import gradio as gr

from ksh_studio import ASSETS

STYLES = ASSETS / "css" / "studio.css"
FONTS = ("Pretendard", "Inter", "system-ui", "Segoe UI", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans CJK KR",
         "Noto Sans KR", "sans-serif")  # fmt: skip
CODE_FONTS = ("ui-monospace", "SFMono-Regular", "Consolas", "Noto Sans Mono CJK KR", "monospace")

READABLE = {
    # Help texts, labels and placeholders have a contrast of at least 4.5:1 on every background of the page.
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "block_title_text_color": "*neutral_700",
    "block_label_text_color": "*neutral_700",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "color_accent": "*primary_600",
    "link_text_color": "*primary_600",
    "link_text_color_dark": "*primary_300",
    "link_text_color_visited": "*primary_700",
    "link_text_color_visited_dark": "*primary_300",
}


def theme() -> gr.themes.Base:
    """The page's theme; nothing is fetched from elsewhere."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        font=FONTS,
        font_mono=CODE_FONTS,
    ).set(
        block_label_text_weight="500",
        block_title_text_weight="500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        button_large_text_size="*text_md",
        button_large_text_weight="500",
        **READABLE,
    )


def html(elem_id: str, **options: Any) -> gr.HTML:
    """A place for HTML written by `markup`; takes no room while it is empty."""
    return gr.HTML(elem_id=elem_id, elem_classes="ksh-html", **options)
