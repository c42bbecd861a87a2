"""The file itself: its two languages, its keys, references to the environment."""

from __future__ import annotations

import json
import os
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.errors import UsageError
from pytest_eng5.kafka_config import KafkaConfig, load_kafka_config
from pytest_eng5.kafka_config.settings import KEYS

FULL_TOML = """
security_protocol = "SASL_PLAINTEXT"
bootstrap_servers = "a:1,b:2"

[sasl]
mechanism = "SCRAM-SHA-512"
username = "eng5"
password = "${SECRET}"
"""
FULL_YAML = """
security_protocol: SASL_PLAINTEXT
bootstrap_servers: a:1,b:2
sasl:
  mechanism: SCRAM-SHA-512
  username: eng5
  password: ${SECRET}
"""
FULL = KafkaConfig("SASL_PLAINTEXT", "a:1,b:2", (), "SCRAM-SHA-512", "eng5", "geheim")
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0$", exclude_categories=["Cs", "Cc"]), min_size=1
)


class TestLanguages:
    @pytest.mark.parametrize(
        ("text", "name"),
        [(FULL_TOML, "k.toml"), (FULL_YAML, "k.yaml"), (FULL_YAML, "k.yml"), (FULL_TOML, "K.TOML")],
    )
    def test_both_say_the_same(self, files, text, name):
        assert files.load(text, name, SECRET="geheim") == FULL

    def test_a_byte_order_mark_is_no_part_of_the_first_key(self, files):
        assert files.load("\ufeff" + FULL_TOML, SECRET="geheim") == FULL

    @pytest.mark.parametrize(
        ("text", "name"), [("", "k.toml"), ("# nothing\n", "k.yaml"), ("ssl:\n", "k.yaml")]
    )
    def test_nothing_is_plaintext(self, files, text, name):
        assert files.load(text, name) == KafkaConfig()
        assert files.load(text, name).client_options() == {"security_protocol": "PLAINTEXT"}

    def test_keys_with_dots_are_sections_in_both(self, files):
        yaml_text = FULL_YAML.split("sasl:")[0] + "".join(
            f"sasl.{key}: {value}\n"
            for key, value in {
                "mechanism": "SCRAM-SHA-512",
                "username": "eng5",
                "password": "${SECRET}",
            }.items()
        )
        assert files.load(yaml_text, "k.yaml", SECRET="geheim") == FULL

    @pytest.mark.parametrize("name", ["kafka.properties", "kafka", "kafka.json", "kafka.toml.txt"])
    def test_another_suffix_is_refused(self, files, name):
        assert "must end in .toml, .yaml or .yml" in files.refused(FULL_TOML, name)

    def test_not_utf8(self, files):
        assert "not UTF-8" in files.refused('bootstrap_servers = "ä:1"'.encode("latin-1"))

    @pytest.mark.parametrize("text", ["- a\n", "word\n", "3\n", "[]\n", "false\n"])
    def test_yaml_without_keys(self, files, text):
        assert "holds no keys" in files.refused(text, "k.yaml")

    @pytest.mark.parametrize(
        ("text", "name", "place"),
        [
            ('a = 1\n[sasl]\npassword = geheim"\n', "k.toml", "line 3, column 12"),
            ('[sasl]\npassword = "geheim\n', "k.toml", "line 2, column"),
            ('[sasl]\npassword = "geheim', "k.toml", "end of document"),
            ('[sasl]\npassword = "geheim"\npassword = "geheim"\n', "k.toml", "line 3"),
            ("sasl:\n  password: *geheim\n", "k.yaml", "line 2, column 13"),
            ("sasl:\n  password: 'geheim\n", "k.yaml", "line 3, column 1"),
            ("sasl:\n  password: @geheim\n", "k.yaml", "line 2, column 13"),
            ("sasl: {password: geheim\n", "k.yaml", "line 2, column 1"),
            ("sasl:\n  password: geheim\n  password: geheim\n", "k.yaml", "line 3, column 3"),
            ("a: !!python/object:geheim 1\n", "k.yaml", "line 1, column 4"),
            ("a: \0geheim\n", "k.yaml", "YAML"),
            ("? [geheim]\n: 1\n", "k.yaml", "line 1"),
            ("[" * 5000, "k.yaml", "YAML"),
        ],
    )
    def test_the_place_of_a_syntax_error_is_told_and_nothing_of_the_text(self, files, text, name, place):
        told = files.refused(text, name)
        assert "not valid" in told
        assert place in told
        assert "geheim" not in told

    def test_keys_that_are_not_text(self, files):
        assert "is not text" in files.refused("1: 2\n", "k.yaml")

    def test_a_key_twice_in_both_ways(self, files):
        assert "sasl.username is given twice" in files.refused(
            "sasl.username: a\nsasl: {username: b}\n", "k.yaml"
        )

    def test_yaml_that_contains_itself_ends(self, files):
        assert "is not a key" in files.refused("a: &a\n  b: *a\n", "k.yaml")


