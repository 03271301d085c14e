"""Runs the real training program on the embedded model amid signals, and with nobody who reads what it says.

Standard library only. Usage: training_process_test.py --train PATH --make-tiny-model PATH
"""

import argparse
import fcntl
import pathlib
import resource
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import zlib

PROGRAMS = argparse.Namespace()
STOPPED = 5
MODEL_LOAD = 4
FAILURE = 1


def png(size, color):
    """A picture of one color."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = (b"\0" + bytes(color) * size) * size
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class TrainingProcess(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(cls.folder.name)
        cls.model = root / "model"
        subprocess.run([PROGRAMS.make_tiny_model, cls.model], check=True)
        cls.data = root / "data"
        cls.data.mkdir()
        for name, color in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
            (cls.data / f"{name}.png").write_bytes(png(64, color))
            (cls.data / f"{name}.txt").write_text(f"a {name} square")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def start(self, output, *fields, model=None, before=None, **streams):
        """A training without an end. `fields` override the others."""
        command = [PROGRAMS.train]
        for field in ("target=TRAINING_TARGET_PRIOR", f"decoder_path={(model or self.model) / 'decoder'}",
                      f"prior_path={(model or self.model) / 'prior'}", f"data.path={self.data}",
                      f"output_folder={output}", "batch_size=1", "max_steps=1000000", "log_every_steps=1",
                      "threads=1", "optimizer.learning_rate=1e-5", "checkpoints.every_steps=1000000", *fields):
            command += ["--set", field]
        process = subprocess.Popen(command, preexec_fn=before, **streams)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_for_steps(self, process, output, count):
        """Until so many steps are done."""
        log = output / "metrics.jsonl"
        while not log.exists() or log.read_text().count("\n") < count:
            self.assertIsNone(process.poll())
            time.sleep(0.02)

    def output(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name) / "run"

    def check_stopped(self, process, output):
        self.assertEqual(process.wait(), STOPPED)
        self.assertTrue(list(output.glob("checkpoint-*")))

    def test_a_hangup_writes_a_checkpoint_and_lesser_signals_end_nothing(self):
        output = self.output()
        process = self.start(output, stderr=subprocess.DEVNULL)
        self.wait_for_steps(process, output, 1)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE):
            process.send_signal(number)
        self.wait_for_steps(process, output, (output / "metrics.jsonl").read_text().count("\n") + 2)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        self.check_stopped(process, output)

    def test_a_run_that_was_told_not_to_mind_a_hangup_does_not(self):
        output = self.output()
        process = self.start(output, stderr=subprocess.DEVNULL,
                             before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for_steps(process, output, 1)
        process.send_signal(signal.SIGHUP)
        self.wait_for_steps(process, output, (output / "metrics.jsonl").read_text().count("\n") + 2)
        process.send_signal(signal.SIGTERM)
        self.check_stopped(process, output)

    def test_nobody_has_to_read_what_it_says(self):
        output = self.output()
        process = self.start(output, stderr=subprocess.PIPE)
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        self.wait_for_steps(process, output, 200)  # more lines than fit
        process.send_signal(signal.SIGTERM)
        self.check_stopped(process, output)
        process.stderr.close()

    def test_a_closed_pipe_does_not_change_its_exit_code(self):
        process = self.start(self.output(), model=pathlib.Path("/nowhere"), stderr=subprocess.PIPE)
        process.stderr.close()
        self.assertEqual(process.wait(), MODEL_LOAD)

    def test_what_it_prints_may_not_be_lost(self):
        config = ["--set", "decoder_path=d", "--set", "prior_path=p", "--set", "data.path=x", "--set",
                  "output_folder=o", "--set", "max_steps=1"]
        for flags in (["--version"], ["--help"], ["--estimate"], ["--check_config", *config]):
            with self.subTest(flags=flags), open("/dev/full", "wb") as full:
                done = subprocess.run([PROGRAMS.train, *flags], stdout=full, stderr=subprocess.PIPE, text=True)
                self.assertEqual(done.returncode, FAILURE)
                self.assertEqual(done.stderr, "kandinsky-train: cannot write to the standard output: "
                                              "No space left on device\n")

    def test_a_limit_of_the_size_of_files_is_an_error_that_leaves_files_whole(self):
        output = self.output()
        process = self.start(output, stderr=subprocess.DEVNULL)
        self.wait_for_steps(process, output, 1)
        process.send_signal(signal.SIGTERM)
        self.check_stopped(process, output)
        before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
        limit = 20_000  # more than the log has and less than the weights
        self.assertLess(len((output / "metrics.jsonl").read_bytes()), limit // 2)
        process = self.start(output, "checkpoints.resume=latest", "checkpoints.every_steps=1",
                             before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
                             stderr=subprocess.PIPE)
        errors = process.communicate()[1].decode()
        self.assertEqual(process.returncode, FAILURE, errors)
        self.assertRegex(errors, "(?m)^kandinsky-train: .*: File too large$")
        for path, content in before.items():
            self.assertTrue(path.read_bytes().startswith(content), path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", required=True)
    parser.add_argument("--make-tiny-model", required=True)
    PROGRAMS, rest = parser.parse_known_args()
    unittest.main(argv=["training_process_test.py", *rest])
