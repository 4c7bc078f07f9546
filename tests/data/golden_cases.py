"""The training cases of gen_golden.py: one row a case, grouped by the golden file it goes to.

case() fills in the rest: inputs and targets are drawn by numpy from the case's name, with few
decimals, so that the files stay small and the cases do not depend on each other.
"""
import os
import zlib

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
CLASSES = 3  # of the small classifiers


def linear(in_features, out_features, **more):
    return {"type": "linear", "in_features": in_features, "out_features": out_features, **more}


def layer(kind, **more):
    return {"type": kind, **more}


def sgd(lr, **more):
    return {"type": "sgd", "lr": lr, **more}


def loss(kind, **more):
    return {"type": kind, **more} if more else kind


def between(activation, outputs=3):
    """A small net around an activation; its input has negative and positive values."""
    return [linear(5, 6), activation, linear(6, outputs)]


def draw_targets(random, kind, shape):
    if kind == "cross_entropy":  # (n, C, d1 …) wants class numbers of shape (n, d1 …)
        return random.randint(0, shape[1], size=(shape[0],) + tuple(shape[2:]))
    if kind == "bce_with_logits":  # hard and soft labels
        return random.choice([0.0, 0.0, 1.0, 1.0, 0.25, 0.9], size=shape)
    return random.uniform(-2, 2, size=shape).round(2)


def draw_batches(name, kind, shapes):
    """shapes: a pair (input shape, output shape) per batch."""
    random = numpy.random.RandomState(zlib.crc32(name.encode()))
    return [(random.uniform(-2, 2, size=i).round(2), draw_targets(random, kind, o))
            for i, o in shapes]


def case(name, layers, loss, optimizer, shapes=None, batches=None, steps=50, dtype="float32",
         seed=0, put=None, freeze=None, exact_tie=False):
    """exact_tie: the case sits on a kink on purpose, so no rounding noise may be put on it."""
    kind = loss if isinstance(loss, str) else loss["type"]
    model = {"id": name, "layers": layers, "loss": loss, "optimizer": optimizer,
             "dtype": dtype, "seed": seed}
    return {"name": name, "model": model, "steps": steps, "put": put, "freeze": freeze or [],
            "batches": batches or draw_batches(name, kind, shapes), "exact_tie": exact_tie}


def layer_cases():
    small = [((3, 5), (3, 3))]
    plain = sgd(0.05)

    def activation(name, spec, dtype, seed):
        return case(name, between(spec), "mse", plain, small, dtype=dtype, seed=seed)

    return [
        case("linear-1x1", [linear(1, 1)], "mse", plain, [((1, 1), (1, 1))]),
        case("linear-no-bias", [linear(4, 3, bias=False)], "mse", plain, [((3, 4), (3, 3))]),
        case("linear-float64", [linear(7, 2, bias=True)], "mse", plain, [((32, 7), (32, 2))],
             dtype="float64", seed=1),
        activation("identity", layer("identity"), "float32", 2),
        activation("relu", layer("relu"), "float32", 3),
        activation("relu-float64", layer("relu"), "float64", 4),
        activation("leaky-relu", layer("leaky_relu"), "float32", 5),
        activation("leaky-relu-slope", layer("leaky_relu", negative_slope=0.2), "float64", 6),
        activation("sigmoid", layer("sigmoid"), "float32", 7),
        activation("sigmoid-float64", layer("sigmoid"), "float64", 8),
        activation("tanh", layer("tanh"), "float32", 9),
        activation("tanh-float64", layer("tanh"), "float64", 10),
        activation("gelu", layer("gelu"), "float32", 11),
        activation("gelu-float64", layer("gelu", approximate="none"), "float64", 12),
        activation("gelu-tanh", layer("gelu", approximate="tanh"), "float32", 13),
        activation("gelu-tanh-float64", layer("gelu", approximate="tanh"), "float64", 14),
        activation("silu", layer("silu"), "float32", 15),
        activation("silu-float64", layer("silu"), "float64", 16),
        activation("softmax", layer("softmax", dim=1), "float32", 17),
        # Without a bias before it: a softmax over the batch cancels it, and leaves it a gradient
        # of rounding noise.
        case("softmax-over-batch",
             [linear(5, 6, bias=False), layer("softmax", dim=0), linear(6, 3)],
             "mse", plain, small, dtype="float64", seed=18),
        activation("log-softmax", layer("log_softmax", dim=-1), "float32", 19),
        activation("log-softmax-float64", layer("log_softmax", dim=1), "float64", 20),
    ]