class TestUnreadable:
    def test_missing(self, files):
        with pytest.raises(UsageError, match="No such file") as caught:
            load_kafka_config(files.folder / "none.toml")
        assert "--eng5-kafka-config" in str(caught.value)

    def test_a_folder(self, files):
        (files.folder / "k.toml").mkdir()
        with pytest.raises(UsageError, match="directory"):
            load_kafka_config(files.folder / "k.toml")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_forbidden(self, files):
        path = files.write(FULL_TOML)
        path.chmod(0)
        with pytest.raises(UsageError, match="Permission denied"):
            load_kafka_config(path)

    def test_an_impossible_name(self):
        with pytest.raises(UsageError, match="not a possible name"):
            load_kafka_config(Path("a\0b.toml"))


class TestKeys:
    @pytest.mark.parametrize(
        ("given", "suggested"),
        [
            # spelled wrong
            ("security_protocoll", "security_protocol"),
            ("sasl.mechanisme", "sasl.mechanism"),
            ("sasl.user", "sasl.username"),
            ("ssl.cafile", "ssl.ca_file"),
            ("ssl.verify_hostname", "ssl.check_hostname"),
            # without the section, or with another separator
            ("mechanism", "sasl.mechanism"),
            ("ca_file", "ssl.ca_file"),
            ("security-protocol", "security_protocol"),
            ("ssl.ca-file", "ssl.ca_file"),
            # Java
            ("security.protocol", "security_protocol"),
            ("bootstrap.servers", "bootstrap_servers"),
            ("sasl.jaas.config", "sasl.username and sasl.password"),
            ("ssl.truststore.location", "ssl.ca_file"),
            ("ssl.keystore.location", "ssl.cert_file and ssl.key_file"),
            ("ssl.key.password", "ssl.key_password"),
            ("ssl.endpoint.identification.algorithm", "ssl.check_hostname"),
            # librdkafka
            ("sasl.mechanisms", "sasl.mechanism"),
            ("ssl.ca.location", "ssl.ca_file"),
            ("ssl.certificate.location", "ssl.cert_file"),
            ("ssl.key.location", "ssl.key_file"),
            ("metadata.broker.list", "bootstrap_servers"),
            # aiokafka
            ("sasl_mechanism", "sasl.mechanism"),
            ("sasl_plain_username", "sasl.username"),
            ("sasl_plain_password", "sasl.password"),
        ],
    )
    @pytest.mark.parametrize("suffix", ["toml", "yaml"])
    def test_the_key_that_was_meant_is_suggested(self, files, given, suggested, suffix):
        text = f'{given} = "geheim"' if suffix == "toml" else f"{given}: geheim\n"
        told = files.refused(text, f"k.{suffix}")
        assert f"{given!r} is not a key" in told
        assert f"did you mean {suggested}" in told
        assert "geheim" not in told

    def test_without_any_likeness_all_are_listed(self, files):
        told = files.refused("zzz = 1")
        assert all(key in told for key in KEYS)

    @pytest.mark.parametrize("section", ["ssl", "sasl"])
    def test_a_section_with_a_value(self, files, section):
        told = files.refused(f'{section} = "geheim"')
        assert f"{section} is a section" in told
        assert "geheim" not in told

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("value", ["1234567", "[geheim]", "2026-01-01", "1.5"])
    def test_a_value_of_another_type(self, files, key, value):
        told = files.refused(f"{key}: {value}\n", "k.yaml")
        assert f"{key} must be" in told
        assert value not in told

    @pytest.mark.parametrize("value", ['"true"', "1", '"${YES}"'])
    def test_a_flag_is_no_text(self, files, value):
        assert "ssl.check_hostname must be true or false" in files.refused(
            f"ssl.check_hostname: {value}", "k.yaml"
        )

    @given(key=st.text(string.ascii_lowercase + "._-", min_size=1).filter(lambda key: key not in KEYS))
    def test_no_other_key_is_taken(self, tmp_path_factory, key):
        path = tmp_path_factory.mktemp("any") / "k.yaml"
        path.write_text(json.dumps({key: "geheim"}))
        with pytest.raises(UsageError) as caught:
            load_kafka_config(path)
        assert "geheim" not in str(caught.value)


