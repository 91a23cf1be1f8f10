"""Large libraries are loaded without the garbage collector, which is as it was afterwards."""

import gc

import pytest

from llm_assets.core.loading import loading


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_and_what_was_loaded_is_left_out(enabled):
    was, frozen = gc.isenabled(), gc.get_freeze_count()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(KeyError), loading():
            assert not gc.isenabled()
            made = [[number] for number in range(1000)]
            raise KeyError
        assert gc.isenabled() == enabled
        assert gc.get_freeze_count() >= frozen + len(made)
    finally:
        (gc.enable if was else gc.disable)()
