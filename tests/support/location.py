"""A code location for tests that turn the daemon's wheels by hand: the real skin and doors, over toy assets."""

import warnings

import dagster as dg
import pytest

from llm_assets.core.recipe.catalogue import CatalogueConfig
from llm_assets.defs import doors
from llm_assets.defs import skin as skins
from llm_assets.defs.skin import Skin
from tests.support import toy


class _Recipe:
    catalogue = CatalogueConfig()

    @staticmethod
    def section(name):
        return {"numbers": toy.NumbersConfig(), "total": toy.TotalConfig()}[name]


def _definitions() -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skins, "spec_of", {"numbers": toy.BROKEN, "total": toy.TOTAL}.__getitem__)
        patch.setattr(skins.settings, "recipe", _Recipe)
        assets = [skins.asset(Skin("numbers", "toy", "Numbers of a crawl.")), skins.asset(Skin("total", "toy", "Their sum."))]
    refresh = dg.define_asset_job("data_refresh", selection=dg.AssetSelection.assets("numbers"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # of an argument that is not given
        sensors = [sensor.with_updated_job(refresh) for sensor in (doors.inbox_sensor, doors.common_crawl_releases)]
    return dg.Definitions(
        assets=assets,
        jobs=[refresh],
        sensors=sensors,
        schedules=[doors.weekly_refresh.with_updated_job(refresh)],
        executor=dg.in_process_executor,
    )


defs = _definitions()
