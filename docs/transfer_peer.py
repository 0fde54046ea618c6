"""python docs/transfer_peer.py FEATURES DATA: from photographs to a trained classifier, by tinyalex
and by PyTorch, in turn: the same layers, views, batches, rate and epochs. Seconds, and accuracy.

FEATURES: a .safetensors file of torchvision's convolutions. Each process starts with nothing kept.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS, EPOCHS, BATCH = 3, 20, 32
LAYERS = [(0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)]  # number, stride, padding
POOLED = (0, 3, 10)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch:
        return peer(args)
    for _ in range(ROUNDS):
        for name, command in (
                ("tinyalex", ["-m", "tinyalex.train", "--from", args.features,
                              "--data", args.data]),
                ("PyTorch", [__file__, args.features, args.data, "--torch"])):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, *map(str, command),
                     *(["--out", folder + "/run"] if name == "tinyalex" else [])],
                    env=os.environ | {"TINYALEX_DATA": folder}, text=True, check=True,
                    stdout=subprocess.PIPE)
                seconds = time.perf_counter() - start
            (right,) = re.findall(r"validation: ([\d.]+%) right", done.stdout)
            print(f"{name:<9} {seconds:6.1f} s  {right} right", flush=True)


def peer(args):
    """The same in PyTorch, as one writes it: a DataLoader with workers, modules, its SGD."""
    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Folder(Dataset):
        def __init__(self, split):
            classes = sorted(path.name for path in (args.data / split).iterdir())
            self.items = [(path, label) for label, name in enumerate(classes)
                          for path in sorted((args.data / split / name).iterdir())]

        def __len__(self):
            return len(self.items)

        def __getitem__(self, i):
            path, label = self.items[i]
            picture = Image.open(path).convert("RGB")
            scale = 256 / min(picture.size)
            picture = picture.resize([round(side * scale) for side in picture.size])
            left, top = ((side - 224) // 2 for side in picture.size)
            pixels = np.asarray(picture.crop((left, top, left + 224, top + 224)), np.float32) / 255
            return torch.from_numpy((pixels - np.float32(MEAN)) / np.float32(STD)).permute(
                2, 0, 1), label

    weights, layers = load_file(args.features), []
    for number, stride, padding in LAYERS:
        W = weights[f"features.{number}.weight"]
        conv = nn.Conv2d(W.shape[1], W.shape[0], W.shape[2], stride, padding)
        conv.load_state_dict({"weight": W, "bias": weights[f"features.{number}.bias"]})
        layers += [conv, nn.ReLU(inplace=True)] + [nn.MaxPool2d(3, 2)] * (number in POOLED)
    stem = nn.Sequential(*layers, nn.Flatten())

    def features(split):
        parts = []
        with torch.inference_mode():
            for x, y in DataLoader(Folder(split), BATCH, num_workers=2):
                parts.append((stem(x), y))
        return [torch.cat(part).clone() for part in zip(*parts, strict=True)]

    (x, y), (val_x, val_y) = features("train"), features("val")
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(x.shape[1], 10))
    nn.init.zeros_(head[1].weight)
    rate = 4 / float((x / 2).square().sum(1).mean())
    sgd = torch.optim.SGD(head.parameters(), rate, momentum=0.9, weight_decay=1e-4)
    drop = torch.optim.lr_scheduler.MultiStepLR(sgd, [15])
    for _ in range(EPOCHS):
        head.train()
        for batch in torch.randperm(len(x)).split(BATCH):
            sgd.zero_grad()
            nn.functional.cross_entropy(head(x[batch]), y[batch]).backward()
            sgd.step()
        drop.step()
        head.eval()
        with torch.inference_mode():
            right = (head(val_x).argmax(1) == val_y).float().mean()
    print(f"validation: {right:.2%} right")


if __name__ == "__main__":
    main()