def shape_cases():
    deep = [linear(8, 16), layer("tanh"), linear(16, 16), layer("silu"), linear(16, 16, bias=False),
            layer("leaky_relu"), linear(16, 4)]
    wide = [linear(64, 32), layer("relu"), linear(32, 10)]
    return [
        case("flatten", [layer("flatten"), linear(16, 3)], "mse", sgd(0.02), [((3, 4, 4), (3, 3))]),
        case("flatten-some-dims",
             [layer("flatten", start_dim=1, end_dim=2), linear(4, 3), layer("flatten", start_dim=1),
              linear(18, 2)],
             "mse", sgd(0.02), [((2, 2, 3, 4), (2, 2))], dtype="float64"),
        case("rank-3", [linear(4, 5), layer("tanh"), linear(5, 2)], "mse", sgd(0.1),
             [((3, 6, 4), (3, 6, 2))]),
        case("rank-3-no-bias", [linear(4, 2, bias=False)], "mse", sgd(0.1),
             [((2, 3, 4), (2, 3, 2))], dtype="float64"),
        # Classes are the second dimension; a bias, the same for all, would have no gradient.
        case("rank-3-cross-entropy", [linear(4, 5, bias=False)], "cross_entropy", sgd(0.1),
             [((6, CLASSES, 4), (6, CLASSES, 5))]),
        case("deep", deep, "mse", sgd(0.05), [((32, 8), (32, 4))], seed=123456789, steps=100),
        case("batch-of-1", wide, "cross_entropy", sgd(0.01), [((1, 64), (1, 10))],
             seed=21, steps=20),
        case("batches-in-turn", between(layer("relu")), "mse", sgd(0.05, momentum=0.5),
             [((3, 5), (3, 3)), ((1, 5), (1, 3)), ((32, 5), (32, 3))], seed=22, steps=100),
    ]


def loss_cases():
    small = [((6, 5), (6, CLASSES))]

    def regression(name, spec, dtype="float32", lr=0.02, seed=30):
        return case(name, between(layer("tanh"), CLASSES), spec, sgd(lr), small, dtype=dtype,
                    seed=seed)

    identity = {"0.weight": numpy.eye(3)}
    kinks = numpy.array([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]])
    large = numpy.array([[200.0, -200.0, 30.0], [-30.0, 0.0, 90.0]])

    def fixed(name, spec, inputs, targets, middle=(), dtype="float32"):
        """The net is the identity, so that the loss or layer sees exactly these inputs."""
        return case(name, [linear(3, 3, bias=False), *middle], spec, sgd(0.1), put=identity,
                    batches=[(inputs, numpy.array(targets))], steps=1, dtype=dtype, exact_tie=True)

    half = [[0.0, 0.5, -1.0], [1.5, 1.0, -0.5]]  # differences of 0, 0.5 and 1 from kinks
    soft = [[1.0, 0.0, 0.5], [0.0, 1.0, 1.0]]
    return [
        regression("mse", "mse"),
        regression("mse-sum-float64", loss("mse", reduction="sum"), "float64"),
        regression("l1", "l1"),
        regression("l1-sum", loss("l1", reduction="sum"), lr=0.005),
        regression("smooth-l1", "smooth_l1"),
        regression("smooth-l1-beta", loss("smooth_l1", beta=0.5, reduction="sum"), "float64",
                   lr=0.01),
        regression("smooth-l1-beta-0", loss("smooth_l1", beta=0, reduction="mean")),
        regression("huber", "huber"),
        regression("huber-delta", loss("huber", delta=0.5, reduction="sum"), "float64"),
        regression("bce-with-logits", "bce_with_logits", lr=0.2),
        regression("bce-with-logits-sum", loss("bce_with_logits", reduction="sum"), "float64"),
        regression("cross-entropy", "cross_entropy", lr=0.2),
        regression("cross-entropy-sum", loss("cross_entropy", reduction="sum"), "float64", lr=0.05),
        fixed("l1-ties", "l1", kinks, half),
        fixed("smooth-l1-ties", loss("smooth_l1", beta=0.5), kinks, half),
        fixed("huber-ties", loss("huber", delta=0.5), kinks, half),
        fixed("relu-at-zero", "mse", kinks, half, [layer("relu")]),
        fixed("leaky-relu-at-zero", "mse", kinks, half, [layer("leaky_relu", negative_slope=0.25)]),
        fixed("bce-with-logits-large", "bce_with_logits", large, soft),
        fixed("cross-entropy-large", "cross_entropy", large, [1, 2], dtype="float64"),
        fixed("gelu-large", "mse", large, soft, [layer("gelu")]),
        fixed("gelu-tanh-large", "mse", large, soft, [layer("gelu", approximate="tanh")]),
        fixed("silu-large", "mse", large, soft, [layer("silu")]),
        fixed("tanh-large", "mse", large, soft, [layer("tanh")]),
        fixed("sigmoid-large", "mse", large, soft, [layer("sigmoid")]),
        fixed("log-softmax-large", "mse", large, soft, [layer("log_softmax", dim=1)]),
    ]


