"""The load of bench_load.c: every server is loaded by the same program, in the same way."""
import json
import os
import subprocess
import tempfile


def loaded(program, port, seconds, connections, requests):
    """What the program prints: answered, rate, p50, p99. The connections take the requests, whole
    as request_bytes makes them, in turn."""
    with tempfile.TemporaryDirectory(prefix="gradd-load-") as folder:
        files = [os.path.join(folder, str(n)) for n in range(len(requests))]
        for name, request in zip(files, requests):
            with open(name, "wb") as f:
                f.write(request)
        done = subprocess.run([program, str(port), str(seconds), str(connections)] + files,
                              check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)
