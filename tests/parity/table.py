"""What came of the cases: a row for each group, a file with every difference."""
import collections

WORDS = {"words", "line"}  # both refuse, but say it differently
COLUMNS = ("tried", "equal", "other words", "different", "not expressible")
SHOWN_PER_ROW = 60


class Row:
    def __init__(self, name, words_count):
        self.name, self.words_count = name, words_count
        self.count = dict.fromkeys(COLUMNS, 0)
        self.kinds = collections.Counter()
        self.reasons = collections.Counter()

    def unwritable(self, reason):
        self.count["not expressible"] += 1
        self.reasons[reason] += 1

    def add(self, found):
        """found: the differences of one case."""
        kinds = {kind for kind, _ in found}
        only_words = bool(kinds) and kinds <= WORDS and not self.words_count
        self.count["tried"] += 1
        self.count["different" if kinds and not only_words else
                   "other words" if only_words else "equal"] += 1
        self.kinds.update(kinds)

    def line(self):
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items()))
        return f"{self.name:48}" + "".join(f"{n:>16}" for n in self.count.values()) + \
            (f"   {kinds}" if kinds else "")


class Report:
    """Rows as they come on stdout; differences with their programs in a file."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.rows = []
        print(f"{'':48}" + "".join(f"{c:>16}" for c in COLUMNS), flush=True)

    def row(self, name, words_count=False):
        """words_count: another wording is a difference like any other."""
        return Row(name, words_count)

    def put(self, row, title, case, found):
        row.add(found)
        if found and sum(row.kinds.values()) <= SHOWN_PER_ROW:
            what = "\n".join(f"{kind}: {text}" for kind, text in found)
            self.file.write(f"==== {row.name}: {title}\n{case.text()}\n---- {what}\n\n")

    def end_row(self, row):
        self.rows.append(row)
        print(row.line(), flush=True)

    def total(self):
        """Prints the sums. Returns how many differ."""
        all_of_it = Row("total", False)
        for row in self.rows:
            for column in COLUMNS:
                all_of_it.count[column] += row.count[column]
            all_of_it.kinds.update(row.kinds)
        print(all_of_it.line())
        reasons = collections.Counter()
        for row in self.rows:
            for reason, n in row.reasons.items():
                reasons[reason, row.name] += n
        for (reason, name), n in sorted(reasons.items()):
            print(f"not expressible: {n} of {name}: {reason}")
        self.file.close()
        return all_of_it.count["different"]
