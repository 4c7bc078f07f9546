for x in y:
  z = [a for a in b if (c := {1: lambda *d: 2j})]
