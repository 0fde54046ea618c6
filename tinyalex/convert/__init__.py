"""Weights that others trained, turned into checkpoints; and checkpoints, into files for others.

    protobuf.py      the wire format in which Caffe writes
    caffe.py         Caffe's models and mean pictures, read with it
    hdf5.py          the same models in Caffe's other format
    safetensors.py   the format of safetensors: a reader and a writer
    statedict.py     the state_dict of a PyTorch module, in any of its files
    layout.py        a layer of towers as others store it: whole, channels first
    networks.py      the networks that can be read, and what is special about each
    exported.py      our own networks in files for PyTorch, written and read again
    published.py     from any of these files to a checkpoint, or to a start for training
    onnx_graph.py    a network as an ONNX graph
    __main__.py      the command

docs/weights.md explains how to use them.
"""
