"""How to reach a secured Kafka: TLS and SASL settings from a TOML or YAML file.

A foundation package, as ``errors`` is: every room may import it. Secrets come from the environment
(``${NAME}``) or stand in the file; they are in no error, no ``repr`` and no warning.
"""

from __future__ import annotations

from pytest_eng5.kafka_config.loading import load_kafka_config
from pytest_eng5.kafka_config.model import MECHANISMS, SECURITY_PROTOCOLS, KafkaConfig
from pytest_eng5.kafka_config.tls import certificate_validity

__all__ = ["MECHANISMS", "SECURITY_PROTOCOLS", "KafkaConfig", "certificate_validity", "load_kafka_config"]
