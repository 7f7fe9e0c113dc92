"""The original GLUE layouts, from tiny files and from the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.load import load_task
from seedlab.tasks.metrics import METRICS
from seedlab.tasks.readers.glue_tasks import GLUE
from seedlab.tasks.readers.raw import RawTask
from seedlab.tasks.registry import find_source

TWO = "index\tsentence1\tsentence2\tlabel\n"
MNLI = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\t"
)
PARSED = "0\t1\t1n\tfiction\t( a )\t( b )\t(ROOT a)\t(ROOT b)\t"
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def read(name: str, folder: Path) -> RawTask:
    return find_source(TaskSpec(name=name, reader="glue", path=str(folder))).read()


def both(folder: str, text: str) -> dict[str, str]:
    return {f"{folder}/train.tsv": text, f"{folder}/dev.tsv": text}


def test_cola_has_no_header(tmp_path: Path) -> None:
    text = "gj04\t1\t\tOur friends won't buy it.\ngj04\t0\t*\tThe dog barks out.\n"
    split = read("cola", write(tmp_path, both("CoLA", text))).splits["train"]
    assert split.texts == ("Our friends won't buy it.", "The dog barks out.")
    assert split.labels == (1, 0)
    assert split.pairs is None


def test_mrpc_has_a_byte_order_mark_and_no_quoting(tmp_path: Path) -> None:
    text = (
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
        '1\t1\t2\t"The pie, he said.\tHe "said" pie.\n'
        "0\t3\t4\tA dog.\tA cat.\n"
    )
    split = read("mrpc", write(tmp_path, both("MRPC", text))).splits["dev"]
    assert split.texts == ('"The pie, he said.', "A dog.")
    assert split.pairs == ('He "said" pie.', "A cat.")
    assert split.labels == (1, 0)


def test_sst2(tmp_path: Path) -> None:
    text = "sentence\tlabel\nit 's charming \t1\nbleak \t0\n"
    split = read("sst2", write(tmp_path, both("SST-2", text))).splits["train"]
    assert split.texts == ("it 's charming ", "bleak ")
    assert split.labels == (1, 0)


def test_qqp_leaves_out_the_broken_rows_of_the_published_file(tmp_path: Path) -> None:
    text = (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        "0\t1\t2\tWhy?\tWhy not?\t0\n1\t3\t4\tHow\n2\t5\t6\tWho?\tWho is it?\t1\n"
    )
    split = read("qqp", write(tmp_path, both("QQP", text))).splits["train"]
    assert split.texts == ("Why?", "Who?")
    assert split.labels == (0, 1)


def test_stsb_is_a_regression(tmp_path: Path) -> None:
    text = STSB + "0\tg\tf\t2012\t1\tnone\tnone\tA plane.\tAn air plane.\t5.000\n"
    task = read("stsb", write(tmp_path, both("STS-B", text)))
    assert task.n_labels == 1
    assert task.splits["dev"].labels == (5.0,)
    assert task.metrics[0] == "pearson_spearman_mean"


def test_mnli_has_two_validation_splits(tmp_path: Path) -> None:
    files = {
        "MNLI/train.tsv": f"{MNLI}gold_label\n{PARSED}a\tb\tneutral\tneutral\n",
        "MNLI/dev_matched.tsv": f"{MNLI}label2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        f"{PARSED}c\td\tneutral\tneutral\tneutral\tneutral\tneutral\tcontradiction\n",
        "MNLI/dev_mismatched.tsv": f"{MNLI}label2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        f"{PARSED}e\tf\tneutral\tneutral\tneutral\tneutral\tneutral\tentailment\n",
    }
    task = read("mnli", write(tmp_path, files))
    assert list(task.splits) == ["train", "dev", "dev_mismatched"]
    assert [split.labels for split in task.splits.values()] == [(1,), (2,), (0,)]
    assert task.splits["dev"].pairs == ("d",)


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        (
            "qnli",
            "index\tquestion\tsentence\tlabel\n0\tq\ts\tentailment\n1\tq\tt\tnot_entailment\n",
            (0, 1),
        ),
        ("rte", TWO + "0\ta\tb\tnot_entailment\n1\tc\td\tentailment\n", (1, 0)),
        ("wnli", TWO + "0\ta\tb\t1\n1\tc\td\t0\n", (1, 0)),
    ],
)
def test_pairs_with_a_header(tmp_path: Path, name: str, text: str, labels: tuple[int, ...]) -> None:
    split = read(name, write(tmp_path, both(GLUE[name].folder, text))).splits["train"]
    assert split.labels == labels
    assert split.pairs is not None


def test_other_line_ends_do_not_matter_and_line_separators_are_text(tmp_path: Path) -> None:
    text = "sentence\tlabel\r\none\u2028two\t1\r\nthree\t0\r\n"
    split = read("sst2", write(tmp_path, both("SST-2", text))).splits["train"]
    assert split.texts == ("one\u2028two", "three")


def test_the_folder_may_be_the_tasks_own_or_one_above(tmp_path: Path) -> None:
    write(tmp_path, both("glue/RTE", TWO + "0\ta\tb\tentailment\n"))
    found = [
        read("rte", folder) for folder in (tmp_path, tmp_path / "glue", tmp_path / "glue" / "RTE")
    ]
    assert found[0] == found[1] == found[2]


def test_every_task_has_metrics_that_suit_it() -> None:
    for task in GLUE.values():
        assert all(METRICS[name].suits(len(task.label_names) or 1) for name in task.metrics)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "index\tsentence1\tsentence2\tlabels\n0\ta\tb\tentailment\n",
            "no column 'label'.*'labels'",
        ),
        (TWO + "0\ta\tb\n", "line 2 has 3 columns and must have 4"),
        (TWO + "0\ta\tb\tentailed\n", "line 2, column 'label': label 'entailed' is none of"),
        (TWO, "has no examples"),
    ],
)
def test_refusals_of_files(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, both("RTE", text))
    with pytest.raises(SeedlabError, match=message):
        read("rte", tmp_path)


def test_refusal_of_a_score_that_is_none(tmp_path: Path) -> None:
    text = STSB + "0\tg\tf\t2012\t1\tnone\tnone\tA\tB\t7\n"
    with pytest.raises(SeedlabError, match="column 'score': expected a score from 0 to 5, got '7'"):
        read("stsb", write(tmp_path, both("STS-B", text)))


def test_refusal_of_a_folder_without_the_task(tmp_path: Path) -> None:
    with pytest.raises(SeedlabError, match=r"holds no RTE/train.tsv; it must be the folder"):
        read("rte", tmp_path)


def test_refusal_of_a_missing_validation_file(tmp_path: Path) -> None:
    write(tmp_path, {"RTE/train.tsv": TWO + "0\ta\tb\tentailment\n", "RTE/def.tsv": ""})
    with pytest.raises(SeedlabError, match=r"dev.tsv does not exist.*Did you mean 'def.tsv'"):
        read("rte", tmp_path)


def test_refusal_of_a_task_that_is_not_in_glue() -> None:
    with pytest.raises(
        SeedlabError, match=r"task.name=sst is not a GLUE task.*Did you mean 'sst2'"
    ):
        find_source(TaskSpec(name="sst", reader="glue"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sizes", "majority"),
    [
        ("rte", (2490, 277), {"accuracy": 0.5271}),
        ("mrpc", (3668, 408), {"accuracy": 0.6838, "f1": 0.8122, "accuracy_f1_mean": 0.7480}),
        ("sst2", (67349, 872), {"accuracy": 0.5092}),
    ],
)
def test_real_counts_and_majorities(
    data_folder: Path, name: str, sizes: tuple[int, int], majority: dict[str, float]
) -> None:
    task = read(name, data_folder / "data")
    assert (len(task.splits["train"].labels), len(task.splits["dev"].labels)) == sizes
    assert set(task.metrics) == set(majority)
    for metric, value in majority.items():
        got = METRICS[metric].majority(task.splits["dev"].labels, 2)
        assert got == pytest.approx(value, abs=5e-5)


@pytest.mark.data
def test_real_pairs_are_told_apart_by_type(data_folder: Path) -> None:
    task = load_task(
        TaskSpec(name="rte", reader="glue", path=str(data_folder / "data"), train_size=10),
        tokenizer=data_folder / "models" / "minilm-l6",
        max_positions=512,
        subsample_seed=0,
        cache_dir=None,
    )
    dev = task.splits["dev"]
    first = slice(0, int(dev.offsets[1]))
    assert dev.ids[0] == 101
    assert dev.ids[first][-1] == 102
    assert np.flatnonzero(dev.ids[first] == 102)[0] + 1 == np.flatnonzero(dev.types[first])[0]
