"""Weights of others: the same pictures in, the same scores out as where they come from.

Every slip here gives a network that runs: channels in the wrong order (BGR, or rows before
channels), the towers' filters interleaved, a normalisation that stops at the border between the
towers, a dropout that counts twice or not at all, a mean that is subtracted from the wrong colour.
So what comes out is compared with an independent run of the same network, in PyTorch.
"""

import shutil

import caffe_writer
import numpy as np
import pytest
from caffe_writer import ALEXNET, FULL, QUICK, blob, field, layer_2013, layer_2014, model, weights
from runs import assert_same_bits

from tinyalex.convert import caffe, published, safetensors
from tinyalex.convert.__main__ import main
from tinyalex.data import cifar10
from tinyalex.data.dataset import Dataset
from tinyalex.run import checkpoint
from tinyalex.run.opened import open_network
from tinyalex.support.errors import UserError

TORCHVISION = {
    "features.0": (64, 3, 11, 11), "features.3": (192, 64, 5, 5), "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3), "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216), "classifier.4": (4096, 4096), "classifier.6": (1000, 4096)}


@pytest.fixture
def folder(tmp_path):
    """Its files are hundreds of megabytes large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture
def quick(tmp_path):
    path = tmp_path / "quick.caffemodel"
    path.write_bytes(model("quick", weights(QUICK)))
    return path


def scores(path, images):
    """What the checkpoint says of pictures (N, S, S, 3) uint8, the way `evaluate` asks it."""
    with open_network(path, "cpu") as net:
        dataset = Dataset(images, np.zeros(len(images), int), tuple(net.classes), "pictures")
        (x, _), = net.loader(dataset).epoch()
        return net.network.forward(x)


def pictures(side, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (2, side, side, 3)).astype(np.uint8)


def same(ours, theirs):
    """To 1e-4 of the largest score."""
    assert abs(theirs).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * abs(theirs).max())


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def tensors(torch, numbers):
    """Weights, and biases, by the layer."""
    return ({name: torch.from_numpy(arrays[i]) for name, arrays in numbers.items() if arrays}
            for i in (0, 1))


def caffe_alexnet(torch, numbers, x):
    """bvlc_alexnet by its prototxt. x: (N, 3, 227, 227), BGR, minus the mean."""
    functional = torch.nn.functional
    W, b = tensors(torch, numbers)

    def unit(name, x, **options):
        return functional.conv2d(x, W[name], b[name], **options).relu()

    def norm(x):
        return functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1)

    def pool(x):
        return functional.max_pool2d(x, 3, 2, ceil_mode=True)

    x = pool(norm(unit("conv1", torch.from_numpy(x), stride=4)))
    x = pool(norm(unit("conv2", x, padding=2, groups=2)))
    x = unit("conv4", unit("conv3", x, padding=1), padding=1, groups=2)
    x = pool(unit("conv5", x, padding=1, groups=2)).flatten(1)
    for name in ("fc6", "fc7"):
        x = functional.linear(x, W[name], b[name]).relu()
    return functional.linear(x, W["fc8"], b["fc8"]).numpy()


@pytest.mark.slow
def test_caffes_alexnet_says_what_it_says_in_torch(folder, capsys, torch):
    numbers = weights(ALEXNET)
    mean = np.random.default_rng(2).uniform(90, 140, (3, 256, 256)).astype(np.float32)  # B, G, R
    (folder / "alexnet.caffemodel").write_bytes(model("AlexNet", numbers, layer_2014))
    (folder / "mean.binaryproto").write_bytes(blob(mean[None], old=True))
    argv = [folder / "alexnet.caffemodel", folder / "alexnet.npz", "--mean",
            folder / "mean.binaryproto"]
    assert main([*map(str, argv)]) == 0
    assert "2 towers, 60,965,224 parameters" in capsys.readouterr().out
    images = pictures(256)
    x = images[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) - mean
    theirs = caffe_alexnet(torch, numbers, np.ascontiguousarray(x[:, :, 14:241, 14:241]))
    same(scores(folder / "alexnet.npz", images), theirs)


def torchvision_alexnet(torch, numbers, x):
    """torchvision's alexnet, as its source lists the layers. x: (N, 3, 224, 224), normalised."""
    nn = torch.nn
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2))
    classifier = nn.Sequential(
        nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096),
        nn.ReLU(), nn.Linear(4096, len(numbers["classifier.6.bias"])))
    net = nn.ModuleDict({"features": features, "classifier": classifier}).eval()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in numbers.items()})
    with torch.no_grad():
        maps = nn.functional.adaptive_avg_pool2d(features(torch.from_numpy(x)), 6)
        return classifier(maps.flatten(1)).numpy()


