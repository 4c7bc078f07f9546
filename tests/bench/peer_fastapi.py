#!/usr/bin/python3 -B
"""peer_fastapi.py MODEL MODELS - what a good engineer would serve in Python: FastAPI and PyTorch
under uvicorn with uvloop and httptools, one worker, one thread of arithmetic.

MODEL: JSON as POST /models takes it. /forward is as FastAPI's manual has it; /forward-tuned does
without pydantic and parses with ujson; /forward-binary takes and gives float32. /step/N trains the
Nth of MODELS models on a resident batch of 32. Prints its port, and serves until it is ended."""
import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import json
import socket
import sys
from typing import List

import numpy
import torch
import ujson
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

BENCH = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(BENCH, "..", "data"))

from golden_net import build, loss_function, optimizer_of

torch.set_num_threads(1)
model = json.loads(sys.argv[1])
net = build(model, torch.float32)
app = FastAPI()


class Trained:
    """A model in training, and its batch."""

    def __init__(self):
        self.net = build(model, torch.float32)
        self.loss = loss_function(model["loss"])
        self.optimizer = optimizer_of(model["optimizer"], self.net)
        self.inputs, self.targets = torch.rand(32, 784), torch.randint(10, (32,))
        self.steps = 0

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.net(self.inputs), self.targets)
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.item()


trained = [Trained() for _ in range(int(sys.argv[2]))]


class Inputs(BaseModel):
    inputs: List[List[float]]


def predict(x):
    """numpy to numpy."""
    with torch.inference_mode():
        return net(torch.from_numpy(x)).numpy()


@app.post("/forward")
async def forward(body: Inputs):
    with torch.inference_mode():
        return {"outputs": net(torch.tensor(body.inputs)).tolist()}


@app.post("/forward-tuned")
async def forward_tuned(request: Request):
    x = numpy.array(ujson.loads(await request.body())["inputs"], dtype=numpy.float32)
    return Response(ujson.dumps({"outputs": predict(x).tolist()}), media_type="application/json")


@app.post("/forward-binary")
async def forward_binary(request: Request):
    # A copy, since PyTorch warns of memory that it may not write to.
    x = numpy.frombuffer(bytearray(await request.body()), dtype=numpy.float32).reshape(-1, 784)
    return Response(predict(x).tobytes(), media_type="application/octet-stream")


@app.post("/step/{n}")
async def step(n: int):
    loss = trained[n].step()
    return {"step": trained[n].steps, "loss": loss}


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning", access_log=False)
uvicorn.Server(config).run(sockets=[listener])
