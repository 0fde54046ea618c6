"""Weights out: PyTorch and onnxruntime say of the same pictures what we say.

The definition of the network is the one that docs/weights.md prints, taken from the page: a reader
who copies it has to get our numbers.
"""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import test_convert
from runs import assert_close, assert_same_bits
from test_convert import same

from tinyalex import layers
from tinyalex.architectures import alexnet, others
from tinyalex.convert import layout, onnx_graph, published, safetensors
from tinyalex.convert.__main__ import main
from tinyalex.data import pictures
from tinyalex.devices import HOST
from tinyalex.gradcheck.cases import SHIPPED, cases_of
from tinyalex.network import Network
from tinyalex.run import checkpoint, presets
from tinyalex.support.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"


def saved(path, name, classes=10, **changes):
    """A checkpoint of this preset with fresh weights; returns its network and its mean picture."""
    settings = replace(published._recipe(name), **changes)
    network = settings.network(classes, [HOST])
    loud(network)
    side = presets.get(name).picture
    mean = np.random.default_rng(3).uniform(90, 140, (side, side, 3)).astype(np.float32)
    about = {"preset": name, "classes": [f"class {i}" for i in range(classes)],
             "settings": asdict(settings)}
    checkpoint.Checkpoint(about, mean, network.state()).save(path)
    return network, mean


def loud(network):
    """Larger weights in conv1, without which normalisations hardly do anything."""
    for p in network.parameters:
        if p.name.startswith("conv1"):
            p.value[...] *= 100


def crops(network, seed=1):
    side = network.input_shape[0]
    return np.random.default_rng(seed).integers(0, 256, (3, side, side, 3)).astype(np.float32)


def ours(network, mean, x, scale):
    side = network.input_shape[0]
    first = (len(mean) - side) // 2
    mean = mean[first : first + side, first : first + side]
    return network.forward((x - mean) * np.float32(scale))


def printed_definition() -> dict:
    pytest.importorskip("torch", reason="the definition is PyTorch's")
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
                if "class AlexNet" in block)
    names = {}
    exec(code, names)
    return names


@pytest.mark.slow
def test_the_printed_definition_says_what_we_say(tmp_path):
    names = printed_definition()
    network, mean = saved(tmp_path / "half.npz", "half")
    main([str(tmp_path / "half.npz"), str(tmp_path / "out.npz")])
    net = names["load"](tmp_path / "out.npz", (48, 128, 192, 192, 128), 1024, 10, 112, 7, 2)
    x = crops(network)
    theirs = net(names["torch"].from_numpy(x.transpose(0, 3, 1, 2).copy())).detach().numpy()
    same(theirs, ours(network, mean, x, 1 / 64))


@pytest.mark.slow
def test_the_printed_definition_has_the_sizes_of_the_paper(undrawn_weights):
    names = printed_definition()
    with names["torch"].device("meta"):
        shapes = {name: tuple(tensor.shape)
                  for name, tensor in names["AlexNet"]().state_dict().items()}
    expected = {"mean": (3, 224, 224)}
    for whole in layout.wholes(alexnet.paper(), 1):
        expected[f"{whole.name}.weight"], expected[f"{whole.name}.bias"] = (
            whole.shape, whole.shape[:1])
    assert shapes == expected


@pytest.mark.parametrize("build", [alexnet.tiny, others.cifar10_quick])
def test_what_is_joined_and_split_again_is_as_it_was(build):
    network, other = (build(classes=7, keep=0.7, draw=draw) for draw in (True, False))
    split = {}
    for whole, there in zip(layout.wholes(network, 1 / 64), layout.wholes(other, 1 / 64),
                            strict=True):
        W, b = whole.join()
        assert W.shape == whole.shape and b.shape == whole.shape[:1]
        split |= there.split(W, b)
    assert_close(split, network.state(), rtol=1e-6)


