"""Dreams, and what excites a unit: a picture can be handsome and be that of another unit.

A gradient with the wrong sign, a regulariser that sharpens, a jitter that is not taken back, a
tower's map that is looked up in the other tower: each of these still gives a picture. So the ascent
is done a second time by PyTorch, which differentiates the penalties themselves; and the pictures
that excite a unit most are compared with a search that keeps everything.
"""

import numpy as np
import pytest
from peer import Peer, assert_equal, layer, network

from tinyalex.inside import dreams
from tinyalex.inside.dreams import dream, roughness
from tinyalex.inside.fields import Unit, receptive_field, shown_field
from tinyalex.inside.patches import most_exciting, reconstructions
from tinyalex.inside.units import class_unit, one_hot, units_called, values
from tinyalex.support.errors import UserError

RNG = np.random.default_rng
CLASSES = ("ant", "bee: the first", "cat", "dog", "elk", "fox")
LOW, HIGH = np.full((27, 27, 3), -0.5), np.full((27, 27, 3), 0.4)
ASCENT = {"steps": 4, "step": 0.3, "decay": 0.02, "blur": 0.11, "jitter": 3, "seed": 5}


@pytest.fixture(params=[1, 2], ids=["one tower", "two towers"])
def net(request):
    return network(request.param)


