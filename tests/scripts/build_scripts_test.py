"""Checks what the build scripts ask of cmake and apt-get, with stand-ins for both: nothing is built or installed.

Standard library only. Usage: build_scripts_test.py SOURCE_DIR
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path()


class BuildScripts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        shutil.copytree(SOURCE / "scripts", self.root / "scripts")
        (self.root / "scripts/fetch_wheels.py").write_text("")
        self.bin = self.root / "bin"
        self.bin.mkdir()
        self.calls = self.root / "calls"
        for program in ("cmake", "apt-get"):
            self.stand_in(program, f'echo {program} "$@" >>"{self.calls}"')
        self.stand_in("dpkg-query", "exit 1")  # no package is installed
        self.stand_in("id", "echo 0")

    def stand_in(self, name, text):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run_script(self, name, *arguments):
        """Returns the calls of cmake and apt-get, a line each."""
        self.calls.write_text("")
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "KANDINSKY_CACHE": str(self.root / "cache")}
        subprocess.run([self.root / "scripts" / name, *arguments], env=environment, check=True, capture_output=True)
        return self.calls.read_text().splitlines()

    def test_without_targets_everything_is_built_with_the_presets_settings(self):
        self.assertEqual(self.run_script("build.sh", "release", "3"),
                         ["cmake --preset release", "cmake --build --preset release -j 3"])

    def test_with_targets_a_new_folder_has_no_tests_and_only_they_are_built(self):
        self.assertEqual(self.run_script("build.sh", "release", "3", "one", "two"),
                         ["cmake --preset release -DKANDINSKY_TESTS=OFF -DKANDINSKY_BENCHMARKS=OFF",
                          "cmake --build --preset release -j 3 --target one two"])

    def test_with_targets_a_configured_folder_keeps_its_settings(self):
        (self.root / "build/release").mkdir(parents=True)
        (self.root / "build/release/CMakeCache.txt").write_text("")
        self.assertEqual(self.run_script("build.sh", "release", "3", "one"),
                         ["cmake build/release", "cmake --build --preset release -j 3 --target one"])

    def installed(self, *arguments):
        (install,) = [call for call in self.run_script("install_dependencies.sh", *arguments) if " install " in call]
        return {word for word in install.split()[3:] if not word.startswith("-")}

    def test_programs_need_no_test_packages(self):
        programs = self.installed("programs")
        self.assertIn("libgrpc++-dev", programs)
        self.assertEqual(self.installed() - programs, {"libgtest-dev", "libgmock-dev"})

    def test_an_unknown_group_of_dependencies_is_refused(self):
        with self.assertRaises(subprocess.CalledProcessError):
            self.run_script("install_dependencies.sh", "program")

    def test_the_demo_target_is_what_the_demo_runs(self):
        run = re.findall(r'"\$build/[\w/]+/([\w-]+)"', (SOURCE / "scripts/demo.sh").read_text())
        (built,) = re.findall(r"add_custom_target\(kandinsky-demo DEPENDS ([^)]*)\)", (SOURCE / "CMakeLists.txt").read_text())
        self.assertEqual(set(built.split()), set(run))

    def test_the_demo_says_first_what_it_installs_and_builds_its_own_programs(self):
        lines = subprocess.run(["make", "--no-print-directory", "-n", "demo", "PRESET=release", "JOBS=2"], cwd=SOURCE, check=True,
                               capture_output=True, text=True).stdout.splitlines()
        self.assertRegex(lines[0], r"^echo .*minutes.*packages.*MB")
        self.assertEqual(lines[1:], ["scripts/install_dependencies.sh programs", "scripts/build.sh release 2 kandinsky-demo",
                                     "scripts/demo.sh build/release"])


if __name__ == "__main__":
    SOURCE = pathlib.Path(sys.argv.pop())
    unittest.main()
