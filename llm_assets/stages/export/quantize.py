"""``quantized_export``: a model as GGUF files, each loaded with llama.cpp and held against transformers before it counts.

Files: ``model-f16.gguf``, ``model-q8_0.gguf``, ``model-q4_0.gguf``; ``export.json`` (of each: types, sizes, bits per weight,
perplexity), ``parity.json`` (ids and predictions against transformers), ``model_card.md``.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llm_assets.core import plots
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.claims import Claim
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.release import QuantizedExportConfig
from llm_assets.core.report import Report
from llm_assets.core.takedowns import Takedowns
from llm_assets.lm import chat, gguf, model_card
from llm_assets.lm import device as devices
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.llama_cpp import LlamaCpp
from llm_assets.stages.export import measure
from llm_assets.stages.export.strings import strings

EXPORT_FILE = "export.json"
PARITY_FILE = "parity.json"
_DECODED = 8  # tokens that a file must generate before it counts as made (case B41)
_CHATS = 20
_PLOT = "Perplexity by quantisation"


def file_name(kind: str) -> str:
    """``model-q8_0.gguf``."""
    return f"model-{kind}.gguf"


def run(inputs: Inputs, out: WorkDir, config: QuantizedExportConfig, progress: Progress) -> Report:
    """Write the files and measure them.

    Raises ``InputError`` where the model can't be stored in a format, or llama.cpp can't load what was written.
    """
    devices.set_threads(config.threads)
    source = inputs.one(config.model)
    for kind in gguf.FORMATS:
        gguf.write(source.files, out.files / file_name(kind), kind, name=f"llm-assets {config.model}")
    progress.note(f"{len(gguf.FORMATS)} files written; llama.cpp reads held-out texts with each")
    texts = _texts(inputs)
    parity, files = measure_files(source.files, out.files, texts, config, progress)
    write_json(out.files / PARITY_FILE, parity)
    write_json(out.files / EXPORT_FILE, {"model": config.model, "source": source.ref, "files": files})
    report = _report(config, parity, files)
    report.plots = {_PLOT: _draw(out.files, parity, files)}
    _card(out.files, source, inputs, config, report.metrics, files)
    return report


def _texts(inputs: Inputs) -> list[str]:
    path = inputs.one("eval_suite").file("tasks/perplexity.jsonl")
    texts = [str(json.loads(line)["text"]) for line in path.read_text("utf-8").splitlines() if line.strip()]
    if not texts:
        raise InputError(f"{path} holds no text to measure with; materialise eval_suite again")
    return texts


def _sequences(engine: Any, texts: Sequence[str], config: QuantizedExportConfig) -> list[list[int]]:
    """Texts as ids, cut at ``document_tokens`` each and ``measured_tokens`` in all."""
    found: list[list[int]] = []
    left = config.measured_tokens
    for text in texts:
        ids = chat.encode_text(engine, text)[: min(left, config.document_tokens)]
        if ids:
            found.append(ids)
            left -= len(ids)
        if left <= 0:
            break
    return found


def measure_files(
    source: Path, files: Path, texts: Sequence[str], config: QuantizedExportConfig, progress: Progress
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Hold every file against the model folder ``source``: the contents of parity.json, and of export.json's ``files``."""
    engine = tokenizers.load_plain(source)
    _, start = tokenizers.separator(source, engine)
    sequences = _sequences(engine, texts, config)
    wanted = measure.reference(models.load(source), sequences, start)
    whole = measure.whole_tokens(engine, models.vocabulary_rows(source))
    parity: dict[str, Any] = {}
    rows = []
    for done, kind in enumerate(gguf.FORMATS, 1):
        context = config.document_tokens + _DECODED + 1
        with LlamaCpp(files / file_name(kind), context=context, exact_cache=True) as server:
            found = measure.compare(server.predictions(sequences, whole, start), wanted, config.exempt_gap_nats)
            decoded = server.greedy([start], _DECODED)
            if kind == "f16":
                parity = _same_ids(server, engine, texts, config) | found.row()
        rows.append(_file_row(files / file_name(kind), kind, found, len(decoded)))
        progress.update(done, len(gguf.FORMATS), "files", perplexity=found.perplexity)
    return parity, rows


def _same_ids(server: LlamaCpp, engine: Any, texts: Sequence[str], config: QuantizedExportConfig) -> dict[str, Any]:
    tried = strings(texts, config.min_strings)
    # llama.cpp reads a whole chat as one string, in which it can't tell a typed control token from a real one.
    harmless = [text for text in texts if not any(token in text for token in tokenizers.CONTROL_TOKENS)]
    chats = [[{"role": "user", "content": f"Describe this: {text[:200].strip()}"}] for text in harmless[:_CHATS]]
    differing = measure.differing_strings(server, engine, tried)
    chats_differing = measure.differing_chats(server, engine, chats)
    return {
        "strings": len(tried),
        "strings_differing": len(differing),
        "chats": len(chats),
        "chats_differing": len(chats_differing),
        "examples": (differing + chats_differing)[:10],
    }