def optimizer_cases():
    small = [((6, 5), (6, CLASSES))]

    def sgd_case(name, optimizer, dtype="float32", steps=50, **more):
        return case(name, between(layer("tanh")), "mse", optimizer, small, dtype=dtype, steps=steps,
                    seed=40, **more)

    # Maximizing needs a loss with an upper bound: outputs between 0 and 1.
    bounded = [linear(5, 4), layer("tanh"), linear(4, CLASSES), layer("sigmoid")]
    return [
        sgd_case("sgd", sgd(0.1), steps=100),
        sgd_case("sgd-default-lr-float64", sgd(0.001), "float64"),
        sgd_case("momentum", sgd(0.05, momentum=0.9), steps=100),
        sgd_case("momentum-float64", sgd(0.05, momentum=0.9), "float64", steps=100),
        sgd_case("dampening", sgd(0.1, momentum=0.9, dampening=0.5)),
        sgd_case("dampening-without-momentum", sgd(0.1, dampening=0.5)),
        sgd_case("weight-decay", sgd(0.1, weight_decay=0.01), steps=100),
        sgd_case("weight-decay-float64", sgd(0.1, weight_decay=0.01), "float64", steps=100),
        sgd_case("nesterov", sgd(0.05, momentum=0.9, nesterov=True), steps=100),
        sgd_case("nesterov-weight-decay", sgd(0.05, momentum=0.8, nesterov=True, weight_decay=0.02),
                 "float64", steps=100),
        sgd_case("momentum-dampening-decay",
                 sgd(0.1, momentum=0.7, dampening=0.2, weight_decay=0.05)),
        sgd_case("lr-0", sgd(0.0, momentum=0.9), steps=3),
        sgd_case("freeze", sgd(0.1), freeze=["0.weight"]),
        sgd_case("freeze-momentum-decay", sgd(0.05, momentum=0.9, weight_decay=0.1), "float64",
                 freeze=["0.bias", "2.weight"]),
        case("maximize", bounded, "mse", sgd(0.5, maximize=True), small, seed=41),
        case("maximize-momentum-decay", bounded, "mse",
             sgd(0.2, maximize=True, momentum=0.9, weight_decay=0.05), small, seed=41,
             dtype="float64"),
        case("maximize-nesterov", bounded, "mse",
             sgd(0.2, maximize=True, momentum=0.5, nesterov=True), small, seed=42),
    ]


def read_csv(name):
    return numpy.loadtxt(os.path.join(HERE, name), delimiter=",", skiprows=1)


def line_batch():
    rows = read_csv("line.csv")
    return rows[:, :1], rows[:, 1:]


def slices(inputs, targets, size, count):
    starts = range(0, size * count, size)
    return [(inputs[i:i + size], targets[i:i + size]) for i in starts]


def training_cases():
    digits, diabetes, iris = read_csv("digits.csv"), read_csv("diabetes.csv"), read_csv("iris.csv")
    species = iris[numpy.arange(150).reshape(3, 50).T.reshape(150)]  # every batch sees every class
    return [
        case("digits", [linear(64, 32, bias=True), layer("relu"), linear(32, 10)], "cross_entropy",
             # Few seeds keep all of 96,000 relu inputs clear of 0, where rounding would decide.
             sgd(0.2), batches=slices(digits[:, :64] / 16, digits[:, 64].astype(int), 32, 10),
             steps=300, seed=7),
        case("diabetes", [linear(10, 1)], "mse", sgd(0.9, momentum=0.9),
             batches=[(diabetes[:, :10], diabetes[:, 10:])], steps=300),
        case("iris", [linear(4, 8), layer("tanh"), linear(8, CLASSES)], "cross_entropy",
             sgd(0.05, momentum=0.9, weight_decay=0.0005),
             batches=slices(species[:, :4], species[:, 4].astype(int), 30, 5), steps=200,
             dtype="float64"),
        case("line", [linear(1, 1)], "mse", sgd(0.0002), batches=[line_batch()], steps=300,
             put={"0.weight": numpy.array([[7.0]]), "0.bias": numpy.array([6.0])}),
    ]


FILES = {
    "layers.json": layer_cases,
    "shapes.json": shape_cases,
    "losses.json": loss_cases,
    "optimizers.json": optimizer_cases,
    "training.json": training_cases,
}
