"""What a container of Apache Kafka is told: its settings as environment, its start script, its identity.

The images apache/kafka and apache/kafka-native turn every variable ``KAFKA_X_Y`` into the property ``x.y``
(``kafka.docker.KafkaDockerWrapper``) and start with ``/etc/kafka/docker/run``; images that take the same
variables start with a script of their own name and place.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pytest_eng5.brokers.server import server_properties

__all__ = [
    "CLIENT_PORT",
    "NO_START_SCRIPT",
    "WAIT_COMMAND",
    "KafkaSpec",
    "kafka_environment",
    "start_archive",
]

CLIENT_PORT = 9092
_BROKER_PORT = 9093
_CONTROLLER_PORT = 9094
_CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"

NO_START_SCRIPT = 64
"""Exit status of our script in an image that has none of the known ones."""

_FOLDER = "eng5-start"
_SCRIPT, _READY = f"{_FOLDER}/start.sh", f"{_FOLDER}/complete"
_RUN_SCRIPTS = ("/etc/kafka/docker/run", "/etc/confluent/docker/run")

# The script is there as soon as the mark behind it in the archive is.
WAIT_COMMAND = (
    "sh",
    "-c",
    f"while [ ! -f /tmp/{_READY} ]; do sleep 0.05; done; exec sh /tmp/{_SCRIPT}",
)
"""What the container runs: nothing until its script has been put in, since only then its port is known."""


@dataclass(frozen=True)
class KafkaSpec:
    """A container of Kafka that is wanted; plain JSON by `to_json`.

    Args:
        image: Its image.
        properties: Properties of the broker, over those of `kafka_environment`.
        reuse: Leave it running at the end and take it again next time.
    """

    image: str
    properties: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = False

    def to_json(self) -> str:
        """For the command line of another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> KafkaSpec:
        """The reverse of `to_json`."""
        return cls(**json.loads(text))

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the container."""
        return kafka_environment(self.properties)

    @property
    def identity(self) -> str:
        """The same for containers that can stand in for one another: image, settings and start command."""
        parts = {"image": self.image, "environment": self.environment, "command": WAIT_COMMAND}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def kafka_environment(properties: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings of a single node, as the embedded broker has them, with listeners for a container.

    ``CLIENTS`` is published and advertised by the start script; the other two stay inside.
    """
    settings = server_properties("", CLIENT_PORT, _CONTROLLER_PORT)
    for image_knows in ("log.dirs", "advertised.listeners"):
        del settings[image_knows]
    settings |= {
        "controller.quorum.voters": f"1@localhost:{_CONTROLLER_PORT}",
        "listeners": f"CLIENTS://:{CLIENT_PORT},BROKER://:{_BROKER_PORT},CONTROLLER://:{_CONTROLLER_PORT}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        **(properties or {}),
    }
    return {"CLUSTER_ID": _CLUSTER_ID, **{_variable(key): value for key, value in settings.items()}}


def _variable(name: str) -> str:
    """``a.b-c_d`` as ``KAFKA_A_B___C__D``."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def start_archive(host: str, port: int) -> bytes:
    """The start script as a tar archive for ``/tmp`` of the container.

    Args:
        host: Name or address by which clients reach the container.
        port: The published port.
    """
    lines = [
        f"export KAFKA_ADVERTISED_LISTENERS=CLIENTS://{host}:{port},BROKER://localhost:{_BROKER_PORT}",
        *(f"[ -x {script} ] && exec {script}" for script in _RUN_SCRIPTS),
        f"echo 'eng5: this image has none of {' '.join(_RUN_SCRIPTS)}' >&2",
        f"exit {NO_START_SCRIPT}",
    ]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        folder = tarfile.TarInfo(_FOLDER)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, text in ((_SCRIPT, "\n".join(lines) + "\n"), (_READY, "")):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()
