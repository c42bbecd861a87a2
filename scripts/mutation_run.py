"""Run the tests of ``checks/`` and ``gates/`` against every mutant that mutmut makes of them.

    python scripts/mutation_run.py [--workers 2] [--all] [PATTERN ...]

mutmut makes the mutants (configuration in ``pyproject.toml``) and keeps their results, so that ``mutmut
show`` and ``mutmut results`` work as ever. Its own loop starts pytest anew for each of some thousand mutants;
here pytest collects once, learns which test reaches which function, and a forked copy of that process runs
the tests of one mutant, most deadly and most focused first, until one of them fails. Results of functions
that did not change since are kept; survivors are tried again, and everything with ``--all``. Survivors come
first; the order is random, so that what was tried when it is stopped is a fair sample.
"""

from __future__ import annotations

import argparse
import fnmatch
import gc
import hashlib
import json
import math
import os
import random
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import mutmut.__main__ as mutmut
import pytest
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.utils import file_utils
from mutmut.utils.format_utils import mangled_name_from_mutant_name

ROOT = Path(__file__).resolve().parent.parent
KILLED, SURVIVED, UNREACHED, TIMED_OUT = 1, 0, 33, 36
"""Exit codes in mutmut's records."""
Lines = dict[str, list[int]]
"""Lines that were run, by function."""
TraceFunction = Callable[[FrameType, str, object], Any]
LEARNED, DEADLY = ROOT / "mutants" / "reached.json", ROOT / "mutants" / "deadly.json"
_LEAST = 1e-3
"""Seconds; what takes less is not told apart."""
OPTIONS = (
    *("-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider"),
    *("-p", "_hypothesis_pytestplugin", "-p", "syrupy", "--hypothesis-profile=mutation"),
    *("-o", "tmp_path_retention_policy=failed"),
)
"""Nobody reads why a mutant was killed; only the plugins that the tests need."""


@dataclass
class Mutant:
    """A mutant and the record of its file."""

    name: str
    record: Any

    @property
    def function(self) -> str:
        """The function that it is of."""
        name: str = mangled_name_from_mutant_name(self.name)
        return name

    def note(self, code: int, seconds: float = 0.0) -> None:
        """Keep its result."""
        self.record.exit_code_by_key[self.name] = code
        self.record.durations_by_key[self.name] = seconds
        self.record.save()


