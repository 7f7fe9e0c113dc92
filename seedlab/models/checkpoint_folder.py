"""Folders of pre-trained checkpoints: finding, downloading, reading their configuration, hashing."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from seedlab.errors import SeedlabError, nearest

EMBEDDED = Path(__file__).parent.parent / "assets" / "encoder"
"""The encoder that seedlab ships."""

_OFFSET = ("camembert", "data2vec-text", "ibert", "longformer", "mpnet", "xmod")
"""Model types that number positions as RoBERTa does, besides RoBERTa itself."""

_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*.py"]


def locate(name: str, path: str | None, allow_pickle: bool = False) -> Path:
    """Return the folder of a checkpoint; a hub model is downloaded unless it is in the cache.

    Parameters
    ----------
    name : str
        ``"embedded"``, or a hub name such as ``"bert-large-uncased"``.
    path : str, optional
        A local folder; it wins over `name`.
    allow_pickle : bool
        Accept weights in pickle format; loading them can run arbitrary code.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    SeedlabError
        When the folder, its configuration or its weights are missing, the weights are only in
        pickle format, or the hub can't be reached.
    """
    if path is not None:
        folder = Path(path).expanduser()
        if not folder.is_dir():
            siblings = [p.name for p in folder.parent.iterdir()] if folder.parent.is_dir() else []
            raise SeedlabError(
                f"model.path={path} is not a folder; it must be a checkpoint folder with config.json "
                f"and model.safetensors.{nearest(folder.name, siblings)}"
            )
    elif name == "embedded":
        folder = EMBEDDED
    else:
        folder = _download(name, allow_pickle)
    if not (folder / "config.json").is_file():
        raise SeedlabError(
            f"{folder} has no config.json; a checkpoint folder holds config.json, weights and "
            "tokenizer files, as written by save_pretrained."
        )
    if not list(folder.glob("*.safetensors")):
        pickled = [file for file in _PICKLED if (folder / file).is_file()]
        if not pickled:
            raise SeedlabError(
                f"{folder} has no weights; expected model.safetensors, as written by save_pretrained."
            )
        if not allow_pickle:
            raise SeedlabError(
                f"{folder} has its weights in pickle format alone ({pickled[0]}), which can run code "
                "when loaded; allowed are safetensors. Convert them, or trust the file with "
                "model.allow_pickle=true."
            )
    return folder


def _download(name: str, allow_pickle: bool) -> Path:
    """Return the folder of a hub model's snapshot, from the local cache if possible."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    patterns = [*_FILES, "*.bin"] if allow_pickle else _FILES
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except LocalEntryNotFoundError as error:
        # Raised where the hub was not reached and there is no copy.
        answer = f"the hub does not answer ({_reason(error.__cause__ or error)})"
        asked = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else answer
        raise SeedlabError(
            f"model '{name}' could not be fetched from the hub: {asked}, and its cache "
            f"{constants.HF_HUB_CACHE} has no copy. Allowed are hub names, 'embedded', or a local folder "
            "with model.path=FOLDER. A copy of another machine's cache is used with HF_HUB_OFFLINE=1."
            f"{nearest(name, ['embedded'])}"
        ) from error
    except Exception as error:
        raise SeedlabError(
            f"model '{name}' could not be fetched from the hub ({type(error).__name__}: "
            f"{_reason(error)}); allowed are hub names, 'embedded', or a local folder with "
            f"model.path=FOLDER.{nearest(name, ['embedded'])}"
        ) from error


def _reason(error: BaseException) -> str:
    """Return the first line of an error's text, without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def read_config(folder: Path) -> dict[str, Any]:
    """Return the checkpoint's config.json.

    Raises
    ------
    SeedlabError
        When it is not a JSON object.
    """
    try:
        values: dict[str, Any] = dict(json.loads((folder / "config.json").read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise SeedlabError(
            f"{folder / 'config.json'} is not valid JSON ({error}); restore the file."
        ) from error
    return values


def max_positions(folder: Path) -> int | None:
    """Return the maximum input length in tokens by the model's position table; None if unknown.

    RoBERTa and similar models number positions from the padding index + 1. Their configured
    table size includes those unused rows, which are subtracted here.
    """
    config = read_config(folder)
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    if not isinstance(positions, int) or positions <= 0:
        return None
    kind, pad = str(config.get("model_type")), config.get("pad_token_id")
    if "roberta" in kind or kind in _OFFSET:
        positions -= (1 if pad is None else int(pad)) + 1
    return positions


def layer_count(folder: Path) -> int | None:
    """Return the number of the encoder's layers, as config.json states it; None if unknown."""
    config = read_config(folder)
    for name in ("num_hidden_layers", "n_layers", "n_layer", "num_layers"):
        if isinstance(config.get(name), int):
            return int(config[name])
    return None


def weights_hash(folder: Path, cache: Path) -> str:
    """Return 32 hexadecimal digits over the weights and config.json of a checkpoint.

    Parameters
    ----------
    folder : pathlib.Path
    cache : pathlib.Path
        Folder that caches hashes by (path, size, modification time), because hashing a large
        model takes seconds.

    Returns
    -------
    str
    """
    files = sorted(folder.glob("*.safetensors")) or [
        file for name in _PICKLED if (file := folder / name).is_file()
    ]
    # A checkpoint's own model code decides the results as much as its weights do.
    files += [folder / "config.json", *sorted(folder.glob("*.py"))]
    stamp = [[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    cached = cache / "weights" / f"{hashlib.sha256(json.dumps(stamp).encode()).hexdigest()}.txt"
    if cached.is_file() and len(known := cached.read_text()) == 32:
        return known
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    value = digest.hexdigest()[:32]
    # If the cache can't be written (disk full, no permission), the next call hashes again.
    with suppress(OSError):
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = cached.with_suffix(f".{uuid.uuid4().hex[:8]}")
        temporary.write_text(value)
        temporary.replace(cached)
    return value