def _file_row(path: Path, kind: str, found: measure.Agreement, decoded: int) -> dict[str, Any]:
    infos = gguf.tensors(path)
    weights: Counter[str] = Counter()
    for info in infos:
        weights[info.type] += info.n_weights
    return {
        "file": path.name,
        "kind": kind,
        "bytes": path.stat().st_size,
        "bits_per_weight": gguf.bits_per_weight(infos),
        "weights_by_type": dict(weights),
        "perplexity": found.perplexity,
        "perplexity_rise": found.perplexity / found.reference_perplexity - 1,
        "decoded_tokens": decoded,
        "agreement": found.row(),
        "tied_head": not any(info.name == "output.weight" for info in infos),
        "tensors": [asdict(info) for info in infos],
    }


def _report(config: QuantizedExportConfig, parity: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> Report:
    rise = {row["kind"]: float(row["perplexity_rise"]) for row in files}
    ids = parity["strings_differing"] + parity["chats_differing"]
    claims = [
        Claim(
            "gguf_same_ids",
            f"llama.cpp gives the trainer's ids on {parity['strings']} strings and {parity['chats']} chats: none differs",
            ids,
            0,
            ids == 0,
        ),
        Claim(
            "gguf_same_predictions",
            f"F16 in llama.cpp against transformers: the likeliest token never differs, and |Δ log p| ≤ "
            f"{config.max_difference_nats} nat on {parity['tokens']} held-out tokens",
            parity["max_difference"],
            config.max_difference_nats,
            parity["top_differs"] == 0 and parity["max_difference"] <= config.max_difference_nats,
            note=f"{parity['top_differs']} differ; {parity['exempt']} exempt, {parity['unseen']} not reported by llama.cpp",
        ),
        Claim(
            "gguf_q8_perplexity",
            "Q8_0 perplexity against transformers': the rise is at most 1 %",
            rise["q8_0"],
            config.max_q8_rise,
            rise["q8_0"] <= config.max_q8_rise,
            note=f"Q4_0 {rise['q4_0']:+.1%}",
        ),
    ]
    table = [
        {
            "file": row["file"],
            "kB": round(row["bytes"] / 1000),
            "bits per weight": round(row["bits_per_weight"], 2),
            "perplexity": round(row["perplexity"], 3),
            "rise": f"{row['perplexity_rise']:+.2%}",
            "weights by type": ", ".join(f"{name} {count:,}" for name, count in row["weights_by_type"].items()),
        }
        for row in files
    ]
    metrics = {
        "model": config.model,
        "reference_perplexity": parity["reference_perplexity"],
        **{f"{row['kind']}_perplexity": row["perplexity"] for row in files},
        **{f"{row['kind']}_bits_per_weight": row["bits_per_weight"] for row in files},
        **{f"{row['kind']}_bytes": row["bytes"] for row in files},
        "max_difference_nats": parity["max_difference"],
        "claims": [claim.row() for claim in claims],
    }
    return Report(
        counts={"files": len(files), "strings": parity["strings"], "tokens_compared": parity["tokens"]},
        metrics=metrics,
        tables={"Files": table},
    )


def _draw(target: Path, parity: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> str:
    """Perplexity over bits per weight, with the original's as a level to compare with; returns the path of the plot."""
    rows = sorted(files, key=lambda row: float(row["bits_per_weight"]))
    bits = [float(row["bits_per_weight"]) for row in rows]
    names = ", ".join(str(row["kind"]).upper() for row in rows)
    series = {
        f"GGUF ({names})": (bits, [float(row["perplexity"]) for row in rows]),
        "transformers": ([bits[0], bits[-1]], [float(parity["reference_perplexity"])] * 2),
    }
    path = "plots/perplexity.png"
    plots.line(target / path, series, title=_PLOT, x="bits per weight", y="perplexity, lower is better")
    return path


def _card(
    target: Path,
    source: Artefact,
    inputs: Inputs,
    config: QuantizedExportConfig,
    metrics: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
) -> None:
    figures = {
        row["file"]: f"{row['bits_per_weight']:.2f} bits per weight, perplexity {row['perplexity']:.2f} "
        f"({row['perplexity_rise']:+.2%})"
        for row in files
    }
    card = model_card.write(
        target,
        f"{config.model} as GGUF",
        f"{config.model} in the file format of llama.cpp, in three precisions. The chat template is inside; a server must "
        "send token ids, because llama.cpp's own endpoints turn a typed control token into one.",
        made_from=[source, inputs.one("eval_suite")],
        training={"see": f"the card of `{source.ref}`"},
        figures={"transformers, perplexity": metrics["reference_perplexity"], **figures},
    )
    affected = Takedowns(inputs.store).affected().get(source.ref, []) if inputs.store else []
    if affected:
        card.write_text(card.read_text("utf-8") + _taken_down(affected), "utf-8")


def _taken_down(takedowns: Sequence[str]) -> str:
    return (
        "\n## Taken down since\n\nThis model was trained on documents that were taken down later. Its weights were not cleaned "
        "of them: it is affected until it is trained anew on data without them. Take-downs, oldest first: "
        f"{', '.join(f'`{name}`' for name in takedowns)}.\n"
    )