class TestReferences:
    def read(self, files, value: str, **environ: str) -> str | None:
        return files.load(f"bootstrap_servers = {json.dumps(value)}", **environ).bootstrap_servers

    @pytest.mark.parametrize(
        ("value", "read"),
        [
            ("${A}", "1"),
            ("x${A}y${B_2}z", "x1y2z"),
            ("${A}${A}", "11"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$${A}", "$1"),
            ("$$$$", "$$"),
            ("a$b", "a$b"),
            ("$A", "$A"),
            ("cost: 5$", "cost: 5$"),
            ("}{", "}{"),
        ],
    )
    def test_references_and_dollars(self, files, value, read):
        assert self.read(files, value, A="1", B_2="2") == read

    def test_what_the_environment_holds_is_not_read_again(self, files):
        assert self.read(files, "${A}", A="${B}$$", B="no") == "${B}$$"

    @pytest.mark.parametrize("value", ["${", "${}", "${A", "${A B}", "${1A}", "${A:-x}", "${Ä}"])
    def test_malformed(self, files, value):
        told = files.refused(f'[sasl]\npassword = "geheim{value}"', A="1")
        assert "sasl.password holds a reference" in told
        assert "geheim" not in told

    def test_a_missing_variable_is_named_with_its_key_but_no_value(self, files):
        told = files.refused('[sasl]\npassword = "geheim${KAFKA_PASSWORD}${A}"', A="offen")
        assert "sasl.password refers to the environment variable KAFKA_PASSWORD, which is not set" in told
        assert "export KAFKA_PASSWORD" in told
        assert "geheim" not in told
        assert "offen" not in told

    def test_every_text_may_hold_one(self, files, monkeypatch):
        for name, value in {"P": "SASL_PLAINTEXT", "S": "h:1", "M": "PLAIN", "U": "u", "W": "w"}.items():
            monkeypatch.setenv(name, value)
        path = files.write(
            'security_protocol="${P}"\nbootstrap_servers="${S}"\n'
            '[sasl]\nmechanism="${M}"\nusername="${U}"\npassword="${W}"'
        )
        config = load_kafka_config(path)  # from the environment of the process
        assert (config.bootstrap_servers, config.username, config.password) == ("h:1", "u", "w")

    def test_an_empty_variable_is_an_empty_value(self, files):
        told = files.refused(FULL_TOML, SECRET="")
        assert "sasl.password is empty" in told

    @given(parts=st.lists(st.one_of(WORDS, st.just("$"), st.tuples(st.sampled_from(["A", "_b", "C3"])))))
    def test_what_is_escaped_comes_back(self, tmp_path_factory, parts):
        """Independent oracle: the text is built from parts whose meaning is known."""
        environ = {"A": "one", "_b": "$${A}", "C3": ""}
        written = "".join(
            f"${{{part[0]}}}" if isinstance(part, tuple) else part.replace("$", "$$") for part in parts
        )
        meant = "".join(environ[part[0]] if isinstance(part, tuple) else part for part in parts)
        path = tmp_path_factory.mktemp("any") / "k.yaml"
        path.write_text(yaml.safe_dump({"bootstrap_servers": f"h{written}"}, allow_unicode=True), "utf-8")
        assert load_kafka_config(path, environ).bootstrap_servers == f"h{meant}"


@given(
    mechanism=st.sampled_from(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
    username=WORDS,
    password=WORDS,
    servers=st.none() | WORDS,
)
def test_what_is_written_is_read_in_both_languages(tmp_path_factory, mechanism, username, password, servers):
    sasl = {"mechanism": mechanism, "username": username, "password": password}
    folder = tmp_path_factory.mktemp("both")
    top = {"security_protocol": "SASL_PLAINTEXT"} | (
        {} if servers is None else {"bootstrap_servers": servers}
    )
    as_toml = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in top.items()]
    as_toml += [
        "[sasl]",
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in sasl.items()),
    ]
    (folder / "k.toml").write_text("\n".join(as_toml).replace("\x7f", "\\u007f"), "utf-8")
    (folder / "k.yaml").write_text(yaml.safe_dump(top | {"sasl": sasl}, allow_unicode=True), "utf-8")
    read = [load_kafka_config(folder / name, {}) for name in ("k.toml", "k.yaml")]
    assert (read[0].username, read[0].password, read[0].bootstrap_servers) == (username, password, servers)
    assert read[0].client_options() == read[1].client_options()
    assert read[0].mechanism == mechanism


@given(garbage=st.binary(max_size=200), name=st.sampled_from(["k.toml", "k.yaml"]))
def test_whatever_stands_in_a_file_it_loads_or_is_a_mistake_of_use(tmp_path_factory, garbage, name):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(garbage)
    problem = None
    try:
        load_kafka_config(path, {})
    except UsageError as error:
        problem = error
    assert problem is None or (problem.where == str(path) and problem.fix)
