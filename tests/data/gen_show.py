#!/usr/bin/python3
"""Writes golden/show.txt: how Python and PyTorch print values and format them, for a test that runs
without them. README.md beside this file describes the format.

Needs Debian's python3-torch; running it again gives the same file.
"""
import itertools
import math
import os
import random
import struct
import sys

import torch

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "show.txt")
BYTES_MAX = 300_000
DTYPES = {"bool": torch.bool, "int64": torch.int64, "float32": torch.float32,
          "float64": torch.float64}
draw = random.Random(7)


# ---- values, each with the tokens that a test rebuilds it from -----------------------------------

class Tokens:
    """A value of Python and how the file writes it down."""

    def __init__(self, value, tokens):
        self.value, self.tokens = value, tokens


def hexadecimal(x):
    if math.isnan(x):
        return "-nan" if math.copysign(1, x) < 0 else "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    mantissa, exponent = x.hex().split("p")
    return mantissa.rstrip("0").rstrip(".") + "p" + exponent if "." in mantissa else x.hex()


def plain(value):
    """The tokens of what needs no others to be rebuilt."""
    if isinstance(value, Tokens):
        return value
    if value is None or value is ... or isinstance(value, bool):
        return Tokens(value, {None: "none", ...: "ellipsis", True: "true", False: "false"}[value])
    if isinstance(value, int):
        return Tokens(value, f"int {value}")
    if isinstance(value, float):
        return Tokens(value, f"float {hexadecimal(value)}")
    if isinstance(value, str):
        return Tokens(value, f"str {value.encode().hex() or '-'}")
    if isinstance(value, torch.dtype):
        return Tokens(value, f"dtype {str(value)[len('torch.'):]}")
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        return Tokens(value, "slice " + " ".join(plain(part).tokens for part in parts))
    assert type(value) in (list, tuple, torch.Size), value
    items = [plain(item) for item in value]
    name = {list: "list", tuple: "tuple", torch.Size: "size"}[type(value)]
    return Tokens(type(value)(item.value for item in items),
                  " ".join([name, str(len(items))] + [item.tokens for item in items]))


def named(name, items):
    """What torch.max(x, 0) gives: name and fields of torch.return_types."""
    items = [plain(item) for item in items]
    cls = getattr(torch.return_types, name)
    value = cls([item.value for item in items])
    words = ["named", f"torch.return_types.{name},values,indices", str(len(items))]
    return Tokens(value, " ".join(words + [item.tokens for item in items]))


def dims(numbers):
    return ",".join(map(str, numbers)) or "-"


