"""A model's description, as POST /models takes it, to PyTorch's objects."""
import torch
from torch import nn

LAYERS = {"linear": nn.Linear, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "sigmoid": nn.Sigmoid,
          "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU, "softmax": nn.Softmax,
          "log_softmax": nn.LogSoftmax, "flatten": nn.Flatten, "identity": nn.Identity}
LOSSES = {"mse": nn.MSELoss, "bce_with_logits": nn.BCEWithLogitsLoss, "l1": nn.L1Loss,
          "cross_entropy": nn.CrossEntropyLoss, "smooth_l1": nn.SmoothL1Loss, "huber": nn.HuberLoss}


def arguments(spec):
    return {key: value for key, value in spec.items() if key != "type"}


def build(model, dtype):
    """The net as torch.manual_seed(seed) and nn.Sequential give it."""
    torch.set_default_dtype(dtype)
    torch.manual_seed(model.get("seed", 0))
    net = nn.Sequential(*[LAYERS[spec["type"]](**arguments(spec)) for spec in model["layers"]])
    torch.set_default_dtype(torch.float32)
    return net


def loss_function(spec):
    return LOSSES[spec]() if isinstance(spec, str) else LOSSES[spec["type"]](**arguments(spec))


def optimizer_of(spec, net):
    return torch.optim.SGD(net.parameters(), **arguments(spec))


def put_parameters(net, values):
    """values: name to numpy array; parameters that it does not name stay."""
    own = net.state_dict()
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(torch.from_numpy(value))
