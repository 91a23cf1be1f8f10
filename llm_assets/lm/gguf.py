"""Hugging Face folder → GGUF file, for llama.cpp: tensors, shape, tokenizer and chat template, nothing left to its defaults.

What goes wrong elsewhere, and is decided here: the pre-tokenizer is named (without it llama.cpp falls back to one that splits
text otherwise, case B39); no BOS is added; control tokens are marked as such; a tied head is one tensor, which the file says
(case B38); embedding rows without a token get an unused one, so that counts agree (case B41); rows that a block format can't
store are refused, not stored otherwise in silence (case B42).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.lm import tokenizer as tokenizers

Array = npt.NDArray[np.float32]

# Our name → type of the matrices, type of the embedding (the head too, where tied), and the file type that readers show.
# A head of 4 bits costs more accuracy than all layers together, and llama.cpp's own Q4_0 files keep it finer as well. In F16
# too the head decides: on one demo model log-probabilities moved by up to .0122 nat with it in F16, .0043 with it in F32, and
# 4e-5 with everything in F32.
FORMATS: Mapping[str, tuple[gguf.GGMLQuantizationType, gguf.GGMLQuantizationType, gguf.LlamaFileType]] = {
    "f16": (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
_ARCHITECTURES = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen3": gguf.MODEL_ARCH.QWEN3}
_EMBEDDINGS = ("token_embd.weight", "output.weight")


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as it is in a file."""

    name: str
    type: str
    shape: tuple[int, ...]  # rows first
    n_weights: int
    n_bytes: int