@dataclass
class Runner:
    """A pytest plugin that runs the tests once for every mutant instead of once.

    Attributes:
        seconds: How long each test takes, by its place in the session.
        reached: Places of the tests that reach a function, with the lines of it that each runs.
        breadth: How many functions each test reaches: a test of one function knows most about it.
        deadly: How many mutants of a function a test has killed so far.
    """

    patterns: Sequence[str]
    workers: int
    everything: bool
    budget: float
    seconds: dict[int, float] = field(default_factory=dict)
    reached: defaultdict[str, dict[int, frozenset[int]]] = field(default_factory=lambda: defaultdict(dict))
    breadth: dict[int, int] = field(default_factory=dict)
    deadly: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    running: dict[int, tuple[Mutant, int, float]] = field(default_factory=dict)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn, then try every mutant."""
        self._learn(session)
        if session.testsfailed:
            raise session.Failed("the tests fail without any mutant")
        self._recall(session)
        os.chdir(ROOT)  # where mutmut's records lie
        mutants = list(self._mutants())
        gc.collect()
        gc.freeze()
        for number, mutant in enumerate(mutants, start=1):
            if number % 100 == 0:
                self._remember(session)
                session.config.get_terminal_writer().line(f" {number} of {len(mutants)}")
            if not self.reached[mutant.function]:
                mutant.note(UNREACHED)
                continue
            while len(self.running) >= self.workers:
                self._reap()
            self._fork(session, mutant)
        while self.running:
            self._reap()
        self._remember(session)
        return True

    def _recall(self, session: pytest.Session) -> None:
        """Which tests were deadly for which mutants in earlier runs."""
        place = {item.nodeid: number for number, item in enumerate(session.items)}
        before = json.loads(DEADLY.read_text()) if DEADLY.exists() else {}
        for function, counts in before.items():
            known = {place[test]: count for test, count in counts.items() if test in place}
            self.deadly[function].update(known)

    def _remember(self, session: pytest.Session) -> None:
        named = {
            function: {session.items[place].nodeid: count for place, count in counts.items()}
            for function, counts in self.deadly.items()
        }
        DEADLY.write_text(json.dumps(named))

    def _learn(self, session: pytest.Session) -> None:
        """Run each test without a mutant, unless that was done before and its module is the same."""
        set_mutant_under_test("none")
        known = json.loads(LEARNED.read_text()) if LEARNED.exists() else {}
        wanted = [_identity(item) not in known for item in session.items]
        following = [item for item, new in zip(session.items, wanted, strict=True) if new][1:]
        for place, item in enumerate(session.items):
            if wanted[place]:
                known[_identity(item)] = self._learned(item, following.pop(0) if following else None)
            self.seconds[place], lines = known[_identity(item)]
            self.breadth[place] = len(lines)
            for function, seen in lines.items():
                self.reached[function][place] = frozenset(seen)
        set_mutant_under_test("")
        if not session.testsfailed:
            LEARNED.write_text(json.dumps(known))

    def _learned(self, item: pytest.Item, following: pytest.Item | None) -> tuple[float, Lines]:
        lines: defaultdict[str, set[int]] = defaultdict(set)

        def each_call(frame: FrameType, event: str, _: object) -> TraceFunction | None:
            name = frame.f_code.co_name
            if not name.endswith("__mutmut_orig"):
                return None
            seen = lines[f"{frame.f_globals['__name__']}.{mangled_name_from_mutant_name(name)}"]

            def each_line(frame: FrameType, event: str, _: object) -> TraceFunction:
                seen.add(frame.f_lineno)
                return each_line

            return each_line

        sys.settrace(each_call)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        sys.settrace(None)
        begun = time.process_time()  # of another run: tracing takes longer than many a test
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return time.process_time() - begun, {function: sorted(seen) for function, seen in lines.items()}

    def _mutants(self) -> Iterator[Mutant]:
        found, _ = mutmut.collect_source_file_mutation_data(mutant_names=())
        random.Random(0).shuffle(found)
        found.sort(key=lambda row: row[2] is None)
        for record, name, code in found:
            wanted = not self.patterns or any(fnmatch.fnmatch(name, pattern) for pattern in self.patterns)
            if wanted and (self.everything or code in (None, SURVIVED, UNREACHED)):
                yield Mutant(name, record)

    def _fork(self, session: pytest.Session, mutant: Mutant) -> None:
        order = self._order(mutant)
        reader, writer = os.pipe()
        child = os.fork()
        if child:
            os.close(writer)
            self.running[child] = (mutant, reader, time.perf_counter())
            return
        limit = int(10 * sum(self.seconds[place] for place in order)) + 20
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        _silence(session)
        os.chdir(ROOT / "mutants")
        set_mutant_under_test(mutant.name)
        killer = _killer(session, order)
        if killer is not None:
            os.write(writer, killer.to_bytes(4, "big"))
        os._exit(SURVIVED if killer is None else KILLED)

    def _order(self, mutant: Mutant) -> list[int]:
        """The tests for a mutant, while time lasts.

        First those that killed its like, most per second; then some that together reach every line of the
        function, then the rest, those that reach little else before those that reach much.
        """
        reached, deadly = self.reached[mutant.function], self.deadly[mutant.function]
        cost = {place: (self.breadth[place], self.seconds[place]) for place in reached}
        first = {place: rank for rank, place in enumerate(_covering(reached, cost))}
        order = sorted(
            reached,
            key=lambda place: (
                -deadly[place] / max(self.seconds[place], _LEAST),
                first.get(place, math.inf),
                cost[place],
            ),
        )
        return _within(self.budget, order, self.seconds) or order[:1]

    def _reap(self) -> None:
        child, status = os.wait()
        mutant, reader, begun = self.running.pop(child)
        told = os.read(reader, 4)
        os.close(reader)
        if told:
            self.deadly[mutant.function][int.from_bytes(told, "big")] += 1
        code = os.waitstatus_to_exitcode(status)
        mutant.note(TIMED_OUT if code < 0 else code, time.perf_counter() - begun)


def _within(budget: float, order: Sequence[int], seconds: Mapping[int, float]) -> list[int]:
    """Those of the tests, in their order, for which there is time; one that takes too long is left out."""
    chosen: list[int] = []
    for place in order:
        if seconds[place] <= budget:
            budget -= seconds[place]
            chosen.append(place)
    return chosen


def _covering(reached: Mapping[int, frozenset[int]], cost: Mapping[int, tuple[int, float]]) -> list[int]:
    """Tests that together reach every line of a function that is reached at all, cheapest first, thrice."""
    chosen: list[int] = []
    for _ in range(3):
        left = set().union(*reached.values())
        while left:
            more = (place for place in reached if place not in chosen and reached[place] & left)
            best = min(more, key=cost.__getitem__, default=None)
            if best is None:
                break
            chosen.append(best)
            left -= reached[best]
    return chosen


def _identity(item: pytest.Item) -> str:
    """A test, and what its module says."""
    return f"{item.nodeid} {hashlib.sha256(item.path.read_bytes()).hexdigest()[:16]}"


def _silence(session: pytest.Session) -> None:
    session.config.pluginmanager.unregister(name="terminalreporter")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _killer(session: pytest.Session, order: Sequence[int]) -> int | None:
    """Place of the first test that fails."""
    for place, after in zip(order, [*order[1:], None], strict=True):
        following = None if after is None else session.items[after]
        session.items[place].config.hook.pytest_runtest_protocol(
            item=session.items[place], nextitem=following
        )
        if session.testsfailed:
            return place
    return None


def prepare(workers: int) -> None:
    """Copy the tree to ``mutants/`` with all mutants in it, and import from there."""
    (ROOT / "mutants").mkdir(exist_ok=True)
    set_mutant_under_test("mutant_generation")
    file_utils.copy_src_dir()
    file_utils.copy_also_copy_files()
    file_utils.setup_source_paths()
    mutmut.create_mutants(workers)


def main() -> int:
    """Try the mutants; 1 if the tests fail without any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="mutants at the same time")
    budget = "processor seconds of tests per mutant; what is left over then counts as survived"
    parser.add_argument("--budget", type=float, default=math.inf, help=budget)
    parser.add_argument("--all", action="store_true", help="try those again that were killed before")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="names of mutants; default: all")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    prepare(options.workers)
    os.chdir(ROOT / "mutants")
    runner = Runner(options.patterns, options.workers, options.all, options.budget)
    selection = [*config().pytest_add_cli_args, *config().pytest_add_cli_args_test_selection]
    return int(pytest.main(["--rootdir=.", *OPTIONS, *selection], plugins=[runner]))


if __name__ == "__main__":
    sys.exit(main())
