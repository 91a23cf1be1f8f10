"""The command line: every command is documented, every mistake is one sentence and exit code 2."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from llm_assets.cli import app
from llm_assets.commands.ui import check_port
from llm_assets.core.errors import LlmAssetsError

ROOT = Path(__file__).parents[2]


def cli(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "llm_assets.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_every_command_is_in_the_readme_and_every_one_there_exists():
    commands = set(get_command(app).commands)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert set(re.findall(r"^llm-assets ([a-z-]+)", readme, re.M)) == commands


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert {"demo", "refresh", "test", "check", "ui", "bench", "serve", "clean"} <= targets
    assert set(re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text("utf-8"), re.M)) <= targets


def test_a_recipe_typo_is_a_sentence(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: demo\nbase_modle: {}\n")
    done = cli("recipe", str(path))
    assert done.returncode == 2
    assert "base_modle: no such field; did you mean 'base_model'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recipe_prints_every_knob():
    done = cli("recipe", "smoke")
    assert done.returncode == 0
    assert "vocab_size:" in done.stdout


def test_nothing_crawled_yet_says_what_to_run(tmp_path):
    done = cli("explain", "http://example.org/", LLM_ASSETS_STORE=str(tmp_path / "store"))
    assert done.returncode == 2
    assert "run 'llm-assets demo' first" in done.stderr


def test_crawl_keys_are_checked_and_added_once(tmp_path):
    environment = {"LLM_ASSETS_STORE": str(tmp_path / "store"), "DAGSTER_HOME": ""}
    assert "can't name a crawl" in cli("add-crawl", "a b", **environment).stderr
    assert cli("add-crawl", "a-1", **environment).stdout == "a-1: added\n"
    assert cli("add-crawl", "a-1", **environment).stdout == "a-1: was there already\n"


def test_a_taken_port_is_a_sentence():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(LlmAssetsError, match="choose another with --port"):
            check_port("127.0.0.1", other.getsockname()[1], "the UI")
