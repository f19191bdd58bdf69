"""What the benchmarks of the server share: starting things, loading them, reading what they used."""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "cku"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", CACHE / "target"))
TICK = os.sysconf("SC_CLK_TCK")


def build():
    """Builds cku as it is packaged, and gives its path."""
    subprocess.run(
        ["cargo", "build", "--profile", "dist", "-p", "cku"],
        cwd=REPOSITORY, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)},
    )
    return TARGET / "dist" / "cku"


class Server:
    """A server that was started, with the time until it answered."""

    def __init__(self, name, command, url, ready, cwd, env=None):
        self.name, self.url = name, url
        begun = time.monotonic()
        self.log = open(pathlib.Path(cwd) / f"{name}.log", "w")
        self.process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=self.log, stderr=self.log
        )
        while True:
            try:
                urllib.request.urlopen(ready, timeout=1).read()
                break
            except Exception:
                if self.process.poll() is not None or time.monotonic() - begun > 30:
                    sys.exit(f"{name} does not start; see {self.log.name}")
                time.sleep(0.001)
        self.started = time.monotonic() - begun

    def cpu(self):
        """Seconds of both kinds that it used."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """MiB that are resident."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0

    def load(self, script, connections, seconds, path="", env=None):
        """Loads it; requests a second, milliseconds, CPU microseconds a request."""
        before = self.cpu()
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(HERE / script), self.url + path],
            check=True, capture_output=True, text=True, env={**os.environ, "BENCH_TARGET": self.name, **(env or {})},
        ).stdout
        result = json.loads(out.strip().splitlines()[-1])
        result["cpu"] = (self.cpu() - before) * 1e6 / max(1, result["rps"] * seconds)
        return result

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def fsyncs(folder, seconds=1.0):
    """fdatasyncs of 512 bytes a second."""
    path = pathlib.Path(folder) / "fsync"
    with open(path, "wb", buffering=0) as file:
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            file.write(b"x" * 512)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / seconds


def median(results, name):
    return statistics.median(result[name] for result in results)
