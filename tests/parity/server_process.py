"""Starts and stops the built server."""

import json
import pathlib
import subprocess
import threading

TIMEOUT_SECONDS = 120


class Server:
    """The server process; `port` is known once it is ready."""

    def __init__(self, binary: pathlib.Path, model: pathlib.Path, config: pathlib.Path | None = None,
                 **model_settings: object) -> None:
        """`model`: a folder with prior/ and decoder/. `model_settings`: further fields of the configuration's model.
        `config`: a configuration file for what is not set here."""
        settings = {"listen_address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0", "model.path": model / "decoder",
                    "model.prior_path": model / "prior", "drain.lame_duck_seconds": 0,
                    "engine.max_queued_requests": 1000}  # all cases are sent at the same time
        settings |= {f"model.{name}": value for name, value in model_settings.items()}
        command = [str(binary)] + (["--config", str(config)] if config else [])
        for path, value in settings.items():
            command += ["--set", f"{path}={value}"]
        self._log = []
        self._ready = threading.Event()
        self.port = 0
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self._ready.wait(TIMEOUT_SECONDS) or self.port == 0:
            self._process.kill()
            raise SystemExit("the server did not become ready:\n" + "".join(self._log))

    def _read_log(self) -> None:
        for line in self._process.stderr:
            self._log.append(line)
            if not self._ready.is_set() and line.startswith("{"):
                entry = json.loads(line)
                if entry["msg"] == "ready":
                    self.port = entry["port"]
                    self._ready.set()
        self._ready.set()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops it as an operator would; a server that does not end cleanly is an error too."""
        self._process.terminate()
        try:
            code = self._process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise SystemExit("the server did not stop:\n" + "".join(self._log[-20:])) from None
        if code != 0:
            raise SystemExit(f"the server ended with {code}:\n" + "".join(self._log[-20:]))
