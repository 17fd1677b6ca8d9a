"""What a file is by its name or its first bytes: a drawing, or something else, and then what an artist does about it.

Reasons are the keys of sentences.
"""

from pathlib import PurePosixPath

PICTURES = frozenset(".png .apng .jpg .jpeg .jpe .jfif .pjpeg .webp .gif .bmp .dib".split())
"""Endings of the formats that are read."""

ARCHIVES = frozenset(
    (
        ".zip .7z .rar .alz .egg .tar .gz .tgz .bz2 .tbz .tbz2 .xz .txz .zst .lz .lzma .lzh .lha .cab .iso .cbr .cbz"
        " .cb7 .z01 .001 .arj .ace .jar .dmg .zipx"
    ).split()
)
"""Endings of archives; only a zip is opened, under any of these names."""

_REASONS_BY_ENDING = {
    "reason_clip_studio": ".clip .lip .cmc",
    "reason_sai": ".sai .sai2",
    "reason_photoshop": ".psd .psb",
    "reason_krita": ".kra .krz",
    "reason_gimp": ".xcf",
    "reason_medibang": ".mdp",
    "reason_procreate": ".procreate",
    "reason_paint_program": (
        ".ora .afphoto .afdesign .pdn .ase .aseprite .psp .pspimage .rif .oci .wpb .ipv .tvpp .tlv .sketch .fig .blend"
        " .pixil .pyxel .spp .fla .xd"
    ),
    "reason_vector": ".svg .svgz .ai .eps .emf .wmf .cdr",
    "reason_heic": ".heic .heif .hif",
    "reason_avif": ".avif",
    "reason_tiff": ".tif .tiff",
    "reason_jpeg_xl": ".jxl",
    "reason_jpeg_2000": ".jp2 .j2k .jpf .jpx .jpm .j2c .jpc",
    "reason_tga": ".tga .icb .vda .vst",
    "reason_icon": ".ico .icns .cur",
    "reason_raw": ".cr2 .cr3 .crw .nef .nrw .arw .dng .raf .orf .rw2 .pef .srw .3fr .raw",
    "reason_format": ".exr .hdr .dds .fits .fit .fpx .pcx .ppm .pgm .pbm .pnm .qoi .djvu .sgi .ras",
    "reason_pdf": ".pdf",
    "reason_video": ".mp4 .mov .avi .mkv .webm .wmv .m4v .mpg .mpeg .flv .3gp",
    "reason_archive": " ".join(sorted(ARCHIVES)),
    "reason_spreadsheet": ".xlsx .xls .xlsm .ods .numbers",
    "reason_document": ".doc .docx .hwp .hwpx .odt .rtf .pages .ppt .pptx .md",
    "reason_parquet": ".parquet .arrow",
    "reason_model": ".safetensors .ckpt .pt .pth .onnx .gguf .npz .npy",
}
_BY_ENDING = {ending: f"import.{name}" for name, endings in _REASONS_BY_ENDING.items() for ending in endings.split()}

