"""The models that benches train."""


def mlp(*sizes):
    """Linear layers with ReLU between them."""
    layers = [{"type": "linear", "in_features": n, "out_features": m}
              for n, m in zip(sizes, sizes[1:])]
    return [spec for layer in layers for spec in (layer, {"type": "relu"})][:-1]


def sgd(lr):
    return {"type": "sgd", "lr": lr}


LINE = {"id": "line", "layers": mlp(1, 1), "loss": "mse", "optimizer": sgd(1e-4)}


def classifier(name, *sizes):
    return {"id": name, "layers": mlp(*sizes), "loss": "cross_entropy", "optimizer": sgd(0.01)}


def create_many(connection, count, n, m, first=0):
    """Small ones, m0 and on, of a Linear layer each."""
    for number in range(first, first + count):
        connection.ask("POST", "/models", {"id": f"m{number}", "layers": mlp(n, m), "loss": "mse",
                                           "optimizer": sgd(1e-4)})