def test_a_safetensors_file_holds_the_same_arrays_and_the_classes(tmp_path):
    saved(tmp_path / "a.npz", "cifar10-quick")
    for out in ("a.safetensors", "b.npz"):
        main([str(tmp_path / "a.npz"), str(tmp_path / out)])
    state = safetensors.load(tmp_path / "a.safetensors")
    with np.load(tmp_path / "b.npz") as other:
        assert_same_bits({name: stored.read() for name, stored in state.items()}, dict(other))
    assert "ip2.weight" in state
    assert '["class 0", ' in str(state["tinyalex_about"].read())
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    assert library.load_file(tmp_path / "a.safetensors").keys() == state.keys() - {"tinyalex_about"}


@pytest.mark.parametrize("form", ["safetensors", "npz"])
@pytest.mark.parametrize(("name", "changes"), [
    ("tiny", {"dropout": 0.5, "activation": "tanh"}), ("cifar10-full", {}),
    ("cifar", {"towers": 1, "without": "conv4", "scale": 1 / 32}),
    ("mini", {"towers": 4, "lrn": "across"})])
def test_what_we_wrote_we_read_again(name, changes, form, tmp_path, capsys):
    network, mean = saved(tmp_path / "a.npz", name, 7, **changes)
    main([str(tmp_path / "a.npz"), str(tmp_path / f"b.{form}")])
    assert main([str(tmp_path / f"b.{form}"), str(tmp_path / "again.npz")]) == 0
    before, again = (checkpoint.load(tmp_path / f) for f in ("a.npz", "again.npz"))
    assert_same_bits(again.values, before.values)  # 1/32, 1/64 and 0.5 are exact
    assert again.about["settings"] == before.about["settings"]
    assert again.about["classes"] == before.about["classes"]
    assert again.mean.shape == mean.shape
    side = network.input_shape[0]
    np.testing.assert_array_equal(pictures.centre(again.mean, side), pictures.centre(mean, side))
    assert f"the picture in {tmp_path}" in capsys.readouterr().out or len(mean) == side
    for flag in ("--mean", "--classes"):
        with pytest.raises(UserError, match=f"{flag}: .* has its own"):
            main([str(tmp_path / f"b.{form}"), str(tmp_path / "c.npz"), flag, "x"])


@pytest.mark.parametrize(("name", "value", "said"), [
    ("tinyalex_about", "{}", "does not say which preset"), ("tinyalex", 99, "of format 99"),
    ("pictures", [10, 32], "10, 32"), ("pictures", [32, 10**6], "1000000"),
    ("settings", {}, "written by another version"), ("classes", ["a"] * 9, "weights of ip1 have"),
    ("conv2.bias", None, "conv2.bias"), ("mean", np.zeros((3, 8, 8)), "the mean have shape"),
    ("mean", np.full((3, 32, 32), np.nan), "not finite")])
