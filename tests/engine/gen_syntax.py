#!/usr/bin/python3
"""Writes tests/engine/syntax_cases.inc: programs, and what Python says of each.

Run it with Python 3.11, from anywhere; commit what it writes. An answer is the tree as tree_text.h
writes it, with places, or "!line:column message" of the SyntaxError. What Python takes and the
language does not is no case here, nor are places that Python counts in another way than we do
(inside of strings): both are in test_parser.c, by hand.
"""
import ast
import pathlib
import sys
import warnings

VALID = r"""
x = a + b * c - d / e // f % g @ h
-a ** -b ** c
- - a + ~b
not a == b and c or not d
a < b <= c != d
a is not b not in c is d in e
a | b ^ c & d + e
a if b else c if d else e
(a if b else c) + d
((a + b)) * (c)
x = y = z, = 1,
(a, [b, c.d]), e[0] = f
[] = () = a
a.b[c](d)(e=f, ).g
f(a, b, c=d, e=(f, g),)
x[1], x[1:], x[:1], x[::2], x[a:b:c], x[:], x[::], x[...]
x[1, 2], x[1,], x[:, None, 1:2:], x[(1, 2)]
x += 1; y -= 2; z *= 3; a /= 4; b //= 5; c %= 6; d **= 7; e @= f; g &= h; i |= j; k ^= l
x.y += a, b; x[0] -= c
(x) += (1)
1; 0; 00; 0_0; 1_000; 0xFf; 0XAB_C; 0o17; 0O7; 0b101; 0B_1; 9223372036854775807
-9223372036854775808; --9223372036854775808
1.; .5; 1.5; 1e3; 1E-3; 1_0.0_1e+1_0; 00.5; 09e1; 0e5; 1.e5; 1e999; 1e-999; 0.1; 123456789.123456789
1if a else 2; 1or b; 0x1 and c; 1 .real; 1.0.real; 1..real
'a' "b" '''c''' "\"", 'it\'s', '\\', r'\d\'', R"\n", u'x', U'y', ''
'\a\b\f\n\r\t\v\0\12\377\400\x41\xe9\u20ac\U0001F600\d\8'
'é€' # a comment with é
None, True, False, ...
a,
a if b else'c'
match = case = type = _ = print; print(match)
import a
import a.b.c, d as e, f.g as h
from a import b
from a.b import c as d, e
from a import (b, c as d,)
assert a
assert (a, b), 'no' 'yes'
pass; pass;
with a: pass
with a, b(c): x; y
with (a, b): x
with (a, b,): x
with (a), (b, c): x
with (a): x
with (): x
with (a, b).c: x
f''; f'a'; f'a{{b}}c'
f'{a}'; f'{a!r}'; f'{a!s:>10}'; f'{a:{b}.{c}f}'; F"{a[1:2]}"; rf'\d{a}\n'; fr"{a}"
f'{a=}'; f'{a = }'; f'{a=!s}'; f'{a=:.2f}'; f'x{a + b=}y'
f'{a != b}{a == b}{a <= b}{(a < b)}{a >= b}'
f'{"}"}{f"{a}"}{a["b"]}{f(a, b=c)}{a, b}{(a, b)}{ a }'
'a' f'{b}' 'c' "d" f'{e}{{' 'f'
f'\x41\{a}\n{b:\x41}'
f'{a if b else c}{not a}{-a!a}'
"""

VALID_MORE = [
    "", "\n", " ", "#", "  # a\n\n", "x", "x\n", "x\r\ny\rz", "x = 1 # a\n\n\n", "\fx = 1", "\\\nx",
    "x = (1,\n\n  # a\n 2\n)\ny", "x = a \\\n + b", "[\\\n1]", "x = '''a\nb\\\nc'''\ny", "'a\\\nb'",
    "('a'\n\n'b')", "x;", "x = '\f\t'", "a\t=\f b",
    "with a:\n  x\n  y\nz", "with a:\n\n  # a\n  x\n\n    # b\n# c\n  y\n", "with a:\n\tx\n\ty\n",
    "with a:\n  with b, c:\n    x\n  y\nz\n", "with a:\n  with b:\n    with c:\n      x\n",
    "with a:\n  x\n    \n\n  y", "with a: x = 1; y = 2;\n", "with a:\n        x\n        y",
    "f'''{\na\n}\n{b!r:\n}'''", "f'''a\n{b}'''\nc", "f'''{f\"\"\"{f'{f\"{1}\"}'}\"\"\"}'''",
    "x = torch.ones(5)\nw = torch.randn(5, 3, requires_grad=True)\nz = x @ w + b\nz.backward()\n"
    "with torch.no_grad():\n    w -= 0.1 * w.grad\n    w.grad = None\nprint(f'{w.grad=} {z:.3f}')\n",
]

