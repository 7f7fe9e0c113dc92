"""`ReaderSuite`: the contract of a reader. Subclass it and write the files of a task.

class TestMyReader(ReaderSuite):
    reader = MyReader()
    def spec(self, folder): ...      # write the files of a task into a folder, and describe it
    def expected(self): ...          # its examples
    def changed(self, folder): ...   # the same with one label changed
    def refusals(self, folder): ...  # refused tasks, each with its message
"""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from typing import Any

import pytest

from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.metrics import METRICS
from seedlab.tasks.readers.raw import RawTask
from seedlab.tasks.readers.reader import Reader

OF_FILES = {"missing file", "empty split", "unknown label"}
"""Refusals that every reader of files must have."""


class ReaderSuite:
    """The contract of a reader."""

    reader: Reader

    def spec(self, folder: Path) -> TaskSpec:
        """Return the specification of a task; its files, if any, are written into `folder`."""
        raise NotImplementedError

    def expected(self) -> RawTask:
        """Return the examples of the task that `spec` describes."""
        raise NotImplementedError

    def changed(self, folder: Path) -> TaskSpec:
        """Return the same task as `spec` with one label of the training split changed."""
        raise NotImplementedError

    def refusals(self, folder: Path) -> dict[str, tuple[TaskSpec, str]]:
        """Return tasks that are refused, each with a pattern of the message."""
        raise NotImplementedError

    def read(self, spec: TaskSpec) -> RawTask:
        self.reader.check(spec)
        return self.reader.source(spec).read()

    @pytest.fixture(autouse=True)
    def _no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any) -> None:
            raise AssertionError("a reader may not use the network in this suite")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    def test_it_reads_every_split(self, tmp_path: Path) -> None:
        task = self.read(self.spec(tmp_path))
        assert task == self.expected()
        assert {"train", "dev"} <= set(task.splits)

    def test_labels_are_of_the_stated_kind(self, tmp_path: Path) -> None:
        """Classes are numbered from 0 in the order of their names; targets are floats."""
        task = self.read(self.spec(tmp_path))
        for split in task.splits.values():
            assert len(split.texts) == len(split.labels) > 0
            assert split.pairs is None or len(split.pairs) == len(split.texts)
            if task.label_names:
                assert all(type(label) is int for label in split.labels)
                assert set(split.labels) <= set(range(len(task.label_names)))
            else:
                assert all(type(label) is float for label in split.labels)

    def test_metrics_suit_the_labels(self, tmp_path: Path) -> None:
        task = self.read(self.spec(tmp_path))
        assert task.metrics
        assert all(METRICS[name].suits(task.n_labels) for name in task.metrics)

    def test_equal_content_has_one_identity(self, tmp_path: Path) -> None:
        """Neither the folder nor settings of other parts of a task are content."""
        spec = self.spec(tmp_path / "a")
        moved = dataclasses.replace(self.spec(tmp_path / "b"), max_length=9, train_size=1)
        sources = [self.reader.source(s) for s in (spec, spec, moved)]
        assert len({source.identity for source in sources}) == 1
        assert sources[0].read() == sources[1].read() == sources[2].read()

    def test_changed_content_has_another_identity(self, tmp_path: Path) -> None:
        spec, other = self.spec(tmp_path / "a"), self.changed(tmp_path / "b")
        assert self.reader.source(spec).identity != self.reader.source(other).identity
        assert self.read(spec).splits["train"] != self.read(other).splits["train"]

    def test_the_identity_names_the_reader(self, tmp_path: Path) -> None:
        """Readers share one cache: their identities must differ."""
        identity = self.reader.source(self.spec(tmp_path)).identity
        assert identity.startswith(f"{self.reader.name}/")

    def test_refusals(self, tmp_path: Path) -> None:
        """Each names the setting or file, its value, the allowed ones and the remedy."""
        refusals = self.refusals(tmp_path)
        if self.reader.path != "unused":
            assert set(refusals) >= OF_FILES
        for case, (spec, pattern) in refusals.items():
            with pytest.raises(SeedlabError, match=pattern) as caught:
                self.read(spec)
            message = str(caught.value)
            assert message.endswith((".", "?")), (case, message)
            assert ";" in message or ". " in message, (case, message)

    def test_settings_are_fields_of_a_task(self) -> None:
        fields = {field.name for field in dataclasses.fields(TaskSpec)}
        assert set(self.reader.settings) <= fields - {"name", "reader", "path"}
        assert self.reader.path in ("unused", "optional", "working folder")