def write(folder: Path, target: Path, kind: str, *, name: str, license_id: str = "cc-by-sa-4.0") -> None:
    """Write one file. ``kind``: f16, q8_0 or q4_0.

    Raises ``InputError`` for an architecture that isn't supported, tokens without an embedding row, a tensor that has no GGUF
    name, or rows that the format's blocks of 32 don't divide.
    """
    config = read_json(folder / "config.json")
    architecture = str(config.get("model_type"))
    if architecture not in _ARCHITECTURES:
        raise InputError(f"{folder} is a {architecture!r} model; the export knows {', '.join(_ARCHITECTURES)}")
    temporary = target.with_name(f".{target.name}.tmp")
    writer = gguf.GGUFWriter(temporary, architecture)
    try:
        _add_shape(writer, config, name, license_id)
        writer.add_file_type(FORMATS[kind][2])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_tokenizer(writer, folder, config)
        for tensor_name, array in _tensors(folder, config, _ARCHITECTURES[architecture]):
            stored = _stored_type(tensor_name, array, kind)
            data = array if stored is gguf.GGMLQuantizationType.F32 else gguf.quants.quantize(array, stored)
            writer.add_tensor(tensor_name, data, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    except BaseException:
        writer.close()
        temporary.unlink(missing_ok=True)
        raise
    writer.close()
    temporary.replace(target)


def _add_shape(writer: Any, config: dict[str, Any], name: str, license_id: str) -> None:
    head_dim = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    rope = config.get("rope_parameters") or {"rope_type": "default", "rope_theta": config.get("rope_theta", 10_000.0)}
    if rope.get("rope_type", "default") != "default":
        raise InputError(f"rotary embedding {rope['rope_type']!r} is not supported by the export; allowed: default")
    writer.add_name(name)
    writer.add_license(license_id)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_rope_dimension_count(head_dim)
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    engine = tokenizers.load_plain(folder)
    rows, ids = int(config["vocab_size"]), tokenizers.vocab_size(engine)
    if ids > rows:
        raise InputError(f"{folder}: the tokenizer has {ids} ids, the embedding only {rows} rows; train with this tokenizer")
    control = {number for number, token in engine.get_added_tokens_decoder().items() if token.special}
    tokens, types = [], []
    for number in range(rows):
        token = engine.id_to_token(number) if number < ids else None
        tokens.append(f"[unused {number}]" if token is None else token)
        kind = gguf.TokenType.UNUSED if token is None else gguf.TokenType.NORMAL
        types.append(gguf.TokenType.CONTROL if number in control else kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizers.LLAMA_CPP_PRE)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(_merges(folder))
    _, separator = tokenizers.separator(folder, engine)
    ends = _end_ids(folder, config)
    writer.add_eos_token_id(ends[0])
    writer.add_eot_token_id(ends[0])
    writer.add_bos_token_id(separator)  # never added, but llama.cpp would else take id 11 for it
    writer.add_pad_token_id(engine.token_to_id(tokenizers.PAD))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    template = folder / "chat_template.jinja"
    if template.is_file():
        writer.add_chat_template(template.read_text("utf-8"))


def _merges(folder: Path) -> list[str]:
    merges = read_json(folder / tokenizers.TOKENIZER_FILE)["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def _end_ids(folder: Path, config: dict[str, Any]) -> list[int]:
    """Ids that end a generation, the model's own first."""
    path = folder / "generation_config.json"
    found = read_json(path).get("eos_token_id") if path.is_file() else None
    found = config.get("eos_token_id") if found is None else found
    ids = [int(number) for number in (found if isinstance(found, list) else [found]) if number is not None]
    if not ids:
        raise InputError(f"{folder}: neither generation_config.json nor config.json names an eos_token_id")
    return ids


def _tensors(folder: Path, config: dict[str, Any], architecture: Any) -> Iterator[tuple[str, Array]]:
    """GGUF name and float32 values of each tensor, in the model's order."""
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as handle:
            for key in list(handle.keys()):
                if key == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue  # the embedding carries the tie; llama.cpp takes it for the head
                target = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if target is None:
                    raise InputError(f"{path.name}: the tensor {key} has no place in a {config['model_type']} GGUF file")
                array = handle.get_tensor(key).to(torch.float32).numpy()
                if config["model_type"] == "llama":
                    if key.endswith("q_proj.weight"):
                        array = _pair_rows(array, config["num_attention_heads"])
                    elif key.endswith("k_proj.weight"):
                        array = _pair_rows(array, config["num_key_value_heads"])
                yield target, array


def _pair_rows(weight: Array, heads: int) -> Array:
    """llama.cpp rotates neighbouring rows of a head together, transformers row i with row i + D/2: reorder to match."""
    rows, columns = weight.shape
    paired: Array = weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return paired


def _stored_type(name: str, array: Array, kind: str) -> gguf.GGMLQuantizationType:
    matrices, embedding, _ = FORMATS[kind]
    if array.ndim < 2:
        return gguf.GGMLQuantizationType.F32
    stored = embedding if name in _EMBEDDINGS else matrices
    block = gguf.GGML_QUANT_SIZES[stored][0]
    if array.shape[-1] % block:
        raise InputError(
            f"the rows of {name} have {array.shape[-1]} weights, which blocks of {block} ({stored.name}) don't divide; "
            f"choose widths that are multiples of {block}"
        )
    return stored


def _reader(path: Path) -> Any:
    try:
        return gguf.GGUFReader(path)
    except (OSError, ValueError, KeyError, IndexError) as error:  # what the package raises for clipped or foreign files
        raise InputError(f"{path.name} is no whole GGUF file: {error}; export it again") from error


def tensors(path: Path) -> list[TensorInfo]:
    """What a file really holds, tensor by tensor. ``InputError`` where it can't be read as GGUF."""
    reader = _reader(path)
    return [
        TensorInfo(
            tensor.name,
            tensor.tensor_type.name,
            tuple(int(size) for size in reversed(tensor.shape)),
            int(tensor.n_elements),
            int(tensor.n_bytes),
        )
        for tensor in reader.tensors
    ]


def metadata(path: Path, *keys: str) -> dict[str, Any]:
    """The named keys of a file; None for those it lacks. ``InputError`` where it can't be read as GGUF."""
    reader = _reader(path)
    fields = {key: reader.get_field(key) for key in keys}
    return {key: None if field is None else field.contents() for key, field in fields.items()}


def bits_per_weight(infos: list[TensorInfo]) -> float:
    """Bits of tensor data over weights, scales of blocks included."""
    return 8 * sum(info.n_bytes for info in infos) / sum(info.n_weights for info in infos)
