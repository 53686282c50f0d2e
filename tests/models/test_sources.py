"""Where `load_model` looks, in which order, and what it says when nobody knows."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from vllm_preflight.base.errors import HubUnavailable, InvalidRequest, PreflightError, UnknownModel
from vllm_preflight.models import hub_reach, sources
from vllm_preflight.models.catalog.entries import catalog_entry, catalog_ids
from vllm_preflight.models.model_ids import is_model_id
from vllm_preflight.models.sources import forget_models, load_model

if TYPE_CHECKING:
    from tests.models.conftest import FakeHub, FakeRepository

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CATALOGUED = "Qwen/Qwen3-8B"
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 512,
    "torch_dtype": "bfloat16",
}


@pytest.fixture(autouse=True)
def fresh_models() -> Iterator[None]:
    """No model is kept from one test to the next."""
    forget_models()
    yield
    forget_models()


def weights() -> bytes:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)


@pytest.fixture
def repository(hub: FakeHub, make_repository: type[FakeRepository]) -> FakeRepository:
    """A public repository, org/llama."""
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": weights()}
    repository = make_repository(files=files, elements={"BF16": 8})
    hub.repositories["org/llama"] = repository
    return repository


def download(hub: FakeHub, *names: str) -> None:
    """Fill the Hub's cache as any program does."""
    for name in names:
        huggingface_hub.hf_hub_download(  # pyright: ignore[reportUnknownMemberType]
            "org/llama", name, cache_dir=constants.HF_HUB_CACHE, endpoint=hub.endpoint
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A local folder with a model."""
    model = tmp_path / "my-model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    return model


# Local folders


def test_a_folder_comes_first(hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named_like_a_model = folder.parent / CATALOGUED
    named_like_a_model.parent.mkdir()
    folder.rename(named_like_a_model)
    monkeypatch.chdir(folder.parent)
    model = load_model(CATALOGUED)
    assert model.origin == "local"
    assert model.id == str(named_like_a_model)
    assert hub.requests == []


def test_a_home_folder_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_model("~/my-model").origin == "local"


def test_an_unchanged_folder_is_read_once(folder: Path) -> None:
    sentences: list[str] = []
    first = load_model(str(folder), progress=sentences.append)
    assert load_model(str(folder), progress=sentences.append) is first
    assert len(sentences) == 1
    (folder / "config.json").write_text(json.dumps({**LLAMA, "hidden_size": 32}), encoding="utf-8")
    changed = load_model(str(folder))
    assert changed is not first
    assert changed.architecture.hidden_size == 32


@pytest.mark.parametrize(
    ("name", "words"), [("model.gguf", "is a GGUF file"), ("config.json", "is a file")]
)
def test_a_file_is_no_folder(folder: Path, name: str, words: str) -> None:
    (folder / name).touch()
    with pytest.raises(InvalidRequest, match=words) as caught:
        load_model(str(folder / name))
    assert "Give the folder" in caught.value.hint


@pytest.mark.parametrize("path", ["/no/such/folder", "./nowhere", "../nowhere", "~/nowhere"])
def test_a_path_that_does_not_exist_is_no_id(hub: FakeHub, path: str) -> None:
    with pytest.raises(UnknownModel, match="There is no folder") as caught:
        load_model(path)
    assert path in caught.value.message
    assert hub.requests == []


# The catalogue


def test_the_catalogue_needs_no_network(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = load_model(CATALOGUED)
    entry = catalog_entry(CATALOGUED)
    assert entry is not None
    assert model.origin == "catalog"
    assert model.config == entry.config
    assert model.params_published == entry.params_total
    assert model.checkpoint_bytes == entry.total_bytes
    assert entry.source in model.provenance
    assert entry.date in model.provenance
    assert model.assumed == ()
    assert hub.requests == []


def test_the_catalogue_is_read_once_in_any_spelling() -> None:
    assert load_model(CATALOGUED.upper()) is load_model(CATALOGUED)


def test_a_nickname_is_an_id_or_a_list_of_them(hub: FakeHub) -> None:
    assert load_model("gpt-oss-20b").id == "openai/gpt-oss-20b"
    assert load_model("qwen3:32b").id == "Qwen/Qwen3-32B"
    with pytest.raises(UnknownModel, match="not the whole name") as caught:
        load_model("mistral 7b")
    assert "mistralai/Mistral-7B-Instruct-v0.3" in caught.value.message
    with pytest.raises(InvalidRequest):
        load_model("no such model")


@pytest.mark.parametrize(
    ("completeness", "words"),
    [
        ("subset", "the keys that its source quotes"),
        ("transformers-default", "the defaults of its class"),
        ("borrowed", "that of a model with the same dimensions"),
    ],
)
def test_incomplete_entries_say_so(completeness: str, words: str) -> None:
    for name in catalog_ids():
        entry = catalog_entry(name)
        if entry is None or entry.completeness != completeness:
            continue
        try:
            model = load_model(name)
        except PreflightError:
            continue
        assert words in model.provenance
        assert words in model.notes[0]
        return
    pytest.fail(f"no {completeness} entry of the catalogue can be loaded")


def test_every_catalogued_id_is_a_possible_id() -> None:
    assert [name for name in catalog_ids() if not is_model_id(name)] == []


def test_the_catalogue_alone_does_not_ask_the_hub(hub: FakeHub) -> None:
    assert load_model(CATALOGUED, source="catalog").origin == "catalog"
    with pytest.raises(UnknownModel, match="The catalogue has no model Qwen/Qwen3-8BB") as caught:
        load_model("Qwen/Qwen3-8BB", source="catalog")
    assert CATALOGUED in caught.value.hint
    assert hub.requests == []


# The Hub and its cache


def test_a_model_that_is_nowhere_else_comes_from_the_hub_once(
    hub: FakeHub, repository: FakeRepository
) -> None:
    first = load_model("org/llama")
    assert first.origin == "hub"
    requests = len(hub.requests)
    assert load_model("org/llama") is first
    assert len(hub.requests) == requests
    assert load_model("org/llama", revision="main") is not first


def test_the_hub_is_asked_before_the_catalogue(hub: FakeHub, repository: FakeRepository) -> None:
    hub.repositories[CATALOGUED] = repository
    assert load_model(CATALOGUED).origin == "hub"
    assert load_model(CATALOGUED.lower()).id == CATALOGUED
    assert load_model(CATALOGUED, source="catalog").origin == "catalog"
    assert load_model(CATALOGUED, revision="main").origin == "hub"
    assert load_model(CATALOGUED, source="hub").revision == COMMIT


def test_what_the_hub_does_not_give_the_catalogue_answers(
    hub: FakeHub, repository: FakeRepository
) -> None:
    away = load_model(CATALOGUED)
    assert away.origin == "catalog"
    assert "There is no model Qwen/Qwen3-8B" in away.notes[-1]
    assert "The embedded catalogue answers" in away.notes[-1]
    asked = len(hub.requests)
    assert load_model(CATALOGUED) is away
    assert len(hub.requests) == asked
    hub_reach.forget_away()
    repository.gated = "manual"
    hub.tokens = {"hf_good"}
    hub.repositories[CATALOGUED] = repository
    gated = load_model(CATALOGUED)
    assert gated.origin == "catalog" and gated is not away


def test_a_hub_that_is_away_is_tried_once(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def never(address: object, timeout: float) -> socket.socket:
        tried.append(address)
        time.sleep(timeout)
        raise TimeoutError

    monkeypatch.setattr(hub_reach, "CONNECT_S", 0.05)
    monkeypatch.setattr(socket, "create_connection", never)
    for name in (CATALOGUED, "openai/gpt-oss-20b", "RedHatAI/Qwen3-8B-FP8"):
        model = load_model(name)
        assert model.origin == "catalog"
        assert "The Hugging Face Hub cannot be reached" in model.notes[-1]
    assert len(tried) == 1
    assert hub.requests == []


def test_a_hub_that_hangs_is_left_for_the_catalogue(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "BUDGET_BEFORE_CATALOG_S", 0.3)
    hub.failure = "hang"
    assert "did not answer in time" in load_model(CATALOGUED).notes[-1]
    asked = len(hub.requests)
    assert "cannot be reached" in load_model("openai/gpt-oss-20b").notes[-1]
    assert len(hub.requests) == asked


def test_the_first_hop_is_the_proxy_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example:8443")
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    asked: list[object] = []

    def connect(address: object, timeout: float) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError(timeout)

    monkeypatch.setattr(socket, "create_connection", connect)
    assert not hub_reach.answers()
    hub_reach.forget_away()
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert not hub_reach.answers()
    assert asked == [("hub.example", 8443), ("proxy.example", 3128)]


# Checkpoints answered from the model their name says they are made from


def test_a_checkpoint_of_a_known_model_is_answered_and_labelled(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = load_model("someone/Qwen3-8B-AWQ")
    assert model.id == "someone/Qwen3-8B-AWQ"
    assert model.quantization.label == "AWQ INT4 group 128"
    assert "taken for Qwen/Qwen3-8B" in model.notes[0]
    assert [one.fact for one in model.assumed] == ["quantization_config"]
    assert load_model("someone/Qwen3-8B-AWQ") is model
    copy = load_model("nobody/Meta-Llama-3.1-8B-Instruct")
    assert "meta-llama/Llama-3.1-8B-Instruct" in copy.notes[0]
    assert copy.quantization.method == "none"
    assert hub.requests == []


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("someone/Qwen3-8B-NVFP4", "Qwen/Qwen3-8B"),
        ("someone/Llama-3.1-8B-Instruct-medical", "meta-llama/Llama-3.1-8B-Instruct"),
        ("someone/My-Qwen3-14B-FP8", "Qwen/Qwen3-14B"),
        ("someone/Qwen3-8B-GGUF", "Qwen/Qwen3-8B"),
    ],
)
def test_a_name_that_leaves_the_scheme_or_the_shape_open_names_its_base(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, model: str, base: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnknownModel) as caught:
        load_model(model)
    assert f"made from {base}" in caught.value.hint


def test_a_checkpoint_the_hub_does_not_have_is_not_made_up(hub: FakeHub) -> None:
    with pytest.raises(UnknownModel, match="There is no model someone/Qwen3-8B-AWQ"):
        load_model("someone/Qwen3-8B-AWQ")


def test_the_cache_comes_before_the_hub(hub: FakeHub, repository: FakeRepository) -> None:
    download(hub, "config.json", "model.safetensors")
    hub.stop()
    for revision in (None, "main", COMMIT):
        model = load_model("org/llama", revision=revision)
        assert model.origin == "cache"
        assert model.revision == COMMIT
        assert model.bytes_by_dtype == {"BF16": 16}
        assert model.notes == ()


def test_the_cached_model_is_read_once(hub: FakeHub, repository: FakeRepository) -> None:
    download(hub, "config.json", "model.safetensors")
    assert load_model("org/llama") is load_model("org/llama")


def test_another_revision_is_not_taken_from_the_cache(
    hub: FakeHub, repository: FakeRepository
) -> None:
    download(hub, "config.json", "model.safetensors")
    repository.revisions = ("main", "v2")
    assert load_model("org/llama", revision="v2").origin == "hub"


def test_a_cached_config_alone_asks_the_hub_whether_the_weights_are_quantised(
    hub: FakeHub, repository: FakeRepository
) -> None:
    scheme = {"quantization": {"quant_algo": "FP8"}}
    repository.files["hf_quant_config.json"] = json.dumps(scheme).encode()
    download(hub, "config.json")
    model = load_model("org/llama")
    assert model.origin == "hub"
    assert model.config["quantization_config"]["quant_algo"] == "FP8"


@pytest.mark.parametrize("offline", [False, True])
def test_a_cached_config_alone_is_used_with_a_note_when_the_hub_is_away(
    hub: FakeHub, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    download(hub, "config.json")
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.stop()
    model = load_model("org/llama")
    assert model.origin == "cache"
    assert "has no hf_quant_config.json and the Hub was not asked" in model.notes[-1]
    assert ("HF_HUB_OFFLINE" if offline else "cannot be reached") in model.notes[-1]


@pytest.mark.parametrize("source", ["auto", "hub"])
def test_offline_the_cache_is_enough(
    hub: FakeHub, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch, source: Any
) -> None:
    download(hub, "config.json", "model.safetensors")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_model("org/llama", source=source).origin == "cache"
    assert hub.requests == []


def test_online_the_hub_as_source_is_asked_even_when_cached(
    hub: FakeHub, repository: FakeRepository
) -> None:
    download(hub, "config.json", "model.safetensors")
    assert load_model("org/llama", source="hub").origin == "hub"


def test_offline_and_nowhere_is_unknown_with_the_nearest_ids(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnknownModel, match="Qwen/Qwen3-8BB is not in the catalogue") as caught:
        load_model("Qwen/Qwen3-8BB")
    assert "HF_HUB_OFFLINE" in str(caught.value)
    assert CATALOGUED in caught.value.hint
    with pytest.raises(UnknownModel, match="at revision v1 is not in the Hub's cache"):
        load_model(CATALOGUED, revision="v1")
    assert hub.requests == []


def test_a_hub_that_is_away_names_what_is_near(hub_home: Path) -> None:
    with pytest.raises(HubUnavailable, match="cannot be reached") as caught:
        load_model("Qwen/Qwen3-8BB")
    assert CATALOGUED in caught.value.hint


def test_an_unknown_model_names_what_is_near(hub: FakeHub) -> None:
    with pytest.raises(UnknownModel, match="There is no model Qwen/Qwen3-8BB") as caught:
        load_model("Qwen/Qwen3-8BB")
    assert CATALOGUED in caught.value.hint


def test_a_fresh_process_reads_the_environment(
    hub: FakeHub, repository: FakeRepository, tmp_path: Path
) -> None:
    repository.gated = "manual"
    hub.tokens = {"hf_good"}
    code = "from vllm_preflight.models.sources import load_model as f; print(f('org/llama').origin)"
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path),
        "HF_TOKEN": "hf_good",
    }
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "hub", ran.stderr
    assert {headers["user-agent"] for _, _, headers in hub.requests} == {"vllm-preflight"}


def test_a_failure_is_not_remembered(hub: FakeHub, repository: FakeRepository) -> None:
    hub.failure = 503
    with pytest.raises(HubUnavailable):
        load_model("org/llama")
    hub.failure = None
    assert load_model("org/llama").origin == "hub"


# Hostile text

HOSTILE = (
    "",
    " ",
    "../../etc/passwd",
    "http://x",
    "https://huggingface.co/org/llama",
    "file:///etc/passwd",
    "{{7*7}}",
    "${HOME}/x",
    "a" * 1000,
    "org/" + "a" * 97,
    "org/llama/more",
    "org//llama",
    "org/..",
    "org/a..b",
    "org/-llama",
    "org/llama\n",
    "org/llama?x=1",
    "org/llama#x",
    "org/llama%2f",
    "org/llama@v1",
    "org/a--b",
    "models--org--llama",
    "a\x00b",
    "Qwén/Qwen3",
    "文件/夹",
    "\ud800",
    "org\\llama",
)


@pytest.mark.parametrize("model", HOSTILE)
@pytest.mark.parametrize("source", ["auto", "hub", "catalog"])
def test_what_is_no_id_reaches_no_url_and_no_path(hub: FakeHub, model: str, source: Any) -> None:
    with pytest.raises((InvalidRequest, UnknownModel)) as caught:
        load_model(model, source=source)
    assert hub.requests == []
    assert caught.value.hint
    assert len(caught.value.message) < 200
    assert caught.value.message.isascii()
    assert not Path(constants.HF_HUB_CACHE).exists()


@pytest.mark.parametrize(
    "revision",
    ["", "../main", "a/../b", "a//b", "/main", "-x", "{x}", "a b", "é", "a" * 300, "a\n"],
)
def test_what_is_no_revision_is_refused(hub: FakeHub, revision: str) -> None:
    with pytest.raises(InvalidRequest, match="no branch, tag or commit"):
        load_model("org/llama", revision=revision)
    assert hub.requests == []


def test_the_cache_cannot_be_left_through_a_revision(
    hub: FakeHub, repository: FakeRepository
) -> None:
    download(hub, "config.json", "model.safetensors")
    shutil.rmtree(Path(constants.HF_HUB_CACHE) / "models--org--llama" / "refs")
    assert load_model("org/llama", revision=COMMIT).origin == "cache"
    hub.requests.clear()
    with pytest.raises(InvalidRequest):
        load_model("org/llama", revision=f"../snapshots/{COMMIT}")
    assert hub.requests == []
