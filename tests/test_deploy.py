"""What can't be run here is read: commands parse, variables are read by somebody, secrets have no default, files hang together."""

import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml

from llm_assets.core.recipe import load_recipe
from llm_assets.definitions import defs

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "command" in service}
SECRETS = {"DAGSTER_POSTGRES_PASSWORD", "LLM_ASSETS_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "POSTGRES_PASSWORD"}
# What the provider's own library reads, and what compose itself puts into the file.
PROVIDER = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}
COMPOSE_ONLY = {"LLM_ASSETS_IMAGE", "LLM_ASSETS_TLS", "LLM_ASSETS_RECIPES"}
BLOCK = re.compile(r"^```(\w+) (\w+)=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program(name):
    """The click command behind a program that the compose file starts."""
    if name == "llm-assets":
        import typer

        from llm_assets.cli import app

        return typer.main.get_command(app)
    place = {"dagster": "dagster._cli:create_dagster_cli", "dagster-daemon": "dagster._daemon.cli:create_dagster_daemon_cli"}
    if name in place:
        module, _, function = place[name].partition(":")
        return getattr(import_module(module), function)()
    return import_module("dagster_webserver.cli").create_dagster_webserver_cli()


def parse(words):
    """Parse a command down to its last subcommand; click raises for an unknown option, argument or command."""
    words = [word.replace("/opt/dagster", str(DEPLOY)) for word in words]  # where the image puts these files
    command = program(words[0])
    context = click.Context(command, info_name=words[0])
    rest = list(words[1:])
    while isinstance(command, click.Group) and rest and not (rest[0].startswith("-") and command.invoke_without_command):
        name, command, rest = command.resolve_command(context, rest)
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, rest)
    return context.params


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_that_the_program_takes(name):
    parse(OURS[name]["command"])


def test_a_command_that_the_program_does_not_take_would_be_seen():
    with pytest.raises(click.UsageError):
        parse(["llm-assets", "serve", "--prot", "8080"])
    with pytest.raises(click.UsageError):
        parse(["dagster", "code-server", "strat"])


def test_health_checks_are_commands_too():
    checks = [service["healthcheck"]["test"] for service in SERVICES.values() if "healthcheck" in service]
    ours = [check[1:] for check in checks if check[0] == "CMD"]
    assert ours and all(parse(check)["port"] == 4000 for check in ours)


def test_services_depend_on_services_and_volumes_that_are_there():
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).is_file(), f"{name} mounts {source}"
            elif not source.startswith(("$", "/", ".")):
                assert source in COMPOSE["volumes"], f"{name} mounts {source}"


def test_only_the_proxy_can_be_reached_from_elsewhere():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    conf = (DEPLOY / "nginx.conf").read_text()
    places = re.findall(r"location (\S+) \{(.*?)\n    \}", conf, re.DOTALL)
    assert {place for place, _ in places} == {"/", "/audit", "/pages/", "/v1/"}
    for place, body in places:
        host, port = re.search(r"proxy_pass http://(\w+):(\d+)", body).groups()
        assert str(port) in SERVICES[host]["command"], place
        assert place == "/v1/" or "auth_basic_user_file" in body
    assert conf.count("{") == conf.count("}")


def test_the_auditors_instance_is_read_only_and_where_the_proxy_looks_for_it():
    asked = parse(SERVICES["auditor"]["command"])
    assert asked["read_only"] is True and asked["path_prefix"] == "/audit"
    assert parse(SERVICES["webserver"]["command"])["read_only"] is False


def environment():
    """Variable → value of all services."""
    found = {}
    for service in SERVICES.values():
        found |= service.get("environment", {})
    return found


def test_secrets_come_from_the_environment_and_have_no_default():
    text = (DEPLOY / "docker-compose.yaml").read_text()
    for name, value in environment().items():
        if name in SECRETS:
            assert re.fullmatch(r"\$\{\w+(:\?[^}]*|:-)\}", value), f"{name} has a value in the file"
    for secret in ("DAGSTER_POSTGRES_PASSWORD", "LLM_ASSETS_API_KEY"):
        assert f"${{{secret}:?" in text
    example = dict(line.split("=", 1) for line in (DEPLOY / "env.example").read_text().splitlines() if re.match(r"\w+=", line))
    assert all(not example[name] for name in example if name in SECRETS)
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == set(example), "env.example lists each variable of the compose file, and no other"
    ignored = subprocess.run(["git", "check-ignore", "-q", "deploy/.env"], cwd=ROOT, check=False)
    assert ignored.returncode in (0, 128), "git would take deploy/.env in"


