"""Whole runs on secured brokers, with pytest in a child process and its settings in a file."""

from __future__ import annotations

import datetime
import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_eng5.brokers.model import ServerSecurity
from pytest_eng5.contracts import CAPTURED_EVENTS, PIPELINE_EVENTS, ProcessingEvent, topic_names

pytestmark = pytest.mark.slow

VARIABLE = "STAGING_PASSWORD"
ITEMS = ("run", "events", "metadata", "completeness", "schema", "scoring", "costs", "manifest", "kendall_tau")
OWN_PIPELINE = ("--eng5-pipeline", "embedded")
# Nobody listens there: access is checked before the pipeline is spoken to.
THEIR_PIPELINE = (
    "--eng5-content-url",
    "http://127.0.0.1:9/v1/content",
    "--eng5-llm-url",
    "http://127.0.0.1:9",
)
SECONDS = 15.0
"""For an item that fails; without a busy machine it takes one."""


def seconds_of(session: Any, item: str) -> float:
    """How long an item took, by the JUnit file: without the start of Python and pytest."""
    cases = ET.parse(session.tree.root / "junit.xml").iter("testcase")
    return next(float(case.get("time", "nan")) for case in cases if case.get("name") == item)


@pytest.fixture
def settings_of(secured, write_settings) -> Callable[..., Path]:
    """Settings for a user of the secured broker."""

    def write(user: str, **instead: object) -> Path:
        keys = {
            "ssl_ca_file": secured.authority.certificate,
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": user,
            "sasl_password": f"${{{VARIABLE}}}",
        }
        return write_settings("SASL_SSL", **keys | instead)

    return write


@pytest.fixture
def run(secured, make_tree, settings_of) -> Callable[..., Any]:
    """Run one small scenario as a user; ``password`` is in the environment only."""

    def session(
        user: str,
        *args: str,
        settings: Path | None = None,
        servers: str | None = None,
        password: str | None = None,
    ) -> Any:
        tree = make_tree()
        tree.scenario("anchor_align")
        command = [
            *("--eng5-broker", "external", "--eng5-bootstrap-servers", servers or secured.servers),
            f"--eng5-kafka-config={settings or settings_of(user)}",
            *("--junitxml", "junit.xml", "-p", "no:randomly"),
            *args,
        ]
        secret = secured.security.users[user] if password is None else password
        return tree.pytest(*command, env={VARIABLE: secret})

    return session


