"""State dicts lie in files of many forms, under many names; the arrays in them are the same."""

import subprocess
import sys

import numpy as np
import pytest
from runs import assert_same_bits

from tinyalex.convert import safetensors, statedict
from tinyalex.support.errors import UserError

STATE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([0.5])}


def expect_state(path):
    expect_arrays(statedict.load(path))


def expect_arrays(state):
    assert_same_bits({name: stored.read() for name, stored in state.items()}, STATE)


@pytest.mark.parametrize("name", ["a.safetensors", "a.npz"])
def test_what_is_written_as_a_state_dict_is_read_as_one(name, tmp_path):
    statedict.save(tmp_path / name, STATE, "a text")
    state = statedict.load(tmp_path / name)
    assert str(state.pop("tinyalex_about").read()) == "a text"
    expect_arrays(state)


@pytest.mark.parametrize("name", ["module.{}", "_orig_mod.{}", "module._orig_mod.{}", "model.{}"])
def test_what_wraps_a_module_is_taken_off_its_names(name, tmp_path):
    np.savez(tmp_path / "a.npz", **{name.format(key): array for key, array in STATE.items()})
    expect_state(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **{"features.module.0.bias": np.ones(1)})
    assert [*statedict.load(tmp_path / "a.npz")] == ["features.0.bias"]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pth", "pt", "pth.tar", "ckpt"])
def test_a_pth_is_read_in_both_of_its_forms_and_with_what_a_training_run_adds(
        ending, tmp_path):
    torch = pytest.importorskip("torch", reason="writes the file")
    state = {f"module.{name}": torch.nn.Parameter(torch.from_numpy(array))
             for name, array in STATE.items()}
    path = tmp_path / f"a.{ending}"
    for zipped in (True, False):
        for key in ("state_dict", "model_state_dict", "model"):
            optimiser = {"state": {}, "param_groups": [{"lr": 0.1}]}
            torch.save({"epoch": 3, "optimizer": optimiser, key: state}, path,
                       _use_new_zipfile_serialization=zipped)
            expect_state(path)
    torch.save({"epoch": 3, "my_net": state}, path)
    with pytest.raises(UserError, match="no named arrays, but 'epoch', 'my_net'"):
        statedict.load(path)
    torch.save({"a": subprocess.Popen}, path)
    with pytest.raises(UserError, match="holds more than arrays"):
        statedict.load(path)


@pytest.mark.slow
def test_a_number_that_a_pth_repeats_without_end_is_not_written_out(tmp_path):
    torch = pytest.importorskip("torch", reason="writes the file")
    resource = pytest.importorskip("resource")
    torch.save({"a": torch.zeros(1).expand(1 << 14, 1 << 14)}, tmp_path / "a.pth")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert statedict.load(tmp_path / "a.pth")["a"].shape == (1 << 14, 1 << 14)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 500_000


def test_halves_of_both_kinds_are_read(tmp_path):
    numbers = np.float32([1.0, -2.5, 0.15625])
    bfloat = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = (b'{"b": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]},'
              b'"h": {"dtype": "F16", "shape": [3], "data_offsets": [6, 12]}}')
    path = tmp_path / "h.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bfloat
                     + numbers.astype("<f2").tobytes())
    for stored in safetensors.load(path).values():
        np.testing.assert_array_equal(stored.read(), numbers)


def test_without_torch_a_pth_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pth").write_bytes(b"something")
    with pytest.raises(UserError, match="only PyTorch reads") as caught:
        statedict.load(tmp_path / "a.pth")
    assert "safetensors" in caught.value.hint


@pytest.mark.parametrize("about", [
    '{"dtype": "F32", "shape": [2], "data_offsets": [0, 99]}',
    '{"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}',
    '{"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}',
    '{"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}',
    '{"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}',
    '{"dtype": "F32", "shape": [99999999999999999999, 0], "data_offsets": [0, 8]}',
    '{"dtype": "F32", "shape": [99999999999999999999, 0], "data_offsets": [8, 8]}',
    '{"dtype": "Q7", "shape": [2], "data_offsets": [0, 8]}',
    '{"dtype": "F32", "shape": "2", "data_offsets": [0, 8]}',
    '[0, 8]',
])
def test_a_safetensors_header_that_lies_is_damage(about, tmp_path):
    text = f'{{"a": {about}}}'.encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(UserError, match="'a'"):
        safetensors.load(path)
