"""Reading a model from the Hugging Face Hub.

The Hub's listing of a repository says the commit, the files with their sizes, and the
number of elements by dtype; config.json and hf_quant_config.json are read at that
commit. Elements make exact bytes where they agree with the sizes of the files. Where
they do not (the Hub counts packed weights as what they unpack to), the headers of the
safetensors files are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import quote

from vllm_preflight.base.errors import HubUnavailable, InvalidRequest, PreflightError, UnknownModel
from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.models.config_files import (
    CONFIG_CAP,
    CONFIG_NAME,
    MODELOPT_NAME,
    MODULES_CAP,
    MODULES_NAME,
    PACKED_NAMES,
    SENTENCE_NAMES,
    TOKENIZER_NAME,
    as_object,
    asks_tokenizer,
    config_name,
    pooling_since,
    with_modelopt,
    with_packed,
    with_sentence_length,
    with_tokenizer_length,
)
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.hub_client import HubClient, HubRefusal
from vllm_preflight.models.local import Progress
from vllm_preflight.models.mistral_params import PARAMS_NAME, config_of_params
from vllm_preflight.models.model import Model
from vllm_preflight.models.model_ids import is_commit, is_model_id
from vllm_preflight.models.quantization import read_quantization
from vllm_preflight.models.repository_files import (
    INDEX_CAP,
    INDEX_NAME,
    missing_shards,
    other_formats,
    read_index,
    weight_files,
    without_config,
)
from vllm_preflight.models.safetensors_files import (
    DTYPE_BITS,
    LENGTH_BYTES,
    StoredTensors,
    combined,
    header_length,
    parse_header,
)
from vllm_preflight.models.stored_bytes import contradiction

# Nearly all headers fit into the first read; the others take a second one.
_FIRST_READ = BYTES_TO_MIB // 4
_MOST_HEADERS = 512
_READERS = 4


def read_hub(
    model: str,
    revision: str | None,
    progress: Progress,
    budget: float | None = None,
    kept: Model | None = None,
) -> Model:
    """The model as the Hub has it, at the commit that `revision` means now.

    `budget` is how many seconds all requests together may take (BUDGET_S when None). `kept`
    is the model as it was read last, and the answer while its commit is the same.

    Raises:
        UnknownModel: no such model or revision, or it has no config.json.
        HubUnavailable: the Hub cannot be reached, refuses access, or makes no sense.
        UnsupportedArchitecture: the config is of an architecture that is not understood.
    """
    client = HubClient.from_environment(budget)
    try:
        progress(f"looking up {model} on {client.host}")
        listing = _listing(client, model, revision)
        if kept is not None and (kept.id, kept.revision) == (listing.model, listing.commit):
            return kept
        name = _config_name(client, listing)
        progress(f"reading {name} of {listing.model} from {client.host}")
        config = _config(client, listing, name)
        pooled = _pooled(client, listing)
        sentence = _sentence(client, listing)
    except HubRefusal as refusal:
        raise _refused(refusal, client, model, revision) from refusal
    architecture = replace(read_architecture(config), pools_since=pooled)
    if TOKENIZER_NAME in listing.sizes and asks_tokenizer(config, architecture):
        tokenizer = _json_file(client, listing, TOKENIZER_NAME)
        architecture = with_tokenizer_length(architecture, tokenizer)
    architecture, said = with_sentence_length(architecture, sentence)
    stored, notes = _stored(client, listing, progress)
    quantization = read_quantization(config)
    checkpoint_bytes = stored.total_bytes if stored else None
    return Model(
        id=listing.model,
        origin="hub",
        provenance=f"{name} on {client.host}, commit {listing.commit}",
        config=config,
        architecture=architecture,
        quantization=quantization,
        revision=listing.commit,
        params_published=listing.elements or (stored.elements if stored else None),
        checkpoint_bytes=checkpoint_bytes,
        bytes_by_dtype=stored.bytes_by_dtype if stored else {},
        gated=listing.gated,
        notes=(*said, *notes, *contradiction(architecture, quantization, checkpoint_bytes)),
    )


@dataclass(frozen=True)
class _Listing:
    """What the Hub says of a repository; sizes are None where it does not say."""

    model: str
    commit: str
    gated: bool | None
    sizes: Mapping[str, int | None]
    elements_by_dtype: Mapping[str, int]
    elements: int | None

    def path(self, name: str) -> str:
        return f"/{self.model}/resolve/{self.commit}/{name}"


def _listing(client: HubClient, model: str, revision: str | None) -> _Listing:
    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    path = f"/api/models/{model}{at}?blobs=true"
    answer = client.json(path)
    commit = answer.get("sha")
    if not is_commit(commit):
        raise HubUnavailable(
            f"The answer of {client.host} for {path} names no commit.",
            "Check that HF_ENDPOINT is the address of a Hugging Face Hub.",
        )
    name = answer.get("id")
    sizes: dict[str, int | None] = {}
    siblings = answer.get("siblings")
    for sibling in cast(list[object], siblings) if isinstance(siblings, list) else []:
        facts = as_object(sibling)
        file_name = facts.get("rfilename")
        if isinstance(file_name, str):
            sizes[file_name] = _count(facts.get("size"))
    tensors = as_object(answer.get("safetensors"))
    counts = {dtype: _count(n) for dtype, n in as_object(tensors.get("parameters")).items()}
    gated = answer.get("gated")
    return _Listing(
        # A renamed repository answers with its new name.
        model=name if is_model_id(name) else model,
        commit=commit,
        gated=None if gated is None else bool(gated),
        sizes=sizes,
        elements_by_dtype={dtype: n for dtype, n in counts.items() if n},
        elements=_count(tensors.get("total")),
    )


def _config_name(client: HubClient, listing: _Listing) -> str:
    name = config_name(listing.sizes.keys())
    if name is None:
        reason, hint = without_config(listing.sizes.keys())
        raise UnknownModel(
            f"{listing.model} on {client.host} has no {CONFIG_NAME}: {reason}.", hint
        )
    return name


def _config(client: HubClient, listing: _Listing, name: str) -> dict[str, Any]:
    config = _json_file(client, listing, name)
    if name == PARAMS_NAME:
        return config_of_params(config)
    if MODELOPT_NAME in listing.sizes:
        config = with_modelopt(config, _json_file(client, listing, MODELOPT_NAME))
    packed = next((name for name in PACKED_NAMES if name in listing.sizes), None)
    if packed is not None:
        config = with_packed(config, packed, _json_file(client, listing, packed))
    return config


def _pooled(client: HubClient, listing: _Listing) -> tuple[int, int, int] | None:
    if MODULES_NAME not in listing.sizes:
        return None
    path = listing.path(MODULES_NAME)
    try:
        return pooling_since(client.get(path, MODULES_CAP), f"{MODULES_NAME} of {listing.model}")
    except InvalidRequest as error:
        raise HubUnavailable(error.message, "Give a local folder with a repaired copy.") from error


def _sentence(client: HubClient, listing: _Listing) -> Mapping[str, Any]:
    """What sentence-transformers says of lengths, empty where it says nothing."""
    name = next((name for name in SENTENCE_NAMES if name in listing.sizes), None)
    return {} if name is None else _json_file(client, listing, name)


def _json_file(client: HubClient, listing: _Listing, name: str) -> dict[str, Any]:
    path = listing.path(name)
    return client.parse(client.get(path, CONFIG_CAP), path)


def _stored(
    client: HubClient, listing: _Listing, progress: Progress
) -> tuple[StoredTensors | None, tuple[str, ...]]:
    """What the weight files hold, or None with a note that says why it is not known."""
    files = weight_files(listing.sizes.keys())
    if not files:
        formats = other_formats(listing.sizes.keys()) or "no"
        return None, (f"The repository has {formats} weights and no safetensors files.",)
    counted = _from_elements(listing, files)
    if counted:
        return counted, ()
    progress(f"reading safetensors headers of {listing.model} from {client.host}")
    # Exact bytes are worth a second wait, and not an error when it is in vain.
    patient = replace(client, deadline=HubClient.from_environment().deadline)
    try:
        return _from_headers(patient, listing, files), ()
    except (PreflightError, HubRefusal) as error:
        reason = error.message if isinstance(error, PreflightError) else f"HTTP {error}."
        return None, (f"The bytes of the weights are not known: {reason}",)


def _from_elements(listing: _Listing, files: Collection[str]) -> StoredTensors | None:
    """Bytes from the Hub's count of elements, None unless the files' sizes confirm them."""
    counts = listing.elements_by_dtype
    sizes = [listing.sizes[name] for name in files]
    if not counts or any(dtype not in DTYPE_BITS for dtype in counts) or None in sizes:
        return None
    stored = StoredTensors(
        {dtype: n * DTYPE_BITS[dtype] // 8 for dtype, n in counts.items()}, sum(counts.values())
    )
    file_bytes = sum(cast(list[int], sizes))
    # What is left are headers: about a hundred bytes a tensor.
    headers = file_bytes - stored.total_bytes
    return stored if 0 < headers <= len(sizes) * BYTES_TO_MIB + file_bytes // 1000 else None


def _from_headers(client: HubClient, listing: _Listing, files: Collection[str]) -> StoredTensors:
    if INDEX_NAME in listing.sizes:
        path = listing.path(INDEX_NAME)
        files = read_index(client.parse(client.get(path, INDEX_CAP), path), path).files
        absent = [name for name in files if name not in listing.sizes]
    else:
        absent = missing_shards(files)
    if absent:
        raise InvalidRequest(f"The repository lacks {absent[0]}.")
    if len(files) > _MOST_HEADERS:
        raise InvalidRequest(f"They are in {len(files)} files, too many to read.")

    def read(name: str) -> StoredTensors:
        path = listing.path(name)
        start = client.start(path, _FIRST_READ)
        length = header_length(start, path)
        if len(start) < LENGTH_BYTES + length:
            start = client.start(path, LENGTH_BYTES + length)
        header = start[LENGTH_BYTES : LENGTH_BYTES + length]
        return parse_header(header, length, listing.sizes[name], path)

    with ThreadPoolExecutor(_READERS) as pool:
        return combined(pool.map(read, files))


def _refused(
    refusal: HubRefusal, client: HubClient, model: str, revision: str | None
) -> PreflightError:
    """The sentence for an error status of the Hub."""
    page = f"{client.address}/{model}"
    tokens = f"{client.address}/settings/tokens"
    if refusal.code == "GatedRepo" or refusal.status == 403:
        if client.token:
            return HubUnavailable(
                f"{model} is gated, and the account of your Hugging Face token has no access.",
                f"Ask for access at {page}, or give a local folder with its config.json.",
            )
        return HubUnavailable(
            f"{model} is gated: {client.host} shows its files only to those who accepted its "
            "licence.",
            f"Accept it at {page} and set HF_TOKEN to a token of that account ({tokens}), or "
            "give a local folder with its config.json.",
        )
    if refusal.code == "RevisionNotFound":
        return UnknownModel(
            f"{model} has no revision {revision or 'main'!r} on {client.host}.",
            f"Its branches and tags are at {page}/tree/main; a full commit hash works too.",
        )
    if refusal.code == "EntryNotFound":
        return UnknownModel(f"{model} has no {CONFIG_NAME} on {client.host}.", f"See {page}.")
    if refusal.status == 401 and client.token and refusal.code != "RepoNotFound":
        return HubUnavailable(
            f"{client.host} does not accept your Hugging Face token.",
            f"Set HF_TOKEN to a valid token ({tokens}), or unset it for public models.",
        )
    if refusal.status in (401, 404):
        private = "your token gives no access to it" if client.token else "it is private"
        return UnknownModel(
            f"There is no model {model} on {client.host}, or {private}.",
            "Check the spelling" + ("." if client.token else "; a private model needs HF_TOKEN."),
        )
    if refusal.status == 429:
        return HubUnavailable(
            f"{client.host} answers no more requests for now (429).",
            "Wait a few minutes" + ("." if client.token else ", or set HF_TOKEN."),
        )
    return HubUnavailable(
        f"{client.host} failed to answer for {model} (HTTP {refusal.status}).",
        "Try again later, or give a local folder with the model's config.json.",
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
