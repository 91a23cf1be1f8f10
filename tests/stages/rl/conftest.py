"""A toy world: letters as tokens, a model that answers with three random letters, a reward model that likes the letter a."""

import random
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from llm_assets.core.artefact import Inputs
from llm_assets.core.recipe.post_training import RlhfModelConfig
from llm_assets.lm import chat, model, ppo
from llm_assets.lm import tokenizer as files_of
from llm_assets.stages.tokens.train import write_folder

LETTERS = "abcd"
VOCABULARY = 288


def _tokenizer(folder: Path) -> object:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*files_of.CONTROL_TOKENS, *alphabet])}
    engine = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens([AddedToken(token, special=True) for token in files_of.CONTROL_TOKENS])
    write_folder(folder, engine)
    return files_of.load(folder)


def _shape(**over: object) -> LlamaConfig:
    values: dict[str, object] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "eos_token_id": 3,
        "bos_token_id": None,
        "pad_token_id": 1,
        "attention_dropout": 0.1,
        "tie_word_embeddings": True,
    }
    return LlamaConfig(**(values | over))


def _dataset(folder: Path) -> None:
    draw = random.Random(2)
    folder.mkdir(parents=True)
    for split, count in (("train", 60), ("validation", 40), ("test", 64)):
        rows = []
        for number in range(count):
            task = "summarise" if number % 4 else "topic"
            prompt = "".join(draw.choice(LETTERS) for _ in range(draw.randint(1, 6)))
            answer = " ".join(draw.choice(LETTERS) for _ in range(3))
            rows.append({"id": f"{split}-{number}", "doc_id": f"{number:032x}", "url": "http://a.test/", "task": task})
            rows[-1] |= {"prompt": prompt, "answer": answer}
        pl.DataFrame(rows).write_parquet(folder / f"{split}.parquet")


def _fine_tuned(folder: Path, tokenizer: object, dataset: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = LlamaForCausalLM(_shape()).eval()
    rows = pl.read_parquet(dataset / "train.parquet").select("prompt", "answer").rows()
    chats = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in rows]
    encoded = [chat.encode(tokenizer, messages) for messages in chats]
    prompts = [[token for token, own in zip(each.ids, each.mask, strict=True) if not own][:-1] for each in encoded]
    answers = [[token for token, own in zip(each.ids, each.mask, strict=True) if own] for each in encoded]
    packed = ppo.pack(prompts, answers, torch.device("cpu"))
    optimiser = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        ppo.supervised_loss(policy, packed).backward()
        optimiser.step()
    model.save(policy, tokenizer, folder)


def _reward(folder: Path, tokenizer: object) -> None:
    """Score = share of a's in the chat, by hand: attention is uniform (queries are 0), values copy the embedding."""
    reward = LlamaForSequenceClassification(_shape(num_hidden_layers=1, num_labels=1, tie_word_embeddings=False))
    size = reward.config.hidden_size
    with torch.no_grad():
        for weight in reward.parameters():
            weight.zero_()
        reward.model.embed_tokens.weight[:, 1] = 1.0  # keeps the norm of every token's embedding alike
        reward.model.embed_tokens.weight[files_of.plain(tokenizer).token_to_id("a"), 0] = 1.0
        layer = reward.model.layers[0]
        for norm in (layer.input_layernorm, layer.post_attention_layernorm, reward.model.norm):
            norm.weight.fill_(1.0)
        layer.self_attn.v_proj.weight.copy_(torch.eye(size))
        layer.self_attn.o_proj.weight.copy_(torch.eye(size))
        reward.score.weight[0, 0] = 1.0
    model.save(reward.eval(), tokenizer, folder)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Folders of the three inputs and a config that runs in about two seconds. Read only."""
    root: Path = tmp_path_factory.mktemp("rl")
    tokenizer = _tokenizer(root / "tokenizer")
    _dataset(root / "instructions/all")
    _fine_tuned(root / "sft/all", tokenizer, root / "instructions/all")
    _reward(root / "reward/all", tokenizer)
    folders = {
        "sft_model": root / "sft/all",
        "reward_model": root / "reward/all",
        "instruction_dataset": root / "instructions/all",
    }
    config = RlhfModelConfig(
        iterations=4,
        rollouts_per_iteration=64,
        minibatch_size=16,
        learning_rate=5e-3,
        max_answer_tokens=8,
        kl_coefficient=0.02,
        kl_ceiling_nats=20.0,
        ptx_coefficient=0.05,
        ptx_batch_size=4,
        validation_prompts=30,
        test_prompts=48,
        gold_slack=1.0,
        dtype="float32",
        threads=1,
    )
    inputs = Inputs.of({name: [folder] for name, folder in folders.items()})
    return SimpleNamespace(root=root, inputs=inputs, config=config, tokenizer=tokenizer, folders=folders)
