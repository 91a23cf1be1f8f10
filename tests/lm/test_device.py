import pytest
import torch

from llm_assets.core.errors import DeviceError
from llm_assets.lm import device


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "gpu", ""])
def test_an_unknown_device_is_named(name):
    with pytest.raises(DeviceError, match="allowed: auto, cpu, cuda"):
        device.resolve(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_says_so():
    with pytest.raises(DeviceError, match="no usable GPU"):
        device.resolve("cuda")
    assert device.resolve("auto") == torch.device("cpu")


def test_threads_are_those_asked_for_or_the_cores_there_are():
    before = torch.get_num_threads()
    try:
        assert device.set_threads(1) == torch.get_num_threads() == 1
        assert device.set_threads(0) == torch.get_num_threads() == device.available_cores() >= 1
    finally:
        torch.set_num_threads(before)


def test_autocast_is_off_in_float32_and_refuses_unknown_types():
    cpu = torch.device("cpu")
    ones = torch.ones(2, 2)
    with device.autocast(cpu, "float32"):
        assert (ones @ ones).dtype is torch.float32
    with device.autocast(cpu, "bfloat16"):
        assert (ones @ ones).dtype is torch.bfloat16
    with pytest.raises(DeviceError, match="float8"):
        device.autocast(cpu, "float8")