def tensor(values, dtype="float32", shape=None, stride=None, offset=0, storage=None, leaf=False):
    """Of a storage with the values over and over again; row-major unless stride is given."""
    shape = (len(values),) if shape is None else shape
    count = math.prod(shape)
    storage = count if storage is None else storage
    numbers = torch.tensor(values, dtype=DTYPES[dtype])
    base = numbers.repeat(-(-storage // len(values)))[:storage].clone()
    x = base.view(shape) if stride is None else base.as_strided(shape, stride, offset)
    stride = x.stride()
    return Tokens(x.requires_grad_() if leaf else x,
                  tensor_tokens(numbers, dtype, shape, stride, offset, storage,
                                "leaf" if leaf else "-"))


def tensor_tokens(numbers, dtype, shape, stride, offset, storage, history):
    """history: -, leaf (it requires a gradient), or the name of its grad_fn."""
    words = [hexadecimal(v) if isinstance(v, float) else str(int(v)) for v in numbers.tolist()]
    runs = [(word, len(list(run))) for word, run in itertools.groupby(words)]
    words = [f"{word}*{count}" if count > 1 else word for word, count in runs]
    return " ".join(["tensor", dtype, dims(shape), dims(stride), str(offset), str(storage), history,
                     str(len(words))] + words)


def made(x, period=None):
    """A tensor that has a grad_fn; its numbers come again after so many."""
    dtype = str(x.dtype)[len("torch."):]
    base = x.detach().contiguous()
    return Tokens(x, tensor_tokens(base.view(-1)[:period], dtype, base.shape, base.stride(), 0, base.numel(),
                                   type(x.grad_fn).__name__))


# ---- tensors -------------------------------------------------------------------------------------

NAN, INF = math.nan, math.inf
VALUES = [
    [1.0], [0.0], [-0.0], [0.5], [-0.5], [1.0, 2.0, 3.0], [1.0, 2.5], [-1.0, 2.0], [0.1, 0.2, 0.3],
    [1e-4], [9.9999e-5], [1e-5], [1e-5, 1.0], [1.0, 1000.0], [1.0, 1001.0], [1.0, 1000.5],
    [0.5, 500.0], [0.5, 500.5], [1e8], [1e8 + 8], [1e8, -1e8], [1e8 - 0.5], [99999999.5, 1e5],
    [123456789.0], [12345678.0, 1.0], [1e10], [1.5e10], [1e30, 1e-30], [-1e-30], [3.4028234663852886e38],
    [1e-45], [1e-38, 1e-40], [NAN], [INF], [-INF], [NAN, INF, -INF], [NAN, 1.0], [INF, 1.0],
    [-INF, 1.0], [NAN, 1.5], [INF, 0.25], [-INF, 0.25], [-INF, 1e-7], [NAN, 0.0], [0.0, -0.0],
    [0.0, 1.0], [-0.0, 1.5], [-0.0, 1e-9], [0.0, 1e9], [100.0, 0.0, -5.0], [0.00005, 1.0],
    [0.00015, 1.0], [0.03125, 0.00390625], [2.00005, 2.00015], [9.99995, 1.0], [99999.99995, 1000.0],
    [999.99995, -1.0], [-999.99995, 1.0], [1.0, -10.0], [1.0, -1000.0], [1e8, 1e7], [3.0, NAN, -0.0],
    [65504.0, 0.1], [1 / 3, 2 / 3, 1.0], [math.pi, math.e], [1e7, 1e4], [1e7, 1e4 - 1], [0.999999, 1.0],
]
WIDE = [  # of float64 only
    [1e100], [1e-100], [1e99, 1e100], [9.99995e99], [9.99994e99], [9.99996e99, 1e98], [1e-99],
    [9.99995e-100, 1.0], [9.999949e-100], [1e308, -1e-308], [5e-324], [-1e-320, 1e-300],
    [1.7976931348623157e308], [1e200, -1e10], [-1e200, 1e10], [1e-200, -1e10], [1.0, 1e308 * 1.5],
]
INTEGERS = [[0], [1], [-1], [1, 2, 3], [1, -100], [100, -1], [2**63 - 1, -2**63], [10**12, 5],
            [-7, 7], [0, 0, 0]]


def vectors():
    for values in VALUES:
        yield tensor(values)
        yield tensor(values, "float64")
    for values in WIDE:
        yield tensor(values, "float64")
    for values in INTEGERS:
        yield tensor(values, "int64")
    for values in ([True], [False], [True, False], [True, True], [False, False, True]):
        yield tensor(values, "bool")
    minus_nan = struct.unpack("<d", bytes.fromhex("000000000000f8ff"))[0]
    yield tensor([minus_nan, 1.0], "float64")


def scalars():
    for values in VALUES:
        yield tensor(values[:1], shape=())
    for value in (1e100, -1e-100, 0.1, 123456.789):
        yield tensor([value], "float64", shape=())
    for value in (5, -2**63, 0):
        yield tensor([value], "int64", shape=())
    yield tensor([True], "bool", shape=())
    yield tensor([2.5], shape=(), leaf=True)
    yield tensor([2.5], "float64", shape=(), leaf=True)


def empties():
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 3), (0, 0), (1, 0, 1, 2)):
        for dtype in DTYPES:
            yield tensor([0], dtype, shape)
    yield tensor([0], shape=(0,), leaf=True)
    yield tensor([0], "float64", (2, 0), leaf=True)