def state(shapes, seed=0):
    return {f"{name}.{kind}": array for name, arrays in weights(shapes, seed).items()
            for kind, array in zip(("weight", "bias"), arrays, strict=True)}


@pytest.mark.slow
def test_torchvisions_alexnet_says_what_it_says_in_torch(folder, capsys, torch):
    numbers = state(TORCHVISION)
    safetensors.save(folder / "alexnet.safetensors", numbers, {})
    assert main([str(folder / "alexnet.safetensors"), str(folder / "alexnet.npz")]) == 0
    assert "1 tower, 61,100,840 parameters" in capsys.readouterr().out
    images = pictures(256)
    x = images[:, 16:240, 16:240] / 255 - np.array([0.485, 0.456, 0.406])
    x = (x / np.array([0.229, 0.224, 0.225])).transpose(0, 3, 1, 2).astype(np.float32)
    same(scores(folder / "alexnet.npz", images), torchvision_alexnet(torch, numbers, x))


CONVOLUTIONS = {name: shape for name, shape in TORCHVISION.items() if len(shape) == 4}


def test_convolutions_alone_are_a_start_and_no_checkpoint(tmp_path, refused):
    numbers = state(CONVOLUTIONS)
    safetensors.save(tmp_path / "a.safetensors", numbers, {"about": "their own text"})
    start = published.start(tmp_path / "a.safetensors")
    assert start.classes is None and start.mean.shape == (256, 256, 3)
    assert sorted(start.values) == [f"conv{i}.{key}" for i in range(1, 6) for key in "Wb"]
    np.testing.assert_array_equal(
        start.values["conv2.W"], numbers["features.3.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_allclose(  # pixels are 0 to 255 here, and the recipe divides them by 58
        start.values["conv1.W"][..., 1, :] * start.recipe.scale * 0.224 * 255,
        numbers["features.0.weight"].transpose(2, 3, 1, 0)[..., 1, :], rtol=1e-5)
    error = refused(main, [str(tmp_path / "a.safetensors"), str(tmp_path / "out.npz")])
    assert "torchvision's alexnet without fc6, fc7, fc8" in error and "train --from" in error
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("kind", ["float16", "float64", "int32", "uint8", "bool", "U3"])
def test_weights_are_floats_whatever_other_numbers_fit_as_well(tmp_path, kind):
    """Those of a quantised network mean nothing without its scales, and would be read as they are.
    """
    numbers = state(CONVOLUTIONS) | {"features.3.bias": np.ones(192, kind)}
    np.savez(tmp_path / "a.npz", **numbers)
    if kind.startswith("float"):
        assert published.start(tmp_path / "a.npz").values["conv2.b"].dtype == np.float32
        return
    with pytest.raises(UserError, match=rf"the biases of features\.3 are of the type \S*{kind}"):
        published.start(tmp_path / "a.npz")


@pytest.mark.slow
def test_a_pth_of_whole_numbers_is_refused_by_the_layer_too(tmp_path, torch):
    numbers = {name: torch.from_numpy(array) for name, array in state(CONVOLUTIONS).items()}
    torch.save(numbers | {"features.3.bias": torch.ones(192, dtype=torch.uint8)},
               tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"the biases of features\.3 are of the type uint8"):
        published.start(tmp_path / "a.pth")


def test_a_whole_file_is_a_start_with_its_own_number_of_classes(tmp_path):
    (tmp_path / "a.caffemodel").write_bytes(changed(ip2=(7, 64)))
    start = published.start(tmp_path / "a.caffemodel")
    assert start.classes == tuple("0123456") and start.values["ip2.W"].shape == (64, 7)
    assert start.values.keys() == start.recipe.network(7).state().keys()


def caffe_cifar10(torch, numbers, x, norm=lambda x: x):
    """cifar10_quick by its prototxt, with means over the pixels that a window has; with the norm
    cifar10_full. x: RGB."""
    functional = torch.nn.functional
    W, b = tensors(torch, numbers)
    x = functional.conv2d(torch.from_numpy(x), W["conv1"], b["conv1"], padding=2)
    x = norm(functional.max_pool2d(x, 3, 2, ceil_mode=True).relu())
    for name in ("conv2", "conv3"):
        x = functional.conv2d(x, W[name], b[name], padding=2).relu()
        ones = functional.avg_pool2d(x * 0 + 1, 3, 2, ceil_mode=True, divisor_override=1)
        x = functional.avg_pool2d(x, 3, 2, ceil_mode=True, divisor_override=1) / ones
        x = norm(x) if name == "conv2" else x
    x = x.flatten(1)
    for name in sorted(W.keys() & {"ip1", "ip2"}):
        x = functional.linear(x, W[name], b[name])
    return x.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("shapes", [QUICK, FULL], ids=["quick", "full"])
def test_caffes_nets_for_cifar10_say_what_they_say_in_torch(shapes, tmp_path, torch):
    numbers = weights(shapes)
    numbers["conv1"][0][...] *= 5  # so that cifar10_full has something to normalise
    (tmp_path / "a.caffemodel").write_bytes(model("", numbers))
    mean = np.random.default_rng(2).uniform(90, 140, (3, 32, 32)).astype(np.float32)
    (tmp_path / "mean.binaryproto").write_bytes(blob(mean[None], old=True))
    main([str(tmp_path / "a.caffemodel"), str(tmp_path / "q.npz"), "--mean",
          str(tmp_path / "mean.binaryproto")])
    images = pictures(32)
    x = images.transpose(0, 3, 1, 2) - mean

    def within_maps(x):  # alpha / 9, with zeros beyond the edges
        return x / (1 + 5e-5 * torch.nn.functional.avg_pool2d(x**2, 3, 1, 1)) ** 0.75

    norm = {"norm": within_maps} if shapes is FULL else {}
    same(scores(tmp_path / "q.npz", images), caffe_cifar10(torch, numbers, x, **norm))


def test_every_age_of_caffe_writes_the_same_network(tmp_path):
    saved = []
    for layer in (caffe_writer.layer_2015, layer_2014, layer_2013):
        path = tmp_path / "one.caffemodel"
        path.write_bytes(model("quick", weights(QUICK), layer))
        main([str(path), str(tmp_path / "out.npz")])
        saved.append(checkpoint.load(tmp_path / "out.npz").values)
    for values in saved[1:]:
        assert_same_bits(values, saved[0])


def test_a_blob_may_be_of_doubles_or_in_pieces(tmp_path):
    array = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    shape, numbers = field(7, field(1, b"\x02\x03")), array.tobytes()
    for data in (blob(array, double=True), shape + field(5, numbers[:8]) + field(5, numbers[8:])):
        (tmp_path / "a").write_bytes(field(100, field(1, "a") + field(7, data)))
        (read,), = caffe.model(tmp_path / "a").blobs.values()
        np.testing.assert_array_equal(read.read(), array)


def test_without_a_mean_picture_the_published_mean_is_subtracted(quick, tmp_path):
    main([str(quick), str(tmp_path / "q.npz")])
    saved = checkpoint.load(tmp_path / "q.npz")
    assert saved.mean.shape == (32, 32, 3) and saved.mean[5, 6].tolist() == pytest.approx(
        [125.3, 123.0, 113.9])
    assert saved.about["classes"] == list(cifar10.CLASSES)


def test_classes_get_the_names_in_a_file(tmp_path):
    lines = tmp_path / "words.txt"
    lines.write_text("n01440764 tench, Tinca tinca\n\nn01443537 goldfish\nnew york\n")
    assert published.class_names(lines, 3) == ("n01440764", "n01443537", "new york")
    for text, said in (("a\nb\n", "2 names for 3"), ("a\nb\nb\n", "two classes are called 'b'")):
        lines.write_text(text)
        with pytest.raises(UserError, match=said):
            published.class_names(lines, 3)
    lines.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="no text"):
        published.class_names(lines, 3)