def test_an_export_that_was_changed_is_refused(name, value, said, tmp_path, refused):
    saved(tmp_path / "a.npz", "cifar10-full")
    main([str(tmp_path / "a.npz"), str(tmp_path / "b.npz")])
    with np.load(tmp_path / "b.npz") as file:
        state = dict(file)
    about = json.loads(str(state["tinyalex_about"]))
    if name in about:
        state["tinyalex_about"] = np.array(json.dumps(about | {name: value}))
    elif value is None:
        del state[name]
    else:
        state[name] = np.array(value)
    np.savez(tmp_path / "b.npz", **state)
    assert said in refused(main, [str(tmp_path / "b.npz"), str(tmp_path / "c.npz")])
    assert not (tmp_path / "c.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("mean", ["theirs", "a picture"])
def test_torchvisions_alexnet_is_written_for_torchvision(mean, tmp_path, capsys):
    """Its own names and nothing else, for what its authors feed it: minus the mean, which is theirs
    or beside the weights, divided by their standard deviations."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    network, picture = saved(tmp_path / "a.npz", "torchvision", 7)
    if mean == "theirs":
        file = checkpoint.load(tmp_path / "a.npz")
        file.mean = picture = np.broadcast_to(
            np.float32([0.485, 0.456, 0.406]) * np.float32(255), (256, 256, 3))
        file.save(tmp_path / "a.npz")
    main([str(tmp_path / "a.npz"), str(tmp_path / "b.safetensors")])
    state = {name: np.array(stored.read()) for name, stored in safetensors.load(
        tmp_path / "b.safetensors").items() if name != "tinyalex_about"}
    subtracted = state.pop("mean") if mean == "a picture" else np.full(
        (3, 1, 1), np.array([0.485, 0.456, 0.406])[:, None, None] * 255)
    x = crops(network)
    theirs = test_convert.torchvision_alexnet(torch, state, (
        (x.transpose(0, 3, 1, 2) - subtracted)
        / (np.array([0.229, 0.224, 0.225])[:, None, None] * 255)).astype(np.float32))
    same(theirs, ours(network, picture, x, 1 / 58))
    said = capsys.readouterr().out
    assert ("(0 to 255, minus mean) / (58.395, 57.12, 57.375)" in said) == (mean == "a picture")
    main([str(tmp_path / "b.safetensors"), str(tmp_path / "again.npz")])
    assert_close(checkpoint.load(tmp_path / "again.npz").values, network.state(), rtol=1e-6)


def run_onnx(path, x):
    runtime = pytest.importorskip("onnxruntime", reason="runs the graph")
    net = runtime.InferenceSession(path)
    return net.run(["scores"], {"pictures": np.ascontiguousarray(x.transpose(0, 3, 1, 2))})[0]


@pytest.mark.parametrize(("name", "classes", "changes"), [
    ("tiny", 7, {}), ("cifar", 10, {"activation": "tanh", "pool": "2/2", "lrn": "before"}),
    ("tiny", 10, {"towers": 1, "dropout": 0.3}), ("cifar10-quick", 10, {}),
    ("cifar10-full", 10, {}), ("mini", 9, {"towers": 4, "lrn": "across"})])
def test_onnx_runtime_says_what_we_say(name, classes, changes, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    network, mean = saved(tmp_path / "a.npz", name, classes, **changes)
    main([str(tmp_path / "a.npz"), str(tmp_path / "a.onnx")])
    x = crops(network)
    same(run_onnx(tmp_path / "a.onnx", x), ours(network, mean, x, presets.get(name).scale))


@pytest.mark.parametrize("tower", [
    alexnet.original_tower, others.caffe_tower, others.torchvision_tower])
def test_what_is_special_about_others_is_in_the_graph_too(tower, tmp_path):
    """The second normalisation of the original, Caffe's between its towers; at half the size."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    network = alexnet.build(tower, alexnet.HALF)
    loud(network)
    mean = np.full((112, 112, 3), 100, np.float32)
    onnx_graph.save(tmp_path / "a.onnx", network, 1 / 64, mean, ["a"])
    x = crops(network)
    same(run_onnx(tmp_path / "a.onnx", x), ours(network, mean, x, 1 / 64))


@pytest.mark.parametrize("kind", [layers.MaxPool2D, layers.AveragePool2D])
@pytest.mark.parametrize(("kernel", "stride", "side"), [
    (3, 2, 8), (3, 2, 9), (2, 3, 6), (2, 3, 7), (1, 4, 11), (2, 5, 8), (5, 3, 7), (3, 1, 5)])
@pytest.mark.parametrize("ceil", [False, True])
def test_pooled_maps_have_our_size_in_onnx(kind, kernel, stride, side, ceil, tmp_path):
    """A window that would begin beyond the edge is none, whatever ceil_mode of ONNX makes of it."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    pool = kind(kernel, stride, ceil=ceil, name="pool1")
    size = int(np.prod(pool.output_shape((side, side, 3))))
    network = Network([[[pool, layers.Flatten("flatten"), layers.Linear(size, 2, std=0.1,
                                                                        name="fc1")]]],
                      (side, side, 3))
    onnx_graph.save(tmp_path / "a.onnx", network, 1, np.zeros((side, side, 3)), ["a", "b"])
    x = crops(network) - 128
    same(run_onnx(tmp_path / "a.onnx", x), network.forward(x))


def test_an_onnx_file_says_how_it_is_fed_and_does_what_its_flags_say(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    network, mean = saved(tmp_path / "a.npz", "tiny", 3)
    main([str(tmp_path / "a.npz"), str(tmp_path / "a.onnx"), "--with-softmax", "--uint8-input"])
    model = onnx.load(tmp_path / "a.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about == onnx_graph.description(
        56, (64, 64, 3), ["class 0", "class 1", "class 2"], softmax=True, uint8=True)
    for text in (model.doc_string, model.graph.doc_string, model.graph.input[0].doc_string):
        assert "resize: the shorter side to 64\ncrop: the centre, 56×56\ncolours: RGB" in text
    assert "they sum to 1" in model.graph.output[0].doc_string
    x = crops(network).astype(np.uint8)
    scores = ours(network, mean, x, 1 / 64)
    e = np.exp(scores - scores.max(1, keepdims=True))
    runtime = pytest.importorskip("onnxruntime", reason="runs the graph")
    net = runtime.InferenceSession(tmp_path / "a.onnx")
    answer, = net.run(["probabilities"], {"pictures": x.transpose(0, 3, 1, 2).copy()})
    same(answer, e / e.sum(1, keepdims=True))


def test_the_description_names_type_size_range_and_classes():
    about = onnx_graph.description(224, (256, 256, 3), ["a", "b"], softmax=False, uint8=False)
    assert about["input"] == "pictures, float32 (N, 3, 224, 224)" and about["size"] == "224"
    assert "256" in about["resize"] and "0 to 255" in about["range"] and "raw" in about["output"]
    assert json.loads(about["classes"]) == ["a", "b"]


# The loss is no part of the network, and for a local layer ONNX has no node.
@pytest.mark.parametrize("kind", [name for name in layers.__all__ if name not in (
    "Activation", "Layer", "LocallyConnected2D", "SoftmaxCrossEntropy")])
def test_every_layer_of_a_network_has_its_nodes(kind):
    """A new kind of layer is forgotten here first, and only found by who exports it."""
    case = cases_of(kind)[0]
    layer, shape = case.make(SHIPPED[kind]), case.shape[1:]
    network = SimpleNamespace(shapes={layer: (shape, layer.output_shape(shape))})
    graph = onnx_graph.Graph(MagicMock(), network)
    assert graph.layer(layer, "x") == layer.name and graph.nodes


def test_a_layer_without_nodes_is_refused():
    with pytest.raises(UserError, match="odd: there is no ONNX node for a Layer"):
        onnx_graph.Graph(None, alexnet.tiny()).layer(layers.Layer("odd"), "x")


def test_without_onnx_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    saved(tmp_path / "a.npz", "cifar10-quick")
    with pytest.raises(UserError, match="needs the package onnx") as caught:
        main([str(tmp_path / "a.npz"), str(tmp_path / "a.onnx")])
    assert "pip install onnx" in caught.value.hint and not (tmp_path / "a.onnx").exists()


def test_a_network_that_does_not_fit_its_checkpoint_is_named(tmp_path):
    network, _ = saved(tmp_path / "a.npz", "cifar10-quick")
    damaged = checkpoint.load(tmp_path / "a.npz")

    def expect(said):
        damaged.save(tmp_path / "b.npz")
        with pytest.raises(UserError, match=said):
            main([str(tmp_path / "b.npz"), str(tmp_path / "out.npz")])

    damaged.values["conv1.W"] = np.full_like(damaged.values["conv1.W"], np.nan)
    expect(r"conv1\.W holds numbers that are not finite")
    damaged.values["conv1.W"] = network.state()["conv1.W"]
    damaged.mean = damaged.mean[:20, :20]
    expect("mean picture is smaller")
    damaged.about["settings"]["towers"] = 12
    expect("no run has towers 12")


def test_a_local_layer_that_others_do_not_have_is_refused(tmp_path, refused):
    saved(tmp_path / "a.npz", "13pct")
    err = refused(main, [str(tmp_path / "a.npz"), str(tmp_path / "a.safetensors")])
    assert "local3: other formats have no local layers" in err
