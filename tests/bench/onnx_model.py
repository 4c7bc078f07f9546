#!/usr/bin/python3 -B
"""onnx_model.py MODEL OUT - writes the model that POST /models makes of MODEL, JSON, as ONNX."""
import json
import os
import sys

import torch

BENCH = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(BENCH, "..", "data"))

from golden_net import build

model = json.loads(sys.argv[1])
net = build(model, torch.float32)
rows = {0: "rows"}
torch.onnx.export(net, torch.zeros(1, model["layers"][0]["in_features"]), sys.argv[2],
                  opset_version=13, input_names=["x"], output_names=["y"],
                  dynamic_axes={"x": rows, "y": rows})
