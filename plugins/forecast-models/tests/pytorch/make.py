"""Makes the fixtures beside it with PyTorch: networks as `nn.LSTM` stores them, windows, and what PyTorch
makes of these. Run with torch, numpy and safetensors installed: python make.py"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


class Network(torch.nn.Module):
    def __init__(self, n_hidden, n_layers):
        super().__init__()
        self.lstm = torch.nn.LSTM(1, n_hidden, n_layers, batch_first=True)
        self.head = torch.nn.Linear(n_hidden, 1)

    def forward(self, differences):
        hidden, _ = self.lstm(differences[None, :, None])
        return self.head(hidden[0, -1])[0]


def forecast(network, info, window):
    """As the README of the crate says; None in the JSON is a missing sample."""
    known = []
    for value in reversed(window):
        if value is None:
            break
        known.insert(0, value)
    scale, clip = float(info["scale"]), float(info["clip"])
    pairs = zip(known, known[1:])
    scaled = [min(max((b - a) / scale, -clip), clip) for a, b in pairs]
    change = network(torch.tensor(scaled, dtype=torch.float32))
    return known[-1] + float(change.detach().double()) * scale


def make(name, n_hidden, n_layers, spread, info):
    torch.manual_seed(7)
    network = Network(n_hidden, n_layers)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -spread, spread)
    info = {key: str(value) for key, value in info.items()} | {"format": "pointsman-lstm/1"}
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(tensors, HERE / f"{name}.safetensors", metadata=info)
    n = int(info["window"])
    windows = []
    for case in range(20):
        noise = (torch.rand(n, dtype=torch.float64) * 0.2).tolist()
        wave = [0.4 + 0.3 * math.sin((at + case) * (0.1 + 0.1 * case)) for at in range(n)]
        window = [a + b for a, b in zip(wave, noise)]
        n_missing = [0, 0, 1, n // 2, n - 3][case % 5]
        windows.append([None] * n_missing + window[n_missing:])
    forecasts = [forecast(network, info, window) for window in windows]
    cases = {"torch": torch.__version__, "windows": windows, "forecasts": forecasts}
    (HERE / f"{name}.json").write_text(json.dumps(cases))


make("one-layer", 12, 1, 0.8,
     {"column": "cpu-used", "step_ms": 60000, "window": 30, "horizon": 1, "scale": 0.05, "clip": 8})
make("two-layers", 6, 2, 1.5,
     {"column": "memory-used", "step_ms": 60000, "window": 16, "horizon": 5, "scale": 0.1, "clip": 2})
