"""How much one request for pictures may ask for, so that neither time nor memory can grow without end. No torch."""

from ksh_studio.config import SettledGeneration
from ksh_studio.errors import StudioError

MOST_CHUNKS = 64
"""Chunks of 75 tokens in one prompt: 20,000 letters of ordinary words need about 60."""
MOST_WORK = 20_000
"""Pictures times steps times chunks times size in units of 512 x 512 pixels."""
_UNIT = 512 * 512


def check_chunks(chunks: int) -> None:
    """Raise StudioError for a prompt of more than MOST_CHUNKS chunks."""
    if chunks > MOST_CHUNKS:
        raise StudioError("generate.many_chunks", chunks=chunks, most=MOST_CHUNKS)


def check_work(request: SettledGeneration, chunks: int) -> None:
    """Raise StudioError when the request asks for more than MOST_WORK with a prompt of so many chunks."""
    steps = chunks * request.num_inference_steps * request.width * request.height / _UNIT
    if request.batch_size * steps > MOST_WORK:
        raise StudioError(
            "generate.much_work",
            count=request.batch_size,
            width=request.width,
            height=request.height,
            steps=request.num_inference_steps,
            chunks=chunks,
            times=f"{request.batch_size * steps / MOST_WORK:.1f}",
            most=max(1, int(MOST_WORK / steps)),
        )