class Watch:
    """Notes the command lines of all processes for as long as it is open."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.1):
            for process in psutil.process_iter(["cmdline"]):
                self.lines.add("\0".join(process.info["cmdline"] or []))


def assert_hidden(secret: str, session: Any, *others: str) -> None:
    """A password, as it is or as it may be written, is in no file of the tree and not in the terminal."""
    forms = {
        secret.encode(),
        json.dumps(secret)[1:-1].encode(),
        repr(secret.encode())[2:-1].encode(),
        repr(secret)[1:-1].encode(),
    }
    texts = [session.output.encode(), *(other.encode() for other in others)]
    texts += [path.read_bytes() for path in sorted(session.tree.root.rglob("*")) if path.is_file()]
    assert len(texts) > 2
    for text in texts:
        for form in forms:
            assert form not in text


class TestGreen:
    """The account may do all that is needed: everything passes and nothing tells the password."""

    def assert_green(self, session: Any) -> None:
        assert session.code == 0, session.output
        assert session.outcomes() == {f"only::{item}": "passed" for item in ITEMS}
        events = session.run("anchor_align", "only") / "events"
        lines = {path.stem: path.read_bytes().count(b"\n") for path in events.glob("*.jsonl")}
        assert lines["comparisons"] == 6
        assert lines["assessment_results"] == lines["completions"] == 1
        assert not session.findings("anchor_align", "only")

    @pytest.mark.thorough
    def test_with_topics_made_for_it_and_a_debug_log(self, run, secured):
        debug = ("--log-level=DEBUG", "-o", "junit_logging=all", "-o", "log_file=debug.log", "--setup-show")
        with Watch() as watch:
            session = run("eng5", *OWN_PIPELINE, "--eng5-topic-prefix=own.", "--eng5-create-topics", *debug)
        self.assert_green(session)
        assert_hidden(secured.security.users["eng5"], session, *watch.lines)
        assert "SaslAuthenticateRequest_v1(...)" in (session.tree.root / "debug.log").read_text()
        assert any("pytest_eng5.pipeline" in line for line in watch.lines)
        session.tree.assert_nothing_left()

    def test_on_topics_that_exist_with_rights_to_no_more(self, run, secured):
        session = run("limited", *OWN_PIPELINE, "--eng5-topic-prefix=given.")
        self.assert_green(session)
        assert_hidden(secured.security.users["limited"], session)

    @pytest.mark.thorough
    def test_with_workers(self, run, secured):
        """Workers find the broker by its record, which holds no secret, and take the password themselves."""
        session = run("limited", *OWN_PIPELINE, "--eng5-topic-prefix=given.", "-n", "2")
        self.assert_green(session)
        assert_hidden(secured.security.users["limited"], session)


@pytest.fixture(scope="module")
def expired(authority, start) -> Iterator[tuple[str, str]]:
    """A broker whose certificate has ended; address and day."""
    end = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
    certificate, key = authority.issue(
        "ended", "127.0.0.1", not_before=end - datetime.timedelta(days=9), not_after=end
    )
    security = ServerSecurity("SSL", certificate=certificate, private_key=key, ca=authority.certificate)
    return start(security).connection.bootstrap_servers, f"{end:%Y-%m-%d}"


CAPTURED = topic_names(CAPTURED_EVENTS, "given.")
(REQUESTS,) = topic_names([ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED], "given.")


class TestRed:
    """What is wrong is an error of the run, in a few seconds, before anything is published."""

    def assert_error(self, session: Any, *told: str) -> str:
        assert session.code == 1, session.output
        outcomes = session.outcomes()
        assert outcomes["only::run"] == "error"
        assert set(outcomes.values()) <= {"error", "skipped"}
        assert seconds_of(session, "run") < SECONDS
        message = session.cases()["only::run"][1]
        for text in told:
            assert text in message
            assert text in session.output
        assert "Traceback" not in session.output
        assert not list(session.tree.output.rglob("*.jsonl"))
        return message

    @pytest.mark.thorough
    def test_wrong_password(self, run, secured):
        session = run("limited", *THEIR_PIPELINE, "--eng5-topic-prefix=given.", password="verkehrt")
        self.assert_error(session, "refuses user 'limited' with SCRAM-SHA-512", "sasl.password")
        assert_hidden("verkehrt", session)

    @pytest.mark.thorough
    def test_unknown_authority(self, run, settings_of, new_authority):
        settings = settings_of("limited", ssl_ca_file=new_authority().certificate)
        session = run("limited", *THEIR_PIPELINE, "--eng5-topic-prefix=given.", settings=settings)
        self.assert_error(session, "shows a certificate of a CA that is not trusted here", "ssl.ca_file")

    @pytest.mark.thorough
    def test_expired_certificate(self, run, expired, write_settings, authority):
        servers, day = expired
        settings = write_settings("SSL", ssl_ca_file=authority.certificate)
        session = run("limited", *THEIR_PIPELINE, settings=settings, servers=servers)
        self.assert_error(session, f"{servers} shows a certificate that expired on {day}")

    @pytest.mark.parametrize(
        ("user", "operation", "kind", "names"),
        [
            ("no-write", "Write", "topic", [REQUESTS]),
            pytest.param("no-read", "Read", "topic", CAPTURED, marks=pytest.mark.thorough),
            pytest.param("no-group", "Read", "group", [], marks=pytest.mark.thorough),
        ],
    )
    def test_missing_right(self, run, secured, user, operation, kind, names):
        session = run(user, *THEIR_PIPELINE, "--eng5-topic-prefix=given.")
        message = self.assert_error(session, f"the account {user!r} may not {operation} {kind}", *names)
        (command,) = set(re.findall(r"kafka-acls\.sh [^\n\"]*", message))
        assert f"--add --allow-principal User:{user} --operation {operation} --{kind} given." in command
        assert_hidden(secured.security.users[user], session)

    def test_missing_topics(self, run):
        session = run("limited", *THEIR_PIPELINE, "--eng5-topic-prefix=given.not.")
        self.assert_error(session, "topics are missing: given.not.", "--eng5-create-topics")

    @pytest.mark.thorough
    def test_may_not_create_topics(self, run):
        options = ("--eng5-topic-prefix=given.not.", "--eng5-create-topics")
        session = run("limited", *OWN_PIPELINE, *options)
        message = self.assert_error(session, "the account 'limited' may not Create topics")
        for topic in topic_names(PIPELINE_EVENTS, "given.not."):
            assert f"--topic {topic}" in message


class TestSettings:
    """A file that cannot be used is told with file and key, and no broker is asked."""

    @pytest.mark.thorough
    def test_missing_variable(self, run, settings_of):
        settings = settings_of("limited", sasl_password="${NOT_SET_HERE}x")
        session = run("limited", *THEIR_PIPELINE, settings=settings)
        assert session.code != 0
        assert f"{settings}: sasl.password refers to the environment variable NOT_SET_HERE" in session.output
        assert seconds_of(session, "run") < SECONDS