def changed(**shapes):
    return model("net", weights({**QUICK, **shapes}))


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.caffemodel", b"", "is empty"),
    ("a.caffemodel", b"name: \"quick\"\nlayer { name: \"conv1\" }\n", "not a Caffe model"),
    ("a.caffemodel", changed()[:5000], "field 100 announces 9,780 bytes, but 4,991 are left"),
    ("a.caffemodel", model("net", {}), "whose layers with weights are none"),
    ("a.caffemodel", model("lenet", weights({"conv1": (2, 3, 5, 5)})),
     "lenet whose layers with weights are 'conv1'"),
    ("a.caffemodel", model("CaffeNet", {"pool1": (), "norm1": ()}), "pools before it normalises"),
    ("a.caffemodel", changed(conv2=(32, 16, 5, 5)), "weights of conv2 have shape"),
    ("a.caffemodel", changed(ip2=(1, 64)), "1 biases in ip2, one for each class"),
    ("a.caffemodel", changed(ip2=(10, 32)), "weights of ip2 have shape"),
    ("a.caffemodel", model("q", weights(QUICK)) + field(100, field(1, "ip1") + field(7, blob(
        np.zeros(3)))), "two layers are called 'ip1'"),
    ("a.safetensors", b"\xff" * 40, "announces a header of"),
    ("a.safetensors", (2).to_bytes(8, "little") + b"[]", "does not name arrays"),
    ("a.safetensors", (90_000).to_bytes(8, "little") + b"[" * 90_000, "not JSON"),
    ("a.safetensors", (2).to_bytes(8, "little") + b"{}", "not torchvision's alexnet"),
    ("a.npz", b"PK\x03\x04 and no more", "not an .npz file of plain arrays"),
    ("a.txt", b"text", "not a file that can be read here, judging by its name"),
])
def test_what_is_wrong_with_a_file_is_said_in_one_line(name, content, said, tmp_path, refused):
    (tmp_path / name).write_bytes(content)
    error = refused(main, [str(tmp_path / name), str(tmp_path / "out.npz")])
    assert name in error and said in error
    assert not (tmp_path / "out.npz").exists()