def ranks():
    small = [0.25, -1.5, 3.0, 0.125, 2.0]
    for shape in ((1,), (1, 1), (2, 3), (3, 2), (2, 2, 2), (1, 2, 3), (3, 1, 2), (2, 1, 2, 2),
                  (1, 1, 1, 1, 1), (2, 2, 1, 1, 2), (1, 2, 1, 2, 1, 2), (1,) * 8, (2, 1, 1, 1, 2, 1, 1, 2)):
        yield tensor(small, shape=shape)
        yield tensor([1, -20, 3], "int64", shape)
        yield tensor([True, False, False], "bool", shape)
        yield tensor(small, "float64", shape, leaf=True)


def wrapping():
    """Where lines break: by the width of the elements, the depth of the brackets, the suffix."""
    for count in range(1, 24):
        yield tensor([float(i % 10) for i in range(10)], shape=(count,))
        yield tensor([0.5, 0.25], shape=(count,), leaf=True)
        yield tensor([1e-6, 1.0], "float64", shape=(count,))
    for width in range(1, 19):
        yield tensor([10 ** (width - 1)], "int64", shape=(2, 80 // (width + 2) + 1))
    for count in (22, 23, 24, 25, 26, 45, 46, 47):
        yield tensor([1, 2], "int64", shape=(1, 1, count))
        yield tensor([True, False], "bool", shape=(count,))


def summaries():
    """Over 1000 elements."""
    count = [float(i) for i in range(13)]
    mixed = [0.5, -1.25, 1e-6, 4.0, 100.0, 7.5, 0.125]
    for shape in ((1000,), (20, 50)):
        yield tensor([1, 2], "int64", shape)
    for shape in ((1001,), (7, 200), (200, 7), (6, 200), (8, 200), (10, 10, 11), (2, 3, 400),
                  (1100, 1), (1, 1100), (1, 7, 7, 30), (1, 1, 1, 1, 1100), (3, 350), (350, 3)):
        yield tensor(count, shape=shape)
        yield tensor([3, -14, 159, 2, 6], "int64", shape)
    for shape in ((1001,), (40, 40), (2, 600)):
        yield tensor(mixed, "float64", shape, leaf=True)
        yield tensor([True, False, False], "bool", shape)
    yield tensor(mixed, shape=(1000000,))
    yield tensor(mixed, shape=(1000, 1000))
    yield tensor(mixed, shape=(100, 10, 1000))
    # What the summary leaves out does not count: here it is what would ask for an exponent.
    yield tensor([1.0, 2.0, 3.0, 1e-9, 1e9, 0.5] + [4.0] * 995, shape=(1001,))
    yield tensor([1.0, 2.0, 3.0, 1e-9, 1e9, 0.5] + [4.0] * 1194, shape=(8, 150))
    yield tensor([1.0] * 3 + [-12345] * 1000 + [2.0] * 3, shape=(1006,))


def views():
    numbers = [float(i) / 4 for i in range(24)]
    yield tensor(numbers, shape=(4, 6), stride=(1, 4), storage=24)
    yield tensor(numbers, shape=(3, 4), stride=(0, 1), storage=4)
    yield tensor(numbers, shape=(3, 4), stride=(1, 0), storage=4)
    yield tensor(numbers, shape=(4,), stride=(0,), offset=5, storage=24)
    yield tensor(numbers, shape=(2, 3), stride=(12, 2), offset=3, storage=24)
    yield tensor(numbers, shape=(), stride=(), offset=7, storage=24)
    yield tensor(numbers, shape=(2, 3, 2), stride=(1, 4, 2), offset=1, storage=24, leaf=True)
    yield tensor(numbers, shape=(2000, 300), stride=(0, 0), offset=23, storage=24)
    yield tensor(numbers, shape=(40, 50), stride=(1, 0), storage=64)
    yield tensor([7, 8, 9], "int64", shape=(5, 3), stride=(0, 1), storage=3)
    yield tensor([True, False], "bool", shape=(5, 2), stride=(1, 3), offset=2, storage=12)


def histories():
    """grad_fn, on the line or on the next."""
    functional = torch.nn.functional
    for dtype in (torch.float32, torch.float64):
        for count in range(1, 12):
            x = torch.arange(count, dtype=dtype).requires_grad_()
            yield made(x + 1)
            yield made((x / 4).abs())
            yield made(functional.log_softmax(x * 0, 0))
        x = torch.arange(12, dtype=dtype).view(3, 4).requires_grad_()
        for y in (x.t(), x.sum(), x.mean(0), x.view(2, 6), x[1], x @ x.t(), x.max(1)[0], x.clone(),
                  functional.binary_cross_entropy_with_logits(x, torch.ones_like(x)),
                  functional.cross_entropy(x, torch.tensor([1, 2, 0])), x[:, :0], x.expand(2, 3, 4)):
            yield made(y)
        yield made(x.view(-1).repeat(100), 12)


def random_value(kind):
    if kind == 0:
        return float(draw.randint(-9, 9))
    if kind == 1:
        return float(draw.randint(-10**draw.randint(1, 9), 10**draw.randint(1, 9)))
    if kind == 2:
        return draw.uniform(-1, 1)
    if kind == 3:
        return draw.gauss(0, 1) * 10.0**draw.randint(-3, 3)
    if kind == 4:
        return draw.gauss(0, 1) * 10.0**draw.randint(-36, 36)
    return draw.choice([NAN, INF, -INF, 0.0, -0.0, 1.0, 0.5, 1000.0, 1e-4, 1e8])


def random_tensor():
    rank = draw.choice([0, 1, 1, 2, 2, 2, 3, 4])
    shape = tuple(draw.randint(1, [1, 20, 9, 4, 3][rank]) for _ in range(rank))
    kind = draw.randrange(6)
    values = [random_value(kind) if draw.random() < 0.95 else random_value(5)
              for _ in range(min(12, math.prod(shape)))]
    dtype = draw.choice(["float32", "float32", "float64", "int64"])
    if dtype == "int64":
        values = [int(v) if math.isfinite(v) and abs(v) < 2**62 else 0 for v in values]
    return tensor(values, dtype, shape, leaf=dtype != "int64" and draw.random() < 0.3)


# ---- other values --------------------------------------------------------------------------------

FLOATS = [0.0, -0.0, 1.0, -1.0, 0.1, 1e15, 1e16, 1e17, 9999999999999998.0, 123456789012345680.0,
          1e-4, 1e-5, 0.00012345, 0.000099999, 1.5e-5, 2e-5, 1e22, 1e23, 1.5e300, 5e-324,
          2.2250738585072014e-308, 1.7976931348623157e308, math.pi, 1 / 3, 100.0, 1e100, 1e-100,
          -1.5e16, NAN, INF, -INF, 0.30000000000000004, 4503599627370496.5, 2.0**53, 2.0**60]
STRINGS = ["", "a", "it's", 'say "hi"', "it's \"both\"", "back\\slash", "tab\tnew\nline\rreturn",
           "\x00\x07\x1b\x7f", "é", "naïve – “quoted”", "日本語", "😀", "\u200b\u00ad\u00a0", "\u0085",
           "\u2028", "\ue000", "\ufeffx", "\U000e0001", "\U0001f468\u200d\U0001f469", "a" * 100, "'",
           '"', "\\", "{}", "%s", "\u0378"[:0] + "ok", "\u1680\u3000", "\U0010ffff", "\x80\x9f\xff"]


def nested():
    x = tensor([1.0, 2.5], leaf=True)
    m = tensor([1, 2, 3, 4], "int64", (2, 2))
    s = tensor([3.0], shape=())
    yield from ([], (), [1], (1,), (1, 2), [1, 2.0, "x", None, True], [[1, 2], [3]], ((1,), (2, 3)),
                [[]], ((),), ([],), (None,), torch.Size([2, 3]), torch.Size([]), torch.Size([1]),
                [torch.Size([0, 5])], None, True, False, ..., slice(1), slice(None), slice(1, 5, 2),
                slice(None, -1, None), (slice(None), ..., None), torch.float32, torch.float64,
                torch.int64, torch.bool, [torch.float32], 0, -1, 2**63 - 1, -2**63, ["it's", "\n"])
    yield from ([x], (x,), [x, m], (m, [s, x], 1), ["t", s], [m, m])
    yield named("max", [x, m])
    yield named("min", [s, tensor([0], "int64", ())])
    yield [named("max", [m, m]), 1]
    yield (named("sort", [x, m]),)


def random_nested(depth=0):
    kind = draw.randrange(10 if depth < 4 else 6)
    if kind < 6:
        return draw.choice([None, True, 0, 17, -3, draw.uniform(-5, 5), draw.choice(FLOATS), "s",
                            draw.choice(STRINGS), torch.float32])
    items = [random_nested(depth + 1) for _ in range(draw.randrange(4))]
    return items if kind < 8 else tuple(items)


# ---- formats -------------------------------------------------------------------------------------

SPECS = ["", "d", "5", "<5", ">8", "^9", "=8", "+", "-", " ", "z", "#", "0", "05", "08", "<08", "x<6",
         "é^9", "{<7", "<<7", "0=7", "*=8", ",", "_", "012,", "+012,", "09,", "08_", ".0", ".1", ".2",
         ".3", ".10", "#.3", ".17", "e", ".0e", "#.0e", ".3E", "f", ".0f", "#.0f", ".2f", ".20f",
         "8.2f", "+.3f", "F", ",f", "_.2f", "015,.2f", "g", ".0g", ".3g", "#g", "#.3g", "G", ".17g", "n",
         ".2n", "%", ".1%", "#.0%", "z.1f", "z.0f", "+z.1f", "z.2e", "b", "#b", "_b", "020_b", "#020_b",
         "o", "#o", "_o", "x", "#x", "X", "#X", "#010x", "_x", ",x", "c", "5c", "+c", "#c", ",c", "s",
         "5s", ".2s", ".0s", "+s", " s", "zs", "#s", "=5s", "05s", "<05s", ",s", "q", "é", "\x01", "5d5",
         "ab", "10ab", ".", "5.", ".x", ",,", "__", ",_", "_,", "+-", "5 ", "zd", ".2d", "=c", "n<9",
         "999999999999999999999", ".99999999999999999999", "020,.3", "020", "^+5", "-x", "00", "000",
         "0<5", "1000", "z+", "#0", "+#012,.3f", "=+#012_x", "'<3", "\t<4", " <6", " >6", "  <6"]
FORMATTED = [0, 7, -42, 1234567, -2**63, 2**63 - 1, 65, 233, 0x1F600, True, False, 0.0, -0.0, 1.0, 0.5,
             2.675, -1234.5678, 1e16, 1e-5, 123456789.0, 100.0, 99.95, -0.001, 1e30, NAN, -INF, INF,
             "", "text", "héllo", "日本"]


def random_spec():
    pick = draw.choice
    fill_align = pick(["", "", "", "<", ">", "^", "=", "*<", "0>", "é^", "x="])
    precision = pick(["", "", ".0", ".1", ".2", ".3", ".6", ".12", ".25"])
    return (fill_align + pick(["", "", "", "+", "-", " "]) + pick(["", "", "", "", "z"]) +
            pick(["", "", "", "#"]) + pick(["", "", "0"]) + pick(["", "", "1", "6", "10", "17", "30"]) +
            pick(["", "", "", ",", "_"]) + precision + pick(list("bcdoxXneEfFgG%s") + [""] * 8))


def random_number():
    if draw.random() < 0.3:
        return draw.randint(-10**draw.randint(1, 18), 10**draw.randint(1, 18))
    if draw.random() < 0.2:
        return draw.choice(FORMATTED)
    x = draw.gauss(0, 1) * 10.0**draw.randint(-8, 20)
    return round(x, draw.randint(0, 6)) if draw.random() < 0.5 else x


def formats():
    for value in FORMATTED:
        for spec in SPECS:
            if draw.random() < 0.25:
                yield plain(value), spec
    for _ in range(650):
        yield plain(random_number()), random_spec()
    for x in (99.95, 9.995, 0.00009996, 999999.5, 9.5):  # rounding makes one digit more of them
        for spec in ("#.1g", "#.2g", "#.3g", "#.4g", "#g", "#.2", ".2", ".3", ".1g", ".2g", ".3G", "g"):
            yield plain(x), spec
    for value in (tensor([1.5], shape=()), tensor([2], "int64", ()), tensor([True], "bool", ()),
                  tensor([0.1], shape=()), tensor([1.5], shape=(), leaf=True),
                  made(torch.tensor(1.5, requires_grad=True) * 3), tensor([1.5]),
                  tensor([1.0, 2.0], leaf=True), tensor([0], shape=(0,))):
        for spec in ("", ".2f", "d", ">10", "s", "q", "5"):
            yield value, spec
    for value in (None, [1], (1,), torch.float32, torch.Size([1]), slice(1), ...):
        for spec in ("", ".2f", "5"):
            yield plain(value), spec
    yield named("max", [tensor([1.0]), tensor([0], "int64")]), "5"


# ---- the file ------------------------------------------------------------------------------------

def shown(function, x):
    return "".join(f"|{line}\n" for line in function(x.value).split("\n"))


def formatted(x, spec):
    try:
        text = format(x.value, spec)
    except (ValueError, TypeError, OverflowError) as error:
        return f"format {x.tokens}\n:{spec}\n!{error}\n"
    if "\0" in text or "\n" in text and not isinstance(x.value, torch.Tensor):
        return ""  # no text file
    return f"format {x.tokens}\n:{spec}\n" + shown(str, Tokens(text, ""))


def lines():
    for kind in (vectors, scalars, empties, ranks, wrapping, summaries, views, histories):
        for x in kind():
            yield f"repr {x.tokens}\n" + shown(repr, x)
    for _ in range(150):
        x = random_tensor()
        yield f"repr {x.tokens}\n" + shown(repr, x)
    for value in FLOATS + [draw.gauss(0, 1) * 10.0**draw.randint(-30, 30) for _ in range(100)]:
        yield f"repr {plain(value).tokens}\n" + shown(repr, plain(value))
    for value in STRINGS:
        yield f"repr {plain(value).tokens}\n" + shown(repr, plain(value))
        yield f"ascii {plain(value).tokens}\n" + shown(ascii, plain(value))
    for value in list(nested()) + [random_nested() for _ in range(100)]:
        x = plain(value)
        yield f"repr {x.tokens}\n" + shown(repr, x)
        yield f"ascii {x.tokens}\n" + shown(ascii, x)
        if not isinstance(x.value, str):
            yield f"str {x.tokens}\n" + shown(str, x)
    for x, spec in formats():
        yield formatted(x, spec)


def main():
    text = "".join(dict.fromkeys(lines()))  # each once
    assert len(text.encode()) < BYTES_MAX, len(text.encode())
    with open(PATH, "w", encoding="utf-8") as f:
        f.write(text)
    sys.stdout.write(f"{len(text.encode())} bytes\n")


if __name__ == "__main__":
    main()
