"""Changes by Dockerfile instructions: docker's forms, and nothing else."""

import pytest

from layerstore.errors import UsageError
from layerstore.oci.document import Json
from lstore.engine.change_instructions import apply_changes

APPLIED: list[tuple[list[str], dict[str, Json]]] = [
    (['CMD ["a", "b c"]'], {"Cmd": ["a", "b c"]}),
    (["cmd echo hi"], {"Cmd": ["/bin/sh", "-c", "echo hi"]}),
    (['ENTRYPOINT ["/init"]'], {"Entrypoint": ["/init"]}),
    (['ENV A=1 B="2 3"', "ENV A 4 5"], {"Env": ["A=4 5", "B=2 3"]}),
    (["LABEL a=1", 'LABEL "b c"=2'], {"Labels": {"a": "1", "b c": "2"}}),
    (["EXPOSE 80 53/udp"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
    (['VOLUME ["/a", "/b c"]', "VOLUME /d"], {"Volumes": {"/a": {}, "/b c": {}, "/d": {}}}),
    (["WORKDIR /a", "WORKDIR b/../c"], {"WorkingDir": "/a/c"}),
    (["USER 1000:1000", "STOPSIGNAL SIGINT"], {"User": "1000:1000", "StopSignal": "SIGINT"}),
    (
        ['HEALTHCHECK --interval=50ms --retries=2 CMD ["a", "b"]'],
        {"Healthcheck": {"Test": ["CMD", "a", "b"], "Interval": 50_000_000, "Retries": 2}},
    ),
    (["HEALTHCHECK CMD a | b"], {"Healthcheck": {"Test": ["CMD-SHELL", "a | b"]}}),
    (["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}),
    (["ONBUILD RUN make", "ONBUILD COPY . /"], {"OnBuild": ["RUN make", "COPY . /"]}),
]


@pytest.mark.parametrize(("changes", "expected"), APPLIED)
def test_instructions_change_what_docker_changes(changes: list[str], expected: dict[str, Json]) -> None:
    assert apply_changes({}, changes) == expected


def test_changes_mean_what_they_mean_in_a_build() -> None:
    before: dict[str, Json] = {"Env": ["A=1"], "Cmd": ["inherited"]}

    assert apply_changes(before, ["ENV B=$A"])["Env"] == ["A=1", "B=1"]
    assert apply_changes(before, ['ENTRYPOINT ["/init"]']) == {"Env": ["A=1"], "Entrypoint": ["/init"]}
    assert apply_changes(before, ['CMD ["own"]', 'ENTRYPOINT ["/init"]'])["Cmd"] == ["own"]
    assert apply_changes(before, ["CMD []"]) == {"Env": ["A=1"]}


def test_fields_that_no_change_names_stay() -> None:
    before: dict[str, Json] = {"User": "x", "Odd": [1], "Env": ["A=1"]}

    assert apply_changes(before, ["ENV B=2"]) == {"User": "x", "Odd": [1], "Env": ["A=1", "B=2"]}
    assert before["Env"] == ["A=1"]


@pytest.mark.parametrize(
    "change",
    [
        "",
        "LABEL",
        "RUN make",
        "FROM x",
        "ENV A",
        "ENV A=1 B",
        'ENV A="',
        "EXPOSE http",
        "HEALTHCHECK a",
        "HEALTHCHECK --interval=x CMD a",
        "ENV A=${",
        "CMD a\nUSER b",
        "EXPOSE 65536",
    ],
)
def test_what_cannot_be_is_refused(change: str) -> None:
    with pytest.raises(UsageError):
        apply_changes({}, [change])
