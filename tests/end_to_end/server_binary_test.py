"""Runs the real server and client programs against the embedded model, as an operator and a user would.

Standard library only. Usage: server_binary_test.py --server PATH --client PATH --make-tiny-model PATH [--sanitizer NAME]
"""

import argparse
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

PROGRAMS = argparse.Namespace()
SHAPES = pathlib.Path(__file__).parents[2] / "models/shapes"


class Server:
    """A running server on free ports; its log is collected line by line."""

    def __init__(self, model, *overrides, environment=None):
        command = [PROGRAMS.server, "--set", "model.name=tiny", "--set", f"model.path={model}",
                   "--set", "listen_address=127.0.0.1:0", "--set", "metrics_address=127.0.0.1:0",
                   "--set", "model.threads=1", "--set", "drain.lame_duck_seconds=0"]
        for override in overrides:
            command += ["--set", override]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **(environment or {})))
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:  # a crash report, say; it is shown when something is missed
                entry = {"msg": "", "raw": line}
            with self.changed:
                self.lines.append(entry)
                self.changed.notify_all()
        with self.changed:
            self.lines.append({"msg": "end of log"})
            self.changed.notify_all()

    def wait_for(self, message, timeout=60):
        """The first log line with this message; fails when the log ends or the time is up."""
        def find():
            return next((line for line in self.lines if line["msg"] in (message, "end of log")), None)
        with self.changed:
            if not self.changed.wait_for(find, timeout):
                raise AssertionError(f"no log line {message!r}: {self.lines}")
            line = find()
        if line["msg"] != message:
            raise AssertionError(f"the log ended without {message!r}: {self.lines}")
        return line

    def ready(self):
        self.port = self.wait_for("ready")["port"]
        self.metrics_port = self.wait_for("listening")["metrics_port"]
        return self

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as reply:
            return reply.read().decode()

    def metric(self, name):
        """The sum of all series of one metric."""
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.metrics(), re.MULTILINE)
        return sum(float(value) for value in values)

    def limit_memory(self, more_bytes):
        """From now on the process may take this many bytes of address space more than it has, and not one beyond."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        limit = int(re.search(r"^VmSize:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024 + more_bytes
        resource.prlimit(self.process.pid, resource.RLIMIT_AS, (limit, limit))

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def __enter__(self):
        return self.ready()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()


def generate_command(server, output, **flags):
    """A command line that makes a small picture; `flags` replace its defaults."""
    flags = {"width": 64, "height": 64, "steps": 4, "prior_steps": 2, "seed": 7} | flags
    command = [PROGRAMS.client, "generate", "red cat, 4k photo", "--server", f"127.0.0.1:{server.port}",
               "--output", str(output)]
    for name, value in flags.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    return command


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False)


def client_command(server, *arguments):
    return [PROGRAMS.client, *map(str, arguments), "--server", f"127.0.0.1:{server.port}"]


class TasksTest(unittest.TestCase):
    """Every task through both programs, each on the network that it needs."""

    SMALL = ("--width", 64, "--height", 64, "--steps", 4, "--seed", 7)

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.models = {}
        for network in ("decoder", "inpaint", "controlnet_depth"):
            cls.models[network] = cls.folder / network
            subprocess.run([PROGRAMS.make_tiny_model, str(cls.models[network]), "--network", network], check=True)
        cls.picture = cls.folder / "picture.png"
        with Server(cls.models["decoder"]) as server:
            result = run(client_command(server, "generate", "a red cat", *cls.SMALL, "-o", cls.picture))
        assert result.returncode == 0, result.stderr

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def make(self, server, name, *arguments):
        """Runs a command that makes one file; its content."""
        output = self.folder / name
        result = run(client_command(server, *arguments, "-o", output))
        self.assertEqual(result.returncode, 0, result.stderr)
        return output.read_bytes()

    def test_a_decoder_edits_mixes_and_embeds(self):
        with Server(self.models["decoder"]) as server:
            original = self.picture.read_bytes()
            edited = self.make(server, "edited.png", "edit", "a cat", "--image", self.picture, "--strength", "0.6", *self.SMALL)
            mixture = ("--mix-text", "a cat", "--mix-weight", "0.3", "--mix-image", self.picture)
            mixed = self.make(server, "mixed.png", "generate", *mixture, *self.SMALL)
            both = self.make(server, "both.png", "edit", *mixture, "--image", self.picture, "--strength", "0.6", *self.SMALL)
            self.assertEqual(len({original, edited, mixed, both}), 4)
            embedding = self.make(server, "embedding.json", "embed", "prompt", "a red cat", "--seed", 7)
            self.assertIn("image_embedding", json.loads(embedding))
            mixed_embedding = self.make(server, "mixed.json", "embed", "prompt", *mixture, "--seed", 7)
            self.assertNotEqual(mixed_embedding, embedding)
            again = self.make(server, "again.jpg", "generate", "--image-embedding", self.folder / "embedding.json", *self.SMALL)
            self.assertEqual(again[:2], b"\xff\xd8")
            self.make(server, "embedded.json", "embed", "image", self.picture)
            latents = self.make(server, "latents.npy", "latents", "encode", self.picture, "--width", 64, "--height", 64)
            self.assertEqual(latents[:6], b"\x93NUMPY")
            decoded = self.make(server, "decoded.png", "latents", "decode", self.folder / "latents.npy")
            self.assertEqual(decoded[:4], b"\x89PNG")

    def test_an_inpainting_network_keeps_what_the_mask_keeps(self):
        with Server(self.models["inpaint"]) as server:
            painted = self.make(server, "painted.png", "inpaint", "a dog", "--image", self.picture, "--mask", self.picture,
                                "--paste-back", *self.SMALL)
            mixed = self.make(server, "mixed.png", "inpaint", "--mix-text", "a dog", "--mix-weight", "0.5", "--mix-image",
                              self.picture, "--image", self.picture, "--mask", self.picture, "--paste-back", *self.SMALL)
            self.assertEqual(len({painted, mixed, self.picture.read_bytes()}), 3)
            refused = run(client_command(server, "generate", "a cat", *self.SMALL, "-o", self.folder / "none.png"))
            self.assertEqual(refused.returncode, 1)
            self.assertIn("FAILED_PRECONDITION", refused.stderr)

    def test_a_depth_network_follows_a_depth_map(self):
        with Server(self.models["controlnet_depth"]) as server:
            plain = self.make(server, "control.png", "control", "a cat", "--depth", self.picture, *self.SMALL)
            started = self.make(server, "started.png", "control", "a cat", "--depth", self.picture, "--image", self.picture,
                                "--strength", "0.5", *self.SMALL)
            mixed = self.make(server, "mixed.png", "control", "--mix-text", "a cat", "--mix-image", self.picture, "--depth",
                              self.picture, "--image", self.picture, "--strength", "0.5", *self.SMALL)
            self.assertEqual(len({plain, started, mixed}), 3)


class DeterminismTest(unittest.TestCase):
    """A request gives the same bytes alone and among others."""

    # Start pictures, masks and depth maps come from a file; {picture} stands for it.
    FORMS = {
        "decoder": (
            ("generate", "a red cat"), ("generate", "a house", "--negative-prompt", "blurry"),
            ("generate", "a red cat", "--guidance-scale", "1"), ("generate", "a dog", "--sampler", "ddim"),
            ("edit", "a cat", "--image", "{picture}", "--strength", "0.6"), ("generate", "--mix-text", "a cat", "--mix-image", "{picture}"),
            ("edit", "--mix-text", "a cat", "--mix-image", "{picture}", "--image", "{picture}", "--strength", "0.6"),
            ("generate", "a tree", "--width", "128"), ("generate", "a tree", "--width", "128", "--steps", "9")),
        "inpaint": (("inpaint", "a dog", "--image", "{picture}", "--mask", "{picture}"),
                    ("inpaint", "a cat", "--image", "{picture}", "--mask", "{picture}", "--soft-mask"),
                    ("inpaint", "a cat", "--image", "{picture}", "--mask", "{picture}", "--paste-back")),
        "controlnet_depth": (("control", "a cat", "--depth", "{picture}"), ("control", "a dog", "--depth", "{picture}"),
                             ("control", "a cat", "--depth", "{picture}", "--image", "{picture}")),
    }
    SIZE = {"--width": "64", "--height": "64", "--steps": "12", "--prior-steps": "5"}
    COUNT = 8

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def tiny_model(self, network):
        model = self.folder / network
        subprocess.run([PROGRAMS.make_tiny_model, str(model), "--network", network], check=True)
        return model

    def command(self, server, form, seed, output):
        arguments = [str(self.folder / "picture.png") if part == "{picture}" else part for part in form]
        for flag, value in self.SIZE.items():
            if flag not in form:
                arguments += [flag, value]
        return client_command(server, *arguments, "--seed", seed, "-o", self.folder / output)

    def check(self, model, forms, threads):
        """Makes COUNT pictures one by one, then all at once, in a server that knows none of their texts."""
        def commands(server):
            return {f"{i}.png": self.command(server, forms[i % len(forms)], i, f"{i}.png") for i in range(self.COUNT)}

        with Server(model, f"model.threads={threads}") as server:
            for command in commands(server).values():
                result = run(command)
                self.assertEqual(result.returncode, 0, result.stderr)
        alone = {f"{i}.png": (self.folder / f"{i}.png").read_bytes() for i in range(self.COUNT)}
        with Server(model, f"model.threads={threads}") as server:
            clients = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                       for command in commands(server).values()]
            for client in clients:
                _, errors = client.communicate(timeout=120)
                self.assertEqual(client.returncode, 0, errors)
            self.assertGreater(server.metric("kandinsky_batch_rows_sum"), server.metric("kandinsky_batch_rows_count"),
                               "requests sent together never shared a step")
        for name, expected in alone.items():
            self.assertEqual((self.folder / name).read_bytes(), expected, name)
        return alone

    def test_pictures_of_every_network_have_the_same_bytes_alone_and_among_others(self):
        for network, forms in self.FORMS.items():
            model = self.tiny_model(network)
            if network == "decoder":
                with Server(model) as server:
                    result = run(generate_command(server, self.folder / "picture.png"))
                self.assertEqual(result.returncode, 0, result.stderr)
            with self.subTest(network=network):
                self.check(model, forms, threads=1)

    def test_the_trained_model_gives_the_same_bytes_among_others_and_with_other_threads(self):
        forms = [("generate", prompt) for prompt in ("a large red circle", "a green star left of a blue square")]
        self.assertEqual(self.check(SHAPES, forms, threads=1), self.check(SHAPES, forms, threads=2))


class ServerBinaryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = pathlib.Path(cls.folder.name) / "model"
        subprocess.run([PROGRAMS.make_tiny_model, str(cls.model)], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return pathlib.Path(self.folder.name) / name

    def test_client_writes_the_same_png_for_the_same_seed(self):
        with Server(self.model) as server:
            for name in ("a.png", "b.png"):
                result = run(generate_command(server, self.path(name)))
                self.assertEqual(result.returncode, 0, result.stderr)
            first = self.path("a.png").read_bytes()
            self.assertTrue(first.startswith(b"\x89PNG\r\n\x1a\n"))
            self.assertEqual(first, self.path("b.png").read_bytes())

    def test_client_names_field_and_rule_of_a_bad_request(self):
        with Server(self.model) as server:
            result = run(generate_command(server, self.path("bad.png"), width=65))
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("width", result.stderr)
            self.assertIn("multiple", result.stderr)
            self.assertFalse(self.path("bad.png").exists())

    def test_sigterm_finishes_accepted_work_and_exits_with_0(self):
        with Server(self.model) as server:
            command = generate_command(server, self.path("last.png"), steps=60)
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while server.metric("kandinsky_inflight_generations") == 0:
                self.assertIsNone(client.poll(), "the client ended before the server was stopped")
                time.sleep(0.005)  # polls another process; nothing is timed
            self.assertEqual(server.stop(), 0)
            self.assertEqual(client.wait(timeout=60), 0)
            self.assertTrue(self.path("last.png").exists())

    def test_interrupted_client_stops_the_work_within_one_step(self):
        with Server(self.model) as server:
            command = generate_command(server, self.path("never.png"), steps=900)
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while server.metric("kandinsky_step_duration_seconds_count") < 5:
                self.assertIsNone(client.poll())
                time.sleep(0.005)  # polls another process; nothing is timed
            client.send_signal(signal.SIGINT)
            self.assertNotEqual(client.wait(timeout=60), 0)
            line = server.wait_for("request")
            self.assertEqual(line["code"], "CANCELLED")
            steps = server.metric("kandinsky_step_duration_seconds_count")
            self.assertLess(steps, 900)
            # The request has ended; the step that may still have been running is the last one.
            result = run(generate_command(server, self.path("next.png")))
            self.assertEqual(result.returncode, 0, result.stderr)
            own_steps = 1 + 2 + 4 + 1
            self.assertLessEqual(server.metric("kandinsky_step_duration_seconds_count"), steps + 1 + own_steps)

    def test_resident_memory_stays_flat_over_200_requests(self):
        # AddressSanitizer keeps every distinct call stack of an allocation; with one frame each there are few.
        options = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":malloc_context_size=1"}
        with Server(self.model, environment=options) as server:
            sizes = []
            for _ in range(5):
                for _ in range(40):
                    result = run(generate_command(server, self.path("many.png")))
                    self.assertEqual(result.returncode, 0, result.stderr)
                sizes.append(server.metric("process_resident_memory_bytes"))
            # The first 40 requests warm caches and allocator up.
            self.assertLess(sizes[-1] - sizes[0], 8 << 20, sizes)

    def test_a_real_memory_limit_refuses_what_does_not_fit_and_serves_the_next(self):
        if PROGRAMS.sanitizer:
            self.skipTest("a sanitizer's allocator ends the process when memory runs out")
        # The pipeline's own estimate is switched off, so that the memory really runs out.
        with Server(self.model, "engine.max_batch_memory_bytes=1099511627776") as server:
            first = self.path("before.png")
            self.assertEqual(run(generate_command(server, first)).returncode, 0)
            server.limit_memory(200 << 20)
            large = run(generate_command(server, self.path("large.png"), width=2048, height=2048, steps=1))
            self.assertNotEqual(large.returncode, 0)
            self.assertIn("not enough memory", large.stderr)
            self.assertGreaterEqual(server.metric("kandinsky_oom_total"), 1)
            again = self.path("after.png")
            self.assertEqual(run(generate_command(server, again)).returncode, 0)
            self.assertEqual(first.read_bytes(), again.read_bytes())
            self.assertEqual(server.stop(), 0)

    def test_an_image_beyond_the_memory_budget_is_refused_before_it_is_tried(self):
        with Server(self.model, "engine.max_batch_memory_bytes=10000000") as server:
            large = run(generate_command(server, self.path("large.png"), width=1024, height=1024, steps=50))
            self.assertNotEqual(large.returncode, 0)
            self.assertIn("not enough memory", large.stderr)
            self.assertEqual(server.metric("kandinsky_oom_total"), 0)
            self.assertEqual(run(generate_command(server, self.path("small.png"))).returncode, 0)

    def test_port_in_use_is_one_line_and_a_code_of_its_own(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            result = run([PROGRAMS.server, "--set", f"model.path={self.model}", "--set", f"listen_address={address}",
                          "--set", "metrics_address="])
        self.assertEqual(result.returncode, 3)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        self.assertIn(address, result.stderr)

    def test_broken_model_is_a_code_of_its_own_and_names_the_path(self):
        result = run([PROGRAMS.server, "--set", f"model.path={self.path('nowhere')}",
                      "--set", "listen_address=127.0.0.1:0", "--set", "metrics_address="])
        self.assertEqual(result.returncode, 4)
        self.assertIn("nowhere", result.stderr)

    def test_unknown_configuration_key_is_refused_before_anything_starts(self):
        config = self.path("config.json")
        config.write_text('{"modle": {"name": "x"}}')
        result = run([PROGRAMS.server, "--config", str(config)])
        self.assertEqual(result.returncode, 2)
        self.assertIn("modle", result.stderr)

    def test_version_and_check_config(self):
        self.assertRegex(run([PROGRAMS.server, "--version"]).stdout, r"\d+\.\d+\.\d+")
        result = run([PROGRAMS.server, "--check_config", "--set", f"model.path={self.model}"])
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_shipped_configurations_are_valid(self):
        files = sorted((pathlib.Path(__file__).parents[2] / "deploy").glob("*.textproto"))
        self.assertTrue(files)
        for file in files:
            result = run([PROGRAMS.server, "--check_config", "--config", str(file)])
            self.assertEqual(result.returncode, 0, f"{file}: {result.stderr}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--make-tiny-model", required=True)
    parser.add_argument("--sanitizer", default="")
    parser.parse_known_args(namespace=PROGRAMS)
    unittest.main(argv=["server_binary_test"], verbosity=2)