def test_every_variable_is_read_by_the_code_the_instance_or_the_provider():
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "llm_assets").rglob("*.py"))
    instance = (DEPLOY / "dagster.yaml").read_text()
    given = set(environment()) - PROVIDER - COMPOSE_ONLY - {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}
    unread = {name for name in given if f'"{name}"' not in code and f"env: {name}" not in instance}
    assert unread == set()
    asked = set(re.findall(r"env: (\w+)", instance))
    assert asked <= set(environment()), "the instance asks for what compose does not give"


def test_the_instance_is_the_shipped_one_but_for_where_it_keeps_things():
    shipped, deployed = (yaml.safe_load(path.read_text()) for path in (ROOT / "dagster.yaml", DEPLOY / "dagster.yaml"))
    for part in ("telemetry", "nux", "concurrency", "run_monitoring"):
        assert deployed[part] == shipped[part], part
    assert deployed["telemetry"] == {"enabled": False}
    assert set(deployed) - set(shipped) == {"storage", "compute_logs"}
    assert re.search(r"password: *[^\s]", (DEPLOY / "dagster.yaml").read_text()) is None


def test_the_instance_is_one_that_dagster_takes(tmp_path, monkeypatch):
    """Read as a service reads it: the schema holds, and the logs go to the bucket that the environment names."""
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
    pytest.importorskip("dagster_aws", reason="dagster-aws is not installed")
    from dagster._core.instance.ref import InstanceRef

    (tmp_path / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
    ref = InstanceRef.from_dir(str(tmp_path))
    assert ref.event_storage_data.class_name == "PostgresEventLogStorage"
    monkeypatch.setenv("LLM_ASSETS_LOG_BUCKET", "logs-of-ours")
    logs = ref.compute_logs_data
    assert logs.class_name == "S3ComputeLogManager"
    assert logs.config_dict["bucket"] == {"env": "LLM_ASSETS_LOG_BUCKET"}


def test_the_workspace_names_the_code_server_and_the_location():
    (entry,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    server, shipped = entry["grpc_server"], yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]
    assert server["location_name"] == shipped["python_module"]["location_name"]
    assert str(server["port"]) in SERVICES[server["host"]]["command"]


def test_the_image_copies_what_is_there_and_pins_what_the_lock_pins():
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        for source in shlex.split(line)[:-1]:
            assert (ROOT / source).exists(), source
    torch = re.search(r"torch==(\S+)", text).group(0)
    assert torch in (ROOT / "requirements.lock").read_text()
    assert "\nUSER llm\n" in text


def test_alerts_ask_for_figures_that_are_told():
    from llm_assets.commands.metrics import _ABOUT

    rules = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    asked = {name for rule in rules for name in re.findall(r"llm_assets_\w+", rule["expr"])}
    assert asked and asked <= set(_ABOUT)
    target = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"][0]["targets"][0]
    host, port = target.split(":")
    assert port in SERVICES[host]["command"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "deploy").glob("*.md")), ids=lambda path: path.stem)
def test_recipes_and_manifests_of_the_pages_are_valid(page, tmp_path):
    blocks = BLOCK.findall(page.read_text("utf-8"))
    assert blocks
    for _, kind, name, text in blocks:
        (tmp_path / name).write_text(text)
        if kind == "recipe":
            recipe = load_recipe(str(tmp_path / name))
            assert recipe.executor.kind in page.stem and recipe.cleaned_corpus.executor.kind == recipe.executor.kind
        else:
            for document in yaml.safe_load_all(text):
                assert {"apiVersion", "kind", "metadata"} <= set(document)
                for container in document["spec"].get("template", {}).get("spec", {}).get("containers", ()):
                    parse(container["command"])
                    parse(container["readinessProbe"]["exec"]["command"])


def test_commands_of_the_pages_parse():
    """Lines of shell blocks that start one of our programs, on all pages of deployment."""
    found = []
    for page in [DEPLOY / "README.md", *(ROOT / "docs" / "deploy").glob("*.md")]:
        for block in re.findall(r"^```sh[^\n]*\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                starts = [n for n, word in enumerate(words) if word in ("llm-assets", "dagster", "dagster-webserver")]
                if starts and (starts[0] == 0 or words[0] in ("srun", "docker")) and "build" not in words:
                    found.append(words[starts[0] :])
    assert len(found) >= 2
    for words in found:
        parse(words)


def test_the_pool_limits_hold_for_pools_that_assets_use():
    pools = {definition.op.pool for definition in defs.assets if getattr(definition, "op", None) is not None}
    assert pools >= {"gpu", "dedup"}
