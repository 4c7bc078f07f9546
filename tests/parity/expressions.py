"""Random programs over the language: a few leaves, a handful of lines, one backward.

Every line is tried in PyTorch when it is written, and kept if its result is one that can be
compared: finite, not large, not ill-conditioned by design. So the templates below need no types;
what does not fit is thrown away.
"""
import random
import re

import torch

from case import Case, fresh_state, fresh_tensors

STEPS = (3, 10)
ELEMENTS_MAX, MAGNITUDE_MAX = 200, 1e3
TRIES = 400
# What PyTorch's backward says of programs that are right.
DEFECTS = "Found dtype|doesn't match the broadcast shape"

# {t} any tensor so far, {n} a number, {p} a positive one, {d} a dim, {k} True or False.
TEMPLATES = """
{t} + {t} | {t} - {t} | {t} * {t} | {t} / ({t}.abs() + {p}) | {t} + {n} | {n} - {t} | {n} * {t}
{t} / {p} | {p} / ({t}.abs() + 1) | -{t} | {t} ** 2 | {t} ** 3 | ({t}.abs() + {p}) ** {n}
{p} ** {t} | {t} % {p} | {t} // {p} | {t} @ {t} | {t}.abs() | abs({t}) | +{t}
torch.exp({t}) | torch.log({t}.abs() + {p}) | torch.sqrt({t}.abs() + {p}) | torch.sin({t})
torch.cos({t}) | torch.tanh({t}) | torch.sigmoid({t}) | torch.log1p({t}.abs())
torch.rsqrt({t}.abs() + {p}) | torch.reciprocal({t}.abs() + {p}) | torch.square({t})
{t}.exp() | {t}.tanh() | {t}.sigmoid() | {t}.sin() | {t}.pow(2) | {t}.double().pow({t}.abs()) | {t}.neg()
torch.add({t}, {t}, alpha={n}) | torch.sub({t}, {t}, alpha={n}) | torch.rsub({t}, {t})
torch.clamp({t}, {n}, {p}) | torch.clamp({t}, min={n}) | {t}.clamp(max={n}) | {t}.clamp({t}, {t})
torch.maximum({t}, {t}) | torch.minimum({t}, {t}) | torch.max({t}, {t}) | torch.min({t}, {t})
torch.where({t} > {n}, {t}, {t}) | torch.where({t} <= {t}, {t}, {t}) | torch.where({t} < {n}, {t}, {n})
{t} > {t} | {t} == {t} | {t} != {n} | ({t} > {n}) & ({t} < {p})
torch.matmul({t}, {t}) | torch.matmul({t}, {t}.t()) | torch.mm({t}, {t}.t()) | torch.mm({t}.t(), {t})
{t}.mv({t}) | torch.dot({t}, {t}) | torch.outer({t}, {t}) | torch.addmm({t}, {t}, {t}.t())
torch.addmm({t}, {t}.t(), {t}, beta={n}, alpha={p}) | torch.bmm({t}, {t}.transpose(1, 2))
torch.matmul({t}, {t}.transpose(-1, -2)) | {t}.matmul({t})
{t}.sum() | {t}.sum({d}) | {t}.sum({d}, keepdim={k}) | {t}.sum((0, {d})) | torch.mean({t})
{t}.mean({d}) | {t}.mean({d}, keepdim={k}) | {t}.prod() | {t}.prod({d}, keepdim={k})
{t}.max() | {t}.min() | {t}.max({d})[0] | torch.min({t}, {d}, keepdim={k}).values
{t}.max(dim={d}).indices | {t}.amax({d}) | {t}.amin({d}, keepdim={k}) | {t}.amax((0, {d}))
{t}.var() | {t}.var({d}, unbiased={k}) | {t}.std({d}) | ({t} + 1).std() | {t}.norm() | {t}.norm(1)
{t}.norm(2, {d}) | {t}.norm(dim={d}, keepdim={k}) | torch.norm({t}, 3) | {t}.argmax() | {t}.argmin({d})
{t}.view(-1) | {t}.reshape(-1) | {t}.flatten() | {t}.flatten(0, {d}) | {t}.t() | {t}.T
{t}.transpose({d}, {d}) | {t}.permute(1, 0) | {t}.permute(2, 0, 1) | {t}.squeeze() | {t}.squeeze({d})
{t}.unsqueeze({d}) | {t}.unsqueeze(0).expand(2, -1) | {t}.expand(3, 2, -1) | {t}.reshape(-1, 2)
torch.cat([{t}, {t}]) | torch.cat(({t}, {t}, {t}), dim={d}) | torch.stack([{t}, {t}], {d})
{t}[0] | {t}[-1] | {t}[1:] | {t}[:, 0] | {t}[..., -1] | {t}[None] | {t}[::2] | {t}[:, None]
{t}[{t} > {n}] | {t}[torch.tensor([0, -1])] | {t}[:, torch.tensor([0, 0])] | {t}[0, 1:]
{t}.select({d}, 0) | {t}.narrow({d}, 0, 1) | {t}.index_select({d}, torch.tensor([0, 0]))
torch.softmax({t}, {d}) | {t}.softmax(dim={d}) | torch.log_softmax({t}, {d})
torch.nn.functional.relu({t}) | torch.nn.functional.leaky_relu({t}, {p}) | torch.relu({t})
torch.nn.functional.gelu({t}) | torch.nn.functional.gelu({t}, approximate='tanh')
torch.nn.functional.silu({t}) | torch.nn.functional.elu({t}, {p}) | torch.nn.functional.softplus({t})
torch.nn.functional.softplus({t}, beta={p}, threshold={p}) | torch.nn.functional.softmax({t}, {d})
torch.nn.functional.linear({t}, {t}) | torch.nn.functional.linear({t}, {t}, {t})
torch.nn.functional.mse_loss({t}, {t}) | torch.nn.functional.mse_loss({t}, {t}, reduction='sum')
torch.nn.functional.l1_loss({t}, {t}) | torch.nn.functional.l1_loss({t}, {t}, reduction='none')
torch.nn.functional.smooth_l1_loss({t}, {t}, beta={p}) | torch.nn.functional.huber_loss({t}, {t}, delta={p})
torch.nn.functional.binary_cross_entropy({t}.sigmoid(), {t}.sigmoid().detach())
torch.nn.functional.binary_cross_entropy_with_logits({t}, {t}.sigmoid())
torch.nn.functional.binary_cross_entropy_with_logits({t}, {t}.sigmoid(), pos_weight={t}.abs())
torch.nn.functional.cross_entropy({t}, {t}.argmax(1)) | torch.nn.functional.cross_entropy({t}, {t}.softmax(1))
torch.nn.functional.cross_entropy({t}, {t}.argmin(1), label_smoothing=0.1, reduction='sum')
torch.nn.functional.nll_loss(torch.log_softmax({t}, 1), {t}.argmax(1))
torch.nn.functional.conv2d({t}[None], {t}[None]) | torch.nn.functional.conv2d({t}[None, None], {t}[None, None], padding=1)
{t}.detach() | {t}.clone() | {t}.double() | {t}.float() | {t}.to(torch.float64) | {t}.long()
torch.ones_like({t}) * {t} | torch.zeros_like({t}) + {n} | torch.full_like({t}, {n}) | {t}.item() * {t}
"""
# These change {t} in place; it may be a view, or needed by another gradient.
CHANGES = """
{t}.add_({t}) | {t}.mul_({n}) | {t} += {t} | {t} *= {n} | {t} -= {t} | {t} /= {p} | {t}.sub_({n})
{t}.zero_() | {t}.fill_({n}) | {t}[0] = {n} | {t}[0] = {t} | {t}[:, 0] = {t} | {t}[{t} > {n}] = {n}
{t}[1:] += {n} | {t}.clamp_(min={n}) | {t}.neg_() | {t}.copy_({t}) | {t}.sigmoid_() | {t}.tanh_()
"""


