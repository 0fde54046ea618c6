"""How fast the network is, and how fast it could be: `python -m tinyalex.bench`.

    timing.py     what is compared runs in turn; medians, and how far apart the rounds are
    workload.py   a network, a batch, an update: what is measured
    work.py       the rows of a step, and what has to be done in each: arithmetic and bytes
    floor.py      the matrix products of a step and nothing else: no network on them can be faster
    spans.py      what was working when, on which device; where the time of a step goes
    peer.py       the same network in PyTorch
    speed.py      all of these together; gpu.py: the floors of a GPU, float32 and TF32
    sweeps.py     the speed against batch size, cores, pictures' size, and number of towers
    measures.py   what each trick of the fast code gains
    memory.py     how much memory a process uses
    report.py     what was measured as text and as CSV; picture.py: as pictures
    timeline.py   a command: the picture of one step; workers.py: of a step that workers share
    everything.py a command: everything worth measuring on a machine with a GPU
"""
