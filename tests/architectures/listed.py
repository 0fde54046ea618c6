"""What a network is made of, as the tests list it."""


def outputs(network):
    """The shape that each layer gives, by its name."""
    return {layer.name: out for layer, (_, out) in network.shapes.items()}


def names(network, tower=0):
    """The layers of one tower, stage by stage, without the tower's letter."""
    return [[layer.name.rstrip("ab") for layer in stage[tower]] for stage in network.stages]
