"""The Dagster instance lives with the store, with the shipped settings."""

from llm_assets.commands.instance import dagster_home, instance


def test_the_shipped_settings_are_in_force(tmp_path, monkeypatch):
    """Case B49: run monitoring, a maximal runtime and retries are on."""
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    home = dagster_home()
    assert home == tmp_path / "store" / ".dagster"
    with instance() as dagster:
        assert dagster.telemetry_enabled is False
        assert dagster.nux_enabled is False
        assert dagster.run_monitoring_enabled
        assert dagster.run_monitoring_max_runtime_seconds > 0
        assert dagster.run_retries_enabled
        assert dagster.get_concurrency_config().pool_config.default_pool_limit == 1