WRONG = r"""
x =
x = = 1
x = 1 2
a b
a.b c
a not b
a not
True 1
f(1 2)
[1 2 3]
[a + b c]
[a, b c d]
[a -b c]
[a not b]
[a ~b]
[a None]
[(a) b]
[1 if 2 else 3 4]
(a 'b')
('a' 1)
(1 'a')
f(a=1 b=2)
f(a=1, 2)
f(a, b=1, c, d)
f(1=2)
f(a.b=2)
f((a)=1)
f(True=1)
f(a=)
f(a,,b)
f(,)
f(
print(a
x[
x[]
x[1:2:3:4]
x[a b]
x[1:2 3]
x[a = 1]
x[a:b = 1]
x[: = 1]
(a = 1)
[a.b = 1]
((a) = 1)
(1 = a)
(a = b = c)
(,)
[1,,2]
1 = x
-1 = x
f() = 1
a.b() = 1
'a' = 1
f'a' = 1
... = 1
None = 1
x = None = 1
a, 1 = 2
a + 1 = b
[a] + b = 1
not a = b
a < b = c
a and b = c
a if b else c = 1
(a, 1) = 2
[a, f()] = 1
(not a) = 1
x = 1 = 2
x = f() = 3
1 += x
f() += 1
a, b += 1
(a, b) += 1
[a] += 1
x += 1 = 2
x += y += 1
x = y = z += 1
x +=
a if b
(a if b)
x = a if b else
x = a if else c
x = 1 if 2:
a <> b
a < < b
a <= = b
a ** * b
a // / b
a @@ b
a is
a not in
**a
+
a ++
not
x = not
a.
a.1
1.a
x.pass
x = pass
pass 1
pass = 1
;
; x
pass;;
x; ; y
a,,b
x = , b
print x
print 'a', 1
print a b
exec 'a'
(print x)
a = print x
print (a) b
import
import a.
import a,
import a b
import a as
import a as b.c
import 1
from a import
from a import b,
from a import b c
from a import (b
from a import ()
from a import (b c)
from import b
from a b
assert
assert a,
assert a, b, c
assert a = 1
with a
with : x
with a,: x
with a b: x
with pass: x
with a: pass pass
with a:;
with a: with b: x
else: x
x: 
x = )
x = (1]
x = [1, 2}
x = (1,
x = 'abc
x = 'abc\
x = "a'
x = '''abc
x = $
x = a ? b
a ! b
0777
08
0_9
0o8
0o18
0b2
0b12
0xg
0x
0b_
0x__f
1_
1__0
1_a
1e
1e+
1e5e
1.5x
1.__
1abc
1.e
1n
0b1_
x = “a”
x = €
x = \ 1
x = 1 \
"""

WRONG_MORE = [
    "f(a=1, b)\ny", "x = (1,\ny = 2\n", "x = (1\ny = 2\n", "x = [1\n", "x = (\n1]", "f(1, 2\ng()",
    "a = [1, 2\nb = 3\nc = 4", "a = (b\nc d)", "x = [1,\n  2\n y]", "x = (1 2\ny",
    "x = = 1\ny = 'abc", "x = = 1\ny = )", "x = = 1\ny = (", "x = = (\ny = 1", "x = = 1\n\n  y",
    "  x = 1", "x = 1\n  y = 2", "with a:\nx", "with a:\n", "with a: ", "with a:\n\n\n",
    "with a\n  x", "with a:\n  x\n y", "with a:\n  x\n    y\n", "with a:\n\tx\n        y\n",
    "with a:\n        x\n\ty\n", "with a:\n \tx\n\t y", "with a:\n  with b:\n  x", "with a:\n  # b\n",
    "with a:\n  x\nelse: y", "x = 1 \\\n", "x = 1\n\\\n", "(\n\\\n", "a \\ \n", "x = 'abc\ny",
    "x = '''abc\n\n", "'''\n''' a", "x = '''a\nb''' c", "x = 'é' z", "x =\n1", "x = 1\x01", "x = \x7f",
    "x = a\u00a0b", "\ufeffx = 1", "x\u200b", "x = 1\u20ac", "x\ty z", "x = 'é' + 1a",
]

OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
    ast.Invert: "~", ast.UAdd: "+", ast.USub: "-", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<",
    ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in",
    ast.NotIn: "not in",
}


def quote(text):
    return "".join("\\" + c if c in '"\\' else f"\\x{ord(c):02x}" if c < " " or c == "\x7f" else c
                   for c in text)