def test_numbers_that_are_not_finite_are_refused(tmp_path, refused):
    numbers = weights(QUICK)
    numbers["conv2"][0][3, 2, 1, 0] = np.inf
    (tmp_path / "a.caffemodel").write_bytes(model("quick", numbers))
    error = refused(main, [str(tmp_path / "a.caffemodel"), str(tmp_path / "out.npz")])
    assert "conv2.W holds numbers that are not finite" in error


@pytest.mark.parametrize(("words", "mean", "said"), [
    ("q.caffemodel out.npz --mean mean", blob(np.ones((1, 3, 16, 16)), old=True), "16×16 pixels"),
    ("q.caffemodel out.npz --mean mean", blob(np.ones((1, 1, 32, 32)), old=True),
     "not a colour picture"),
    ("q.caffemodel out.npz --mean mean", b"P6 32 32", "not a Caffe mean picture"),
    ("q.caffemodel out.onnx", b"", "become a checkpoint"),
    ("nowhere.pth out.npz", b"", "nowhere.pth: no such file"),
    ("q.caffemodel q.caffemodel", b"", "a file to read"),
    ("q.npz out.npz --mean mean", b"", "has its own"),
    ("q.npz out.h5", b"", "written here"),
    ("q.npz out.safetensors --with-softmax", b"", "-softmax: out.safetensors is not an .onnx"),
    ("q.caffemodel out.npz --uint8-input", b"", "--uint8-input: out.npz is not an .onnx"),
])
def test_what_does_not_fit_together_is_said(words, mean, said, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.caffemodel").write_bytes(changed())
    if "q.npz" in words:
        main(["q.caffemodel", "q.npz"])
    (tmp_path / "mean").write_bytes(mean)
    assert said in refused(main, words.split())