def split(text):
    return [part.strip() for line in text.strip().split("\n") for part in line.split(" | ")]


class Author:
    """Writes one program; everything comes of the seed."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.seed = seed
        self.tensors, self.lines, self.pool = {}, [], []
        torch.manual_seed(seed)
        sizes = [self.r.randint(1, 4) for _ in range(2)]
        for name in "abcd"[:self.r.randint(2, 4)]:
            self.tensors[name] = self.leaf(sizes)
            self.pool.append(name)
        self.names = {"torch": torch, **fresh_tensors(self.tensors)}

    def leaf(self, sizes):
        m, n = sizes
        shape = self.r.choice([(), (n,), (n,), (m, n), (m, n), (m, n), (m, 1), (1, n), (2, m, n),
                               (n, m), (n, n), (0, n) if self.r.random() < 0.2 else (m, n)])
        kind = self.r.random()
        if kind < 0.05:
            return torch.rand(shape) > 0.5
        if kind < 0.15:
            return torch.randint(-3, 4, shape)
        t = torch.randn(shape, dtype=torch.float32 if kind < 0.25 else torch.float64)
        return t.mul(1000).round().div(1000).requires_grad_(self.r.random() < 0.8)

    def hole(self, kind):
        r = self.r
        return {"t": lambda: r.choice(self.pool[-4:] if r.random() < 0.6 else self.pool),
                "n": lambda: repr(r.choice([0, 1, -1, 2, 0.5, -0.25, 1.5, round(r.gauss(0, 1), 2)])),
                "p": lambda: repr(r.choice([1, 2, 0.5, 0.75, 1.25, 3])),
                "d": lambda: repr(r.choice([0, 1, -1, -1, -2, 2])),
                "k": lambda: r.choice(["True", "False"])}[kind]()

    def filled(self, template):
        while "{" in template:
            at = template.index("{")
            template = template[:at] + self.hole(template[at + 1]) + template[at + 3:]
        return template

    def step(self):
        if self.r.random() < 0.08:
            self.keep(self.filled(self.r.choice(split(CHANGES))), None)
        name = f"t{len(self.lines)}"
        self.keep(f"{name} = {self.filled(self.r.choice(split(TEMPLATES)))}", name)

    def keep(self, line, name):
        """Runs the line; a line that does not work out leaves nothing behind but its effects."""
        names = dict(self.names)
        versions = {n: names[n]._version for n in self.pool}
        try:
            exec(line, names)
            fine = comparable(names[name]) if name else all(comparable(names[n]) for n in self.pool)
        except Exception:  # it was a try
            fine = False
        self.broken = not fine and any(names[n]._version != v for n, v in versions.items())
        if fine:
            self.lines.append(line)
            self.names = names
            self.pool += [name] if name else []

    def end(self):
        """A loss over what requires a gradient, or nothing."""
        used = [n for n in self.pool if n.startswith("t") and self.names[n].requires_grad]
        if not used:
            return False
        terms = [f"{n}.sum()" if self.r.random() < 0.7 else f"{n}.mean()"
                 for n in dict.fromkeys(used[-3:])]
        self.lines += [f"loss = {' + '.join(terms)}", "loss.backward()"]
        try:
            exec("\n".join(self.lines[-2:]), self.names)
        except RuntimeError as e:  # what it needs was changed in place: to be refused, some of them
            return not re.search(DEFECTS, str(e)) and self.r.random() < 0.2
        except IndexError:  # one more defect
            return False
        grads = [self.names[n].grad for n in self.tensors]
        return comparable(self.names["loss"]) and all(g is None or comparable(g) for g in grads)

    def case(self):
        returns = [n for n in self.pool if n.startswith("t")] + ["loss"]
        returns += [f"{n}.grad" for n, t in self.tensors.items() if t.requires_grad]
        return Case("".join(line + "\n" for line in self.lines), self.tensors, returns, self.seed)


def comparable(t):
    if not isinstance(t, torch.Tensor) or t.numel() > ELEMENTS_MAX:
        return False
    t = t.detach().double()
    return t.numel() == 0 or bool(t.isfinite().all()) and float(t.abs().max()) <= MAGNITUDE_MAX


def program(seed):
    """A case, or None where nothing came of that seed."""
    fresh_state(seed)
    author = Author(seed)
    steps = author.r.randint(*STEPS)
    for _ in range(TRIES):
        author.step()
        if author.broken:
            return None
        if len(author.lines) >= steps:
            break
    return author.case() if author.end() else None


def programs(count):
    """(seed, case) of the first count that came to something."""
    seed = 0
    while count > 0:
        case = program(seed)
        if case:
            yield seed, case
            count -= 1
        seed += 1
