"""Gates of ``quantized_export``: nothing left to defaults, the same ids, the same predictions, and a price that is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.core.recipe.release import QuantizedExportConfig
from llm_assets.core.report import Gate, Report
from llm_assets.lm import gguf
from llm_assets.lm.tokenizer import LLAMA_CPP_PRE
from llm_assets.stages.export.quantize import EXPORT_FILE, PARITY_FILE

_PRE, _TOKENS, _BOS = "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.add_bos_token"
_END, _TEMPLATE = "tokenizer.ggml.eos_token_id", "tokenizer.chat_template"
_UNQUANTISED = {"F32", "F16", "BF16"}


def gates(inputs: Inputs, files: Path, config: QuantizedExportConfig, report: Report) -> list[Gate]:
    """All block. The files themselves are read again; figures come from export.json and parity.json."""
    rows: list[dict[str, Any]] = read_json(files / EXPORT_FILE)["files"]
    parity: dict[str, Any] = read_json(files / PARITY_FILE)
    return [
        _nothing_left_out(files, rows),
        _same_ids(parity, config),
        _same_predictions(parity, config),
        _perplexity(rows, config),
        _real_types(files, rows, config),
    ]


def _nothing_left_out(files: Path, rows: Sequence[Mapping[str, Any]]) -> Gate:
    """Cases B39 and B41: pre-tokenizer named, no BOS, an end, a template, as many tokens as embedding rows, and it speaks."""
    wrong = []
    for row in rows:
        try:
            found = gguf.metadata(files / row["file"], _PRE, _TOKENS, _BOS, _END, _TEMPLATE)
        except InputError as error:
            wrong.append(str(error))
            continue
        embedding = next(info for info in gguf.tensors(files / row["file"]) if info.name == "token_embd.weight")
        tokens = len(found[_TOKENS] or ())
        problems = {
            f"{_PRE} is {found[_PRE]!r}, not {LLAMA_CPP_PRE!r}": found[_PRE] != LLAMA_CPP_PRE,
            f"{_BOS} is {found[_BOS]!r}, not False": found[_BOS] is not False,
            "no token ends an answer": found[_END] is None,
            "no chat template": not found[_TEMPLATE],
            f"{tokens} tokens for {embedding.shape[0]} embedding rows": tokens != embedding.shape[0],
            "llama.cpp decoded nothing": row["decoded_tokens"] < 1,
        }
        wrong += [f"{row['file']}: {problem}" for problem, is_so in problems.items() if is_so]
    return Gate(
        "export_complete", not wrong and bool(rows), "; ".join(wrong) or f"{len(rows)} files say all that llama.cpp needs"
    )


def _same_ids(parity: Mapping[str, Any], config: QuantizedExportConfig) -> Gate:
    differing = parity["strings_differing"] + parity["chats_differing"]
    passed = differing == 0 and parity["strings"] >= config.min_strings and parity["chats"] > 0
    return Gate(
        "export_same_ids",
        passed,
        f"{differing} of {parity['strings']} strings and {parity['chats']} chats get other ids in llama.cpp; none may, and "
        f"{config.min_strings} strings are needed (see parity.json)",
        {"strings": parity["strings"], "chats": parity["chats"], "differing": differing},
    )


def _same_predictions(parity: Mapping[str, Any], config: QuantizedExportConfig) -> Gate:
    passed = parity["top_differs"] == 0 and parity["max_difference"] <= config.max_difference_nats and parity["tokens"] > 0
    return Gate(
        "export_same_predictions",
        passed,
        f"F16: another likeliest token in {parity['top_differs']} of {parity['tokens'] - parity['exempt']} steps (none may; "
        f"{parity['exempt']} are exempt, their best two within {config.exempt_gap_nats} nat); log-probabilities differ by "
        f"{parity['max_difference']:.4f} nat at most (allowed {config.max_difference_nats})",
        {key: parity[key] for key in ("tokens", "unseen", "exempt", "top_differs", "max_difference", "mean_difference")},
    )


def _perplexity(rows: Sequence[Mapping[str, Any]], config: QuantizedExportConfig) -> Gate:
    limits = {"f16": config.max_q8_rise, "q8_0": config.max_q8_rise, "q4_0": config.max_q4_rise}
    rise = {row["kind"]: float(row["perplexity_rise"]) for row in rows}
    over = [kind for kind, limit in limits.items() if not rise[kind] <= limit]
    shown = ", ".join(f"{kind} {rise[kind]:+.2%} (allowed {limit:+.1%})" for kind, limit in limits.items())
    return Gate("export_perplexity", not over, f"perplexity against transformers: {shown}", {"over": over, **rise})


def _real_types(files: Path, rows: Sequence[Mapping[str, Any]], config: QuantizedExportConfig) -> Gate:
    """Case B42: what the tensors really are, whatever the file is called."""
    shares = {}
    for row in rows:
        if row["kind"] == "f16":
            continue
        try:
            infos = gguf.tensors(files / row["file"])
        except InputError:  # export_complete says what is wrong with the file; nothing in it counts as quantised
            shares[row["kind"]] = 0.0
            continue
        quantised = sum(info.n_weights for info in infos if info.type not in _UNQUANTISED)
        shares[row["kind"]] = quantised / sum(info.n_weights for info in infos)
    passed = bool(shares) and min(shares.values()) >= config.min_quantised_share
    shown = ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
    return Gate(
        "export_types",
        passed,
        f"weights that are really quantised: {shown} (at least {config.min_quantised_share:.0%}); choose widths that are "
        "multiples of 32"
        if not passed
        else f"weights that are really quantised: {shown}",
        {**shares, **{f"{row['kind']}_bits_per_weight": row["bits_per_weight"] for row in rows}},
    )
