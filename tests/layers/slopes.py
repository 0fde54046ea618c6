"""What every lesson about a layer says first: its gradients are the slopes."""

from tinyalex import gradcheck


def assert_slopes(layer, x):
    """Of x, W and b, by centred differences in float64, for a random dy; returns the report."""
    report = gradcheck.check_layer(layer, x)
    assert report.ok, report
    assert report.error < 1e-7
    return report