_BY_FIRST_BYTES = (
    (b"CSFCHUNK", "import.reason_clip_studio"),
    (b"SAI-CANVAS", "import.reason_sai"),
    (b"8BPS", "import.reason_photoshop"),
    (b"gimp xcf", "import.reason_gimp"),
    (b"mdipack", "import.reason_medibang"),
    (b"II*\0", "import.reason_tiff"),
    (b"MM\0*", "import.reason_tiff"),
    (b"\xff\x0a", "import.reason_jpeg_xl"),
    (b"\0\0\0\x0cJXL ", "import.reason_jpeg_xl"),
    (b"\0\0\0\x0cjP  ", "import.reason_jpeg_2000"),
    (b"\xff\x4f\xff\x51", "import.reason_jpeg_2000"),
    (b"\0\0\1\0", "import.reason_icon"),
    (b"%PDF", "import.reason_pdf"),
    (b"SIMPLE  =", "import.reason_format"),
    (b"v/1\1", "import.reason_format"),
    (b"qoif", "import.reason_format"),
    (b"\xd0\xcf\x11\xe0", "import.reason_format"),
    (b"\x1a\x45\xdf\xa3", "import.reason_video"),
    (b"PK\3\4", "import.reason_archive"),
)
_OTHER_ARCHIVES = (
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\7",
    b"ALZ\1",
    b"EGGA",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
)
_MEDIA_BRANDS = {
    b"avif": "import.reason_avif",
    b"avis": "import.reason_avif",
    b"heic": "import.reason_heic",
    b"heix": "import.reason_heic",
    b"heim": "import.reason_heic",
    b"heis": "import.reason_heic",
    b"hevc": "import.reason_heic",
    b"mif1": "import.reason_heic",
    b"msf1": "import.reason_heic",
    b"crx ": "import.reason_raw",
}
_FOLDERS = {
    "@eadir": "import.reason_thumbnails",
    ".thumbnails": "import.reason_thumbnails",
    ".@__thumb": "import.reason_thumbnails",
    "@__thumb": "import.reason_thumbnails",
    ".picasaoriginals": "import.reason_thumbnails",
    "#recycle": "import.reason_bin",
    "@recycle": "import.reason_bin",
    "$recycle.bin": "import.reason_bin",
    "recycler": "import.reason_bin",
    ".trashes": "import.reason_bin",
    ".trash": "import.reason_bin",
    "#snapshot": "import.reason_system",
    "__macosx": "import.reason_system",
    "system volume information": "import.reason_system",
    "lost+found": "import.reason_system",
    "__pycache__": "import.reason_system",
    "sample": "import.reason_sample",
    "samples": "import.reason_sample",
}
_SYSTEM_FILES = frozenset(("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", ".ds_store", "icon\ufffd"))


def folder_reason(name: str) -> str | None:
    """Why the files of a folder with this name are no drawings; None when they may be."""
    key = name.casefold()
    if key.startswith(".trash-"):
        return "import.reason_bin"
    return _FOLDERS.get(key) or ("import.reason_hidden" if key.startswith(".") else None)


def file_reason(name: str) -> str | None:
    """Why a file with this name is neither a drawing nor captions, whatever it holds; None when it may be."""
    key = name.casefold()
    if key in _SYSTEM_FILES or key.startswith("._"):
        return "import.reason_system"
    return "import.reason_hidden" if key.startswith(".") else None


def ending_reason(name: str) -> str | None:
    """What kind of file this is by the ending of its name, when that is a kind which is not read."""
    return _BY_ENDING.get(PurePosixPath(name).suffix.lower())


def content_reason(head: bytes) -> str | None:
    """What kind of file this is by its first bytes, at least 16, when that is a known kind which is not read."""
    if head[4:8] == b"ftyp":
        return _MEDIA_BRANDS.get(head[8:12], "import.reason_video")
    if is_other_archive(head):
        return "import.reason_archive"
    return next((reason for begin, reason in _BY_FIRST_BYTES if head.startswith(begin)), None)


def is_other_archive(head: bytes) -> bool:
    """Whether a file begins as an archive that is no zip does: 7z, rar, alz, egg, gz, bz2, xz or zst."""
    return head.startswith(_OTHER_ARCHIVES)


def looks_like_a_picture(head: bytes) -> bool:
    """Whether the first 16 bytes of a file are those of a PNG, JPEG, GIF or WebP, whatever its name is."""
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8"))


def masks_among(paths: list[str]) -> set[str]:
    """The pictures that are masks of other pictures here, by the names that training programs give them.

    `a-masklabel.png` (OneTrainer) always is one; `a_mask.png`, `a-mask.png`, `a.mask.png` and `masks/a.png` are when
    there is a picture `a` for them.
    """
    stems = {str(PurePosixPath(path).with_suffix("")).casefold() for path in paths}
    return {path for path in paths if _is_mask(PurePosixPath(path.casefold()), stems)}


def _is_mask(path: PurePosixPath, stems: set[str]) -> bool:
    if path.stem.endswith(("-masklabel", "-condlabel")):
        return True
    if any(path.stem.endswith(end) and str(path.with_name(path.stem.removesuffix(end))) in stems for end in _MASK_ENDS):
        return True
    return path.parent.name in ("mask", "masks") and str(path.parent.parent / path.stem) in stems


_MASK_ENDS = ("_mask", "-mask", ".mask")