def ascent(net, unit, steps, step, decay, blur, jitter, seed):
    """The same dream, of one unit, by autograd."""
    peer, rng = Peer(net), RNG(seed)
    torch, F = peer.torch, net.shapes[unit.layer][1][-1]
    tower = 1 if unit.layer.name.endswith("b") else 0
    picture = torch.tensor(step * rng.standard_normal((27, 27, 3))).permute(2, 0, 1)[None]
    for _ in range(steps):
        shift = rng.integers(-jitter, jitter + 1, 2).tolist()
        x = picture.clone().requires_grad_()
        y = peer.forward(x.roll(shift, (2, 3)), unit.layer.name)[0, tower * F + unit.map]
        (y[unit.row, unit.column] if y.ndim else y).backward()
        g = x.grad
        picture = picture + step * g / (g[g != 0] ** 2).mean().sqrt()
        x = picture.clone().requires_grad_()
        penalty = decay / 2 * (x**2).sum()
        for axis in (2, 3):
            penalty = penalty + blur / 2 * (x.diff(dim=axis) ** 2).sum()
        penalty.backward()
        picture = (picture - x.grad).clamp(LOW.min(), HIGH.max())
    return picture[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", ["conv1:2", "conv2:4", "conv3:5", "fc4:6", "class:cat"])
def test_a_dream_is_the_ascent_that_autograd_makes(net, name):
    if net.towers == 2 and ":" in name and not name.startswith("class"):
        name = name.replace(":", "b:")
    (unit,) = units_called(net, CLASSES, name).values()
    ours = dream(net, [unit], LOW, HIGH, **ASCENT)[0]
    assert_equal(ours, ascent(net, unit, **ASCENT))
    assert (ours == LOW).any() or (ours == HIGH).any(), "and it came to what pixels can be"


def test_a_dream_does_not_depend_on_the_others_and_repeats(net):
    units = [*units_called(net, CLASSES, f"conv2{net.letter(net.towers - 1)}:0-3").values()]
    together = dream(net, units, LOW, HIGH, **ASCENT)
    np.testing.assert_allclose(together[2], dream(net, units[2:3], LOW, HIGH, **ASCENT)[0],
                               atol=1e-9)
    assert np.abs(together[2] - together[1]).max() > 0.2
    other = dream(net, units[2:3], LOW, HIGH, **(ASCENT | {"seed": 6}))[0]
    assert np.abs(together[2] - other).max() > 0.1


def test_a_dream_excites_its_unit_and_more_so_than_others(net):
    units = [*units_called(net, CLASSES, f"conv3{net.letter(0)}:0-5").values()]
    x = dream(net, units, LOW, HIGH, **(ASCENT | {"steps": 40, "jitter": 1}))
    noise = RNG(0).uniform(LOW, HIGH, x.shape)
    for n, unit in enumerate(units):
        given = values(net, [unit] * len(x), x)
        assert given[n] == max(given) and given[n] > max(values(net, [unit] * len(x), noise))


def test_a_dream_is_of_the_type_of_its_limits(net):
    (unit,) = units_called(net, CLASSES, "class:bee: the first").values()
    single = network(net.towers, np.float32)
    ours = dream(single, [unit._replace(layer=layer(single, unit.layer.name))],
                 LOW.astype(np.float32), HIGH.astype(np.float32), **ASCENT)
    assert ours.dtype == np.float32
    assert_equal(ours, dream(net, [unit], LOW, HIGH, **ASCENT))


def test_a_unit_that_is_never_on_gets_noise(net):
    """No division by the nothing that counts."""
    for parameter in net.parameters:
        parameter.value[...] = 0
    x = dream(net, [class_unit(net, 1)], LOW, HIGH, **ASCENT)
    assert np.isfinite(x).all() and x.std() > 0.1


def test_where_all_is_off_a_kick_finds_the_way(net, monkeypatch):
    """Of faint noise nothing gets through conv1; of strong noise a little does."""
    a = net.letter(0)
    layer(net, f"conv1{a}").params["b"] -= 1.5
    layer(net, f"conv2{a}").params["b"][...] = 0.2
    units = [*units_called(net, CLASSES, f"conv2{a}:0-1").values()]
    for kick, better in ((dreams.KICK, True), (0, False)):
        monkeypatch.setattr(dreams, "KICK", kick)
        x = dream(net, units, LOW - 5, HIGH + 5, **(ASCENT | {"steps": 25, "step": 0.1}))
        given = np.array(values(net, units, x))
        assert (given > 0.5).all() if better else (given == 0.2).all(), "only the bias is left"


def test_the_strongest_blur_smooths_and_does_not_sharpen():
    board = (np.indices((1, 6, 6, 1)).sum(axis=0) % 2 * 2 - 1).astype(float)
    blurred = board + roughness(board) / 8
    assert np.abs(blurred[:, 1:-1, 1:-1]).max() == 0, "the finest checkerboard is gone"
    assert roughness(np.ones((1, 4, 4, 3))).any() == np.False_


# Names

def test_units_go_by_their_names(net):
    a, last = net.letter(0), net.letter(net.towers - 1)
    assert units_called(net, CLASSES, f"conv2{last}:3") == {
        f"conv2{last}:3": Unit(layer(net, f"conv2{last}"), 3, 3, 3)}
    assert [*units_called(net, CLASSES, f"fc4{a}:2-4")] == [f"fc4{a}:{f}" for f in (2, 3, 4)]
    (score,) = units_called(net, CLASSES, "class:cat").values()
    assert score == Unit(layer(net, f"fc5{a}"), 2, 0, 0)
    if net.towers == 2:
        assert class_unit(net, 4) == Unit(layer(net, "fc5b"), 1, 0, 0)


@pytest.mark.parametrize(("name", "said"), [
    ("conv9:1", "conv9:1: no layer with weights is called 'conv9'"), ("relu1a:0", "'relu1a'"),
    ("", "''"), ("conv2a", "conv2a has the maps, or units, 0 to 4"), ("conv2a:5", "0 to 4"),
    ("conv2a:-1", "0 to 4"), ("conv2a:3-2", "0 to 4"), ("conv2a:1:2", "0 to 4"),
    ("conv2a:x", "0 to 4"), ("class:yak", "no such class"), ("class:", "no such class")])
def test_a_name_of_nothing_is_refused(name, said):
    with pytest.raises(UserError, match=said):
        units_called(network(2), CLASSES, name)


@pytest.mark.parametrize(("towers", "name", "hint"), [
    (2, "conv2:1-3", "name it conv2a:1-3 or conv2b:1-3."), (2, "fc4", "name it fc4a:0 or fc4b:0."),
    (1, "conv2b:1-3", "name it conv2:1-3."), (2, "conv9:1", "the layers are conv1a, ")])
def test_a_name_without_its_towers_letter_or_with_one_too_many_is_put_right(towers, name, hint):
    with pytest.raises(UserError) as error:
        units_called(network(towers), CLASSES, name)
    assert hint in error.value.hint


def test_a_name_of_two_classes_is_refused():
    """ImageNet has two cranes, a bird and a machine."""
    classes = ("crane (n1)", "dog", "crane (n2)", "dog (big)", "dog (small)")
    with pytest.raises(UserError, match="class:crane: 2 classes are called that") as error:
        units_called(network(1), classes, "class:crane")
    assert "class:crane (n1), class:crane (n2)" in error.value.hint
    (unit,) = units_called(network(1), classes, "class:crane (n2)").values()
    assert unit.map == 2
    (unit,) = units_called(network(1), classes, "class:dog").values()
    assert unit.map == 1


# What excites a unit

def mapped(net, unit, x):
    """All of the unit's map, (N, OH, OW), or (N,)."""
    outputs = {}
    net.forward(x, watch=lambda layer, y: outputs.setdefault(layer, y.copy()))
    return outputs[unit.layer][..., unit.map]


@pytest.fixture
def pictures():
    return RNG(7).standard_normal((23, 27, 27, 3))


def in_batches(x):
    yield from np.split(x, [4, 5, 14])


def test_the_most_exciting_pictures_are_those_of_a_search_that_keeps_everything(net, pictures):
    a, b = net.letter(0), net.letter(net.towers - 1)
    units = [unit for name in (f"conv2{a}:0-4", f"conv1{b}:1", f"conv3{b}:2", f"fc4{b}:3",
                               "class:ant") for unit in units_called(net, CLASSES, name).values()]
    best = most_exciting(net, units, in_batches(pictures), 9, broken={3, 17})
    assert [*best] == units
    for unit, ranking in best.items():
        y = mapped(net, unit, pictures).reshape(23, -1)
        peaks = y.max(axis=1)
        peaks[[3, 17]] = -np.inf
        order = np.argsort(-peaks, kind="stable")[:9]
        assert [excited.picture for excited in ranking] == order.tolist()
        np.testing.assert_allclose([excited.value for excited in ranking], peaks[order])
        width = net.shapes[unit.layer][1][-2] if len(net.shapes[unit.layer][1]) == 3 else 1
        places = [excited.row * width + excited.column for excited in ranking]
        assert places == y[order].argmax(axis=1).tolist()


def test_of_equal_pictures_the_first_counts_and_few_are_few(net, pictures):
    (unit,) = units_called(net, CLASSES, f"conv3{net.letter(0)}:0").values()
    same = np.repeat(pictures[:1], 6, axis=0)
    assert [e.picture for e in most_exciting(net, [unit], [same], 4)[unit]] == [0, 1, 2, 3]
    assert len(most_exciting(net, [unit], [same[:2]], 4)[unit]) == 2


def test_a_reconstruction_is_of_the_place_and_of_nothing_outside_its_field(net, pictures):
    (unit,) = units_called(net, CLASSES, f"conv2{net.letter(net.towers - 1)}:2").values()
    best = most_exciting(net, [unit], [pictures], 3)[unit]
    x = pictures[[excited.picture for excited in best]]
    for rule in ("gradient", "deconvnet", "guided"):
        counts = reconstructions(net, unit, best, x, rule)
        for part, place in zip(counts, best, strict=True):
            field = receptive_field(net, unit._replace(row=place.row, column=place.column))
            inside = np.s_[max(0, field.top):field.bottom, max(0, field.left):field.right]
            assert np.abs(part[inside]).max() == np.abs(part).max() > 0
            assert np.abs(part).sum() == pytest.approx(np.abs(part[inside]).sum())
    step = 1e-6 * reconstructions(net, unit, best, x, "gradient")
    there = [unit._replace(row=place.row, column=place.column) for place in best]
    gained = np.subtract(values(net, there, x + step), values(net, there, x - step))
    np.testing.assert_allclose(gained, 2e6 * (step**2).sum(axis=(1, 2, 3)), rtol=1e-5)


def test_a_field_as_large_as_the_picture_is_the_picture(net):
    small = Unit(layer(net, f"conv1{net.letter(0)}"), 0, 6, 6)
    assert shown_field(net, small) == receptive_field(net, small)
    wide = Unit(layer(net, f"pool3{net.letter(0)}"), 0, 1, 1)
    assert receptive_field(net, wide).height > 27 and shown_field(net, wide) == (0, 0, 27, 27)


def test_what_counts_is_one_unit_of_one_tower():
    net = network(2)
    dy = one_hot(net, [Unit(layer(net, "conv3b"), 1, 2, 3), Unit(layer(net, "conv3a"), 5, 0, 1)],
                 np.float64)
    assert np.argwhere(dy).tolist() == [[0, 2, 3, 7], [1, 0, 1, 5]]
