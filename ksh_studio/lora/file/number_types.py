"""The number types of tensors in a safetensors file, and which of them a LoRA's weights can have (no torch)."""

BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
"""Bytes of one number, for every type whose numbers have whole bytes."""
WEIGHTS = frozenset(("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"))
"""Whole numbers are not among them: weights stored so need a scale that a LoRA file does not have."""
SINGLE_NUMBERS = WEIGHTS | {"U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}
"""The types of an alpha."""
