"""Dockerfiles as people write them: each is read to the end, and its steps are what one would expect."""

from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.build.lint import check_file, check_graph, check_steps, options_of, selected

Build = Callable[..., object]
FILES = Path(__file__).with_name("dockerfiles")

STEPS = {
    "python-service": ["WORKDIR", "COPY", "RUN", "RUN", "COPY", "RUN", "COPY"],
    "go-cross": ["WORKDIR", "RUN", "RUN", "COPY", "COPY"],
    "heredocs": ["RUN", "RUN", "RUN", "COPY", "COPY"],
    "windows-style": ["WORKDIR", "COPY", "RUN"],
    "secrets": ["WORKDIR", "COPY", "RUN", "RUN", "RUN", "COPY", "ADD", "ADD"],
    "lower-case": ["RUN", "COPY", "RUN"],
}


@pytest.mark.parametrize("name", STEPS)
def test_a_file_has_its_steps(build: Build, name: str) -> None:
    built = build((FILES / f"{name}.Dockerfile").read_text())

    steps = [step for stage in sorted(built.steps) for step in built.steps[stage] if step.makes_layer]
    assert [step.instruction.name for step in steps] == STEPS[name]


@pytest.mark.parametrize("name", sorted(STEPS.keys() - {"lower-case"}))
def test_a_good_file_gives_no_warning(build: Build, name: str) -> None:
    built = build((FILES / f"{name}.Dockerfile").read_text())

    found = [*check_file(built.dockerfile), *check_graph(built.dockerfile, built.graph, built.arguments)]
    found += [warning for steps in built.steps.values() for warning in check_steps(steps)]
    assert [str(warning) for warning in selected(found, options_of(built.dockerfile))] == []


def test_every_file_is_used() -> None:
    assert {path.stem for path in FILES.iterdir()} == STEPS.keys()


def test_the_values_of_the_python_service(build: Build) -> None:
    built = build((FILES / "python-service.Dockerfile").read_text())

    config = built.image.document(base=(), layers=[None] * 9, created="")["config"]
    assert config["Env"][1:] == ["PYTHONUNBUFFERED=1", "PIP_NO_CACHE_DIR=1"]
    assert (config["User"], config["WorkingDir"], config["Cmd"]) == ("app", "/srv", ["--port", "8000"])
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "service.health"]


def test_the_values_of_the_cross_build(build: Build) -> None:
    built = build((FILES / "go-cross.Dockerfile").read_text(), VERSION="v1.2.3")

    download, compile_ = (step.instruction for step in built.steps[0] if step.command)
    assert [mount.target for mount in download.mounts] == ["/src/go.mod", "/src/go.sum", "/go/pkg/mod"]
    assert [mount.cache_key for mount in compile_.mounts] == ["/src", "/go/pkg/mod", "go-amd64"]
    assert built.image.labels["org.opencontainers.image.version"] == "1.2.3"


def test_the_values_of_the_heredocs(build: Build) -> None:
    steps = build((FILES / "heredocs.Dockerfile").read_text()).steps[0]

    lone, script, several = (step for step in steps if step.command)
    assert lone.command[-1].startswith('set -e\necho "hello $NAME"\n')
    assert script.command == ("/bin/sh", "-c", "/dev/pipes/SCRIPT")
    assert script.instruction.script.content == '#!/usr/bin/env python3\nprint("$NAME stays")\n'
    assert several.command[-1].endswith(">/b\nexpanded by the shell: $NAME\nA\nnot expanded: $NAME\nB")
    assert [file.content for file in steps[-2].instruction.inline] == ["name = $NAME\n", "name = world\n"]
    assert steps[-1].instruction.inline[0].content == "Welcome, world\n"


def test_the_values_of_the_other_escape(build: Build) -> None:
    steps = build((FILES / "windows-style.Dockerfile").read_text()).steps[0]

    assert steps[1].after.image.env[1:] == ("DIR=C:\\data", 'OTHER=a "quoted" word')
    assert steps[2].instruction.sources == ("a.txt", "b.txt")
    assert steps[3].command[-1] == "echo C:\\new\\     && echo done"


def test_the_values_of_the_lower_case_file(build: Build) -> None:
    built = build((FILES / "lower-case.Dockerfile").read_text())

    assert built.steps[0][-1].command == ("/bin/bash", "-eo", "pipefail", "-c", "a | b")
    assert [step.instruction.name for step in built.steps[1]] == ["COPY", "RUN", "ENV", "LABEL", "CMD"]
    assert built.image.env[1:] == ("A=1", "B=two words", "C=single $quotes")
    assert built.image.labels == {"a key": "value"}
