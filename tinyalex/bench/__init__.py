"""How fast the network is and what it could be at best: `python -m tinyalex.bench`.

    timing.py     what is compared runs in turn; medians, and how far the rounds lie apart
    workload.py   a network, a batch, an update: what is measured
    layers.py     where the time of a step goes, layer by layer, and what work is done in it
    floor.py      the matrix products of a step and nothing else: no network on them can be faster
    peer.py       the same network in PyTorch
    memory.py     what a process has in memory
    measures.py   what each twist of the fast code gains
    sweeps.py     the speed against batch size, cores, pictures' size, and number of towers
    report.py     tables and CSV
    picture.py    the picture
    spans.py      when what was at work on which device; timeline.py draws it
    gpu.py        all of this on GPUs: events, the GPU's own floors, float32 and TF32
    everything.py one command for all that wants measuring on a machine with a GPU
"""
