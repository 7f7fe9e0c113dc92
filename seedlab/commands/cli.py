"""The command line: `seedlab VERB ...`, the same as `python -m seedlab VERB ...`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from seedlab.commands import pretrain, report
from seedlab.errors import SeedlabError
from seedlab.launch import repeat_command as command

_ABOUT = """\
seedlab trains grids of fine-tuning seeds and tells what they say.

  seedlab demo                                a 5 x 5 grid on the embedded task
  seedlab run -m task=rte model=bert-large-uncased \\
      'seed.init=range(0,25)' 'seed.order=range(0,25)'
  seedlab status STUDY                        (STUDY: a study's name or its folder)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; None: those of the process.

    Returns
    -------
    int
        0; 1 when something ran and failed; 2 for a refusal; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with command.given(words):
            if words[:1] == ["run"]:
                return _run(words[1:])
            options = _parser().parse_args(words)
            return int(options.act(options) or 0)
    except SeedlabError as error:
        print(f"seedlab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        from seedlab.store.writable import explain

        if (explained := explain(error)) is None:
            raise
        print(f"seedlab: {explained}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seedlab", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, act: object, text: str, study: bool = True) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(act=act)
        if study:
            made.add_argument("study", metavar="STUDY", help="a study's name or its folder")
            made.add_argument(
                "--studies", default="studies", metavar="DIR", help="where studies lie"
            )
        return made

    verb("run", _run, "train runs; Hydra overrides follow (-m sweeps)", study=False)
    made = verb("demo", _demo, "train a 5 x 5 grid on the embedded task", study=False)
    made.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for `seedlab run`")
    made = verb("status", _status, "say how far a study is")
    made.add_argument(
        "--grid", choices=("best", "final"), help="print the init x order table of these scores"
    )
    made = verb("export", _export, "write a study's tidy tables")
    made.add_argument("--out", metavar="DIR", help="default: the study's own folder tables/")
    made.add_argument("--format", choices=("csv", "parquet"), default="csv")
    made = verb("verify", _verify, "train a run again and compare it bit for bit")
    made.add_argument("run", metavar="RUN", help="a run's id, or the beginning of it")
    made = verb("save", _save, "write a run's model as a save_pretrained folder")
    made.add_argument("run", metavar="RUN|best|median")
    made.add_argument("out", metavar="DIR", type=Path)
    made = verb("predict", _predict, "score a file with a saved model", study=False)
    made.add_argument("model", metavar="DIR", type=Path, help="written by `seedlab save`")
    made.add_argument("file", metavar="FILE", type=Path, help="CSV, TSV, JSON lines or Parquet")
    made.add_argument("--out", metavar="FILE", type=Path, help="a CSV file; default: print")
    made.add_argument("--text", metavar="COLUMN")
    made.add_argument("--text-pair", metavar="COLUMN")
    made = verb("surface", _surface, "the loss on the plane through two runs' weights")
    made.add_argument("failed", metavar="FAILED", help="a run's id, or the beginning of it")
    made.add_argument("successful", metavar="SUCCESSFUL", help="another run of the same task")
    made.add_argument("--grid", type=int, default=25, metavar="N", help="N x N points; %(default)s")
    made.add_argument("--low", type=float, default=-0.5, help="of both axes; default %(default)s")
    made.add_argument("--high", type=float, default=1.5, help="of both axes; default %(default)s")
    made.add_argument("--examples", type=int, metavar="N", help="training examples; default: all")
    made.add_argument(
        "--start",
        choices=("failed", "successful"),
        default="failed",
        help="whose start is the third point; default %(default)s",
    )
    made.add_argument(
        "--out", metavar="FILE", type=Path, help="CSV or Parquet; default: in the study, surfaces/"
    )
    made = verb("report", report.report, "write figures, tables and a page", study=False)
    report.add_report_arguments(made)
    made = verb("plan", report.plan, "say how many seeds a question needs", study=False)
    report.add_plan_arguments(made)
    made = verb("pretrain", _pretrain, "make the embedded encoder again", study=False)
    pretrain.add_arguments(made)
    return parser


def _pretrain(options: argparse.Namespace) -> int:
    return pretrain.main(options)


def _run(arguments: list[str]) -> int:
    """Hand the overrides to Hydra."""
    # Hydra prints a shortened trace and exits by itself; with this it raises, and the
    # refusals of seedlab reach the user as one sentence.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    from hydra.errors import HydraException

    from seedlab.application import app
    from seedlab.config.overrides import only_asks, plain_value, rewrite
    from seedlab.store.atomic_files import FULL, disk_full
    from seedlab.store.writable import check_studies

    before = sys.argv
    studies = Path("studies")
    try:
        rewritten = rewrite(arguments)
        studies = Path(plain_value(rewritten, "studies_dir") or studies)
        if not only_asks(rewritten):
            check_studies(studies, plain_value(rewritten, "study"))
        sys.argv = ["seedlab run", *rewritten]
        app.main()
    except OSError as error:
        # Hydra writes its configurations without saying where they did not fit.
        if error.errno in FULL:
            raise disk_full(studies, "writing the study's configuration", error) from error
        raise
    except HydraException as error:
        raise SeedlabError(str(error)) from error
    finally:
        sys.argv = before
    return 0


def _demo(options: argparse.Namespace) -> int:
    """Train the demonstration grid, and say what came of it and what to do next."""
    from seedlab.commands.score_table import score_grid
    from seedlab.store.study import find_study

    code = _run(["-m", "experiment=demo", *options.overrides])
    given = dict(line.partition("=")[::2] for line in options.overrides)
    name, root = given.get("study", "demo"), given.get("studies_dir", "studies")
    study = find_study(name, root)
    print()
    print(score_grid(list(study.records().values())))
    shown = name if root == "studies" else str(study.folder)
    again = shlex.join(["-m", "experiment=demo", *options.overrides])
    print(f"\nThe study is in {study.folder}. Next:")
    print(f"  seedlab status {shown} --grid final    scores and times, the table of final scores")
    print(f"  seedlab report {shown} --out report    figures, tables, report/report.html")
    print(f"  seedlab export {shown}                 tidy tables (CSV)")
    print(f"  seedlab run {again} 'seed.init=range(0,8)'   three more init seeds")
    print(f"  seedlab save {shown} best model/    the best run's model, for transformers")
    return code


def _status(options: argparse.Namespace) -> int:
    from seedlab.commands.score_table import score_grid
    from seedlab.commands.status import format_status, status
    from seedlab.store.study import find_study

    study = find_study(options.study, options.studies)
    print("\n".join(format_status(status(study))))
    if options.grid:
        print(f"\n{score_grid(study.records().values(), options.grid)}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from seedlab.store.study import find_study
    from seedlab.store.tables.export import export

    folder = export(find_study(options.study, options.studies), options.out, options.format)
    print(f"tables in {folder}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from seedlab.reproduce.compare import compare, explain
    from seedlab.reproduce.retrain import repeat
    from seedlab.store.study import find_study

    study = find_study(options.study, options.studies)
    stored = study.read(study.find_run(options.run))
    verification = compare(stored, repeat(stored))
    print(explain(stored.record, verification))
    return 0 if verification.equal else 1


def _save(options: argparse.Namespace) -> int:
    from seedlab.reproduce.retrain import save
    from seedlab.store.study import find_study

    record = save(find_study(options.study, options.studies), options.run, options.out)
    print(
        f"run {record.run_id} (final {record.metric} {record.final_score:.4f}) in {options.out}, "
        "bitwise equal to its record"
    )
    return 0


def _surface(options: argparse.Namespace) -> int:
    from seedlab.reproduce.loss_surface import check_out, surface, write
    from seedlab.store.study import find_study

    study = find_study(options.study, options.studies)
    runs = [study.find_run(text) for text in (options.failed, options.successful)]
    out = options.out or study.folder / "surfaces" / f"{runs[0]}-{runs[1]}.csv"
    check_out(out)

    def progress(done: int, total: int) -> None:
        if done % options.grid == 0:
            print(f"{done} of {total} points", file=sys.stderr)

    table = surface(
        study,
        *runs,
        grid=options.grid,
        low=options.low,
        high=options.high,
        examples=options.examples,
        start=options.start,
        progress=progress,
    )
    write(table, out)
    for row in table[table["point"] != ""].itertuples():
        print(f"{row.point:<10} loss {row.loss:.4f} on {row.examples} training examples")
    print(f"{len(table)} points in {out}; `seedlab report` draws the surfaces in a study's folder")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from seedlab.commands.predict import predict

    table = predict(options.model, options.file, text=options.text, text_pair=options.text_pair)
    if options.out is None:
        print(table.to_csv(index=False), end="")
    else:
        try:
            table.to_csv(options.out, index=False)
        except OSError as error:
            raise SeedlabError(f"{options.out} can't be written ({error}).") from error
        print(f"{len(table)} predictions in {options.out}")
    return 0