class Writer:
    """A tree as tests/engine/tree_text.c writes it."""

    def __init__(self, source):
        self.lines = source.replace("\r\n", "\n").replace("\r", "\n").encode().split(b"\n")
        # of what is in a field Python 3.11 does not say where it stands
        self.places = "{" not in source

    def place(self, node):
        before = self.lines[node.lineno - 1][:node.col_offset].decode()
        return f"@{node.lineno}:{len(before) + 1}" if self.places else ""

    def form(self, node, name, *parts):
        return f"({name}{self.place(node)}" + "".join(" " + part for part in parts) + ")"

    def text(self, node):
        return "_" if node is None else getattr(self, type(node).__name__)(node)

    def all(self, nodes):
        return [self.text(node) for node in nodes]

    def Constant(self, node):
        value = node.value
        if isinstance(value, str):
            return f'"{quote(value)}"{self.place(node)}'
        word = ("..." if value is ... else f"{value:.17g}f" if isinstance(value, float)
                else str(value))
        return word + self.place(node)

    def Name(self, node):
        return node.id + self.place(node)

    def JoinedStr(self, node):
        return f"(f{self.place(node)}" + "".join(self.piece(piece) for piece in node.values) + ")"

    def piece(self, node):
        if isinstance(node, ast.Constant):
            return f' "{quote(node.value)}"'
        conversion = f" !{chr(node.conversion)}" if node.conversion != -1 else ""
        spec = f" :{self.text(node.format_spec)}" if node.format_spec else ""
        return " {" + self.text(node.value) + conversion + spec + "}"

    def Tuple(self, node):
        return self.form(node, "tuple", *self.all(node.elts))

    def List(self, node):
        name = "tuple" if isinstance(node.ctx, ast.Store) else "list"
        return self.form(node, name, *self.all(node.elts))

    def UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return self.form(node, "not", self.text(node.operand))
        if getattr(node.operand, "value", None) == 1 << 63:
            return "-9223372036854775808" + self.place(node)
        return self.form(node, OPERATORS[type(node.op)], self.text(node.operand))

    def BinOp(self, node):
        return self.form(node, OPERATORS[type(node.op)], self.text(node.left),
                         self.text(node.right))

    def Compare(self, node):
        rest = [f"{OPERATORS[type(op)]} {self.text(right)}"
                for op, right in zip(node.ops, node.comparators)]
        return self.form(node, "compare", self.text(node.left), *rest)

    def BoolOp(self, node):
        name = "and" if isinstance(node.op, ast.And) else "or"
        text = self.text(node.values[0])
        for value in node.values[1:]:
            text = self.form(node, name, text, self.text(value))
        return text

    def IfExp(self, node):
        return self.form(node, "if-else", *self.all([node.body, node.test, node.orelse]))

    def Attribute(self, node):
        return self.form(node, ".", self.text(node.value), node.attr)

    def Call(self, node):
        named = [f"{word.arg}={self.text(word.value)}" for word in node.keywords]
        return self.form(node, "call", self.text(node.func), *self.all(node.args), *named)

    def Subscript(self, node):
        return self.form(node, "[]", self.text(node.value), self.text(node.slice))

    def Slice(self, node):
        return self.form(node, ":", *self.all([node.lower, node.upper, node.step]))

    def Expr(self, node):
        return self.text(node.value)

    def Assign(self, node):
        return self.form(node, "=", *self.all(node.targets), self.text(node.value))

    def AugAssign(self, node):
        return self.form(node, OPERATORS[type(node.op)] + "=", self.text(node.target),
                         self.text(node.value))

    def With(self, node):
        body = self.all(node.body)
        for item in reversed(node.items):
            body = [self.form(node, "with", self.text(item.context_expr), *body)]
        return body[0]

    def Import(self, node):
        return " ".join(
            self.form(node, "import", name.name, str(name.name.count(".") + 1 if name.asname else 1),
                      name.asname or name.name.split(".")[0]) for name in node.names)

    def ImportFrom(self, node):
        parts = node.module.count(".") + 2
        return " ".join(
            self.form(node, "import", f"{node.module}.{name.name}", str(parts),
                      name.asname or name.name, "from", node.module) for name in node.names)

    def Pass(self, node):
        return "pass" + self.place(node)

    def Assert(self, node):
        return self.form(node, "assert", *self.all([node.test, node.msg]))


def answer(source):
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return f"!{error.lineno}:{error.offset} {error.msg}"
    return " ".join(Writer(source).all(tree.body))


def literal(text):
    def escape(byte):
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        return chr(byte) if plain else f"\\{byte:03o}"
    return '"' + "".join(escape(byte) for byte in text.encode()) + '"'


def lines(text):
    return text.strip("\n").split("\n")


def main():
    if sys.version_info[:2] != (3, 11):
        sys.exit("Python 3.11 is the judge")
    warnings.simplefilter("ignore")
    valid, wrong = lines(VALID) + VALID_MORE, lines(WRONG) + WRONG_MORE
    out = pathlib.Path(__file__).with_name("syntax_cases.inc")
    with out.open("w") as file:
        file.write("/* Written by gen_syntax.py: programs, and what Python 3.11 says of them. */\n")
        for source in valid + wrong:
            said = answer(source)
            if said.startswith("!") == (source in valid):
                sys.exit(f"{source!r} is in the wrong list: {said}")
            file.write(f"{{{literal(source)},\n {literal(said)}}},\n")
    print(len(valid), "programs,", len(wrong), "that are none")


main()
