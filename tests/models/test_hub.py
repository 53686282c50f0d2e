"""The Hub, read by a real client over HTTP from a server that speaks its endpoints."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from httpx2 import Client, MockTransport, Request, Response
from huggingface_hub import constants

from vllm_preflight.base.errors import HubUnavailable, UnknownModel, UnsupportedArchitecture
from vllm_preflight.models import hub_client
from vllm_preflight.models.hub import read_hub

if TYPE_CHECKING:
    from tests.models.conftest import FakeHub, FakeRepository

COMMIT = "0123456789abcdef0123456789abcdef01234567"
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
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def silent(sentence: str) -> None:
    assert sentence


def shard(dtype: str, elements: int, num_bytes: int, padding: int = 0) -> bytes:
    tensors = {
        "__metadata__": {"padding": "x" * padding},
        "w": {"dtype": dtype, "shape": [elements], "data_offsets": [0, num_bytes]},
    }
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + bytes(num_bytes)


@pytest.fixture
def repository(hub: FakeHub, make_repository: type[FakeRepository]) -> FakeRepository:
    """A public repository, org/llama, in two shards of BF16."""
    repository = make_repository(
        files={
            "config.json": json.dumps(LLAMA).encode(),
            SHARDS[0]: shard("BF16", 512, 1024),
            SHARDS[1]: shard("BF16", 256, 512),
        },
        elements={"BF16": 768},
    )
    hub.repositories["org/llama"] = repository
    return repository


def test_a_model_is_read_at_a_pinned_commit(hub: FakeHub, repository: FakeRepository) -> None:
    sentences: list[str] = []
    model = read_hub("org/llama", None, sentences.append)
    assert model.id == "org/llama"
    assert model.origin == "hub"
    assert model.revision == COMMIT
    assert model.config == LLAMA
    assert model.architecture.hidden_size == 64
    assert model.bytes_by_dtype == {"BF16": 1536}
    assert model.checkpoint_bytes == 1536
    assert model.params_published == 768
    assert model.gated is False
    assert model.notes == ()
    assert COMMIT in model.provenance
    assert hub.paths() == ["/api/models/org/llama", f"/org/llama/resolve/{COMMIT}/config.json"]
    assert sentences == [
        "looking up org/llama on 127.0.0.1",
        "reading config.json of org/llama from 127.0.0.1",
    ]


def test_requests_name_no_software_and_carry_no_telemetry(
    hub: FakeHub, repository: FakeRepository
) -> None:
    read_hub("org/llama", None, silent)
    for method, _, headers in hub.requests:
        assert method == "GET"
        assert headers["user-agent"] == "vllm-preflight"
        assert "authorization" not in headers


def test_a_revision_is_asked_for_and_pinned(hub: FakeHub, repository: FakeRepository) -> None:
    repository.revisions = ("refs/pr/7",)
    assert read_hub("org/llama", "refs/pr/7", silent).revision == COMMIT
    assert hub.requests[0][1] == "/api/models/org/llama/revision/refs%2Fpr%2F7?blobs=true"


def test_a_renamed_model_is_followed(
    hub: FakeHub, make_repository: type[FakeRepository], repository: FakeRepository
) -> None:
    hub.repositories["old/llama"] = make_repository(renamed_to="org/llama")
    assert read_hub("old/llama", None, silent).id == "org/llama"


def test_modelopts_file_is_merged(repository: FakeRepository) -> None:
    scheme = {"quantization": {"quant_algo": "FP8"}}
    repository.files["hf_quant_config.json"] = json.dumps(scheme).encode()
    model = read_hub("org/llama", None, silent)
    assert model.config["quantization_config"]["quant_algo"] == "FP8"


def test_headers_decide_where_the_hub_counts_unpacked_weights(
    hub: FakeHub, repository: FakeRepository
) -> None:
    repository.files[SHARDS[1]] = shard("U8", 512, 512)
    repository.elements = {"BF16": 512, "U8": 1_000_000_000}
    sentences: list[str] = []
    model = read_hub("org/llama", None, sentences.append)
    assert model.bytes_by_dtype == {"BF16": 1024, "U8": 512}
    assert model.params_published == 1_000_000_512
    assert "reading safetensors headers of org/llama from 127.0.0.1" in sentences
    ranges = {headers.get("range") for _, path, headers in hub.requests if "safetensors" in path}
    assert ranges == {"bytes=0-262143"}


def test_a_long_header_takes_a_second_read(hub: FakeHub, repository: FakeRepository) -> None:
    repository.elements = None
    repository.files[SHARDS[0]] = shard("BF16", 512, 1024, padding=300_000)
    model = read_hub("org/llama", None, silent)
    assert model.bytes_by_dtype == {"BF16": 1536}
    assert model.params_published == 768
    assert sum(SHARDS[0] in path for path in hub.paths()) == 2


def test_the_index_chooses_whose_headers_are_read(hub: FakeHub, repository: FakeRepository) -> None:
    repository.elements = None
    repository.files["extra.safetensors"] = shard("F32", 1, 4)
    index = {"weight_map": dict(zip("ab", SHARDS, strict=True))}
    repository.files["model.safetensors.index.json"] = json.dumps(index).encode()
    assert read_hub("org/llama", None, silent).checkpoint_bytes == 1536
    assert not any("extra" in path for path in hub.paths())


@pytest.mark.parametrize("change", ["damaged", "missing", "none", "pickle"])
def test_bytes_that_cannot_be_known_are_a_note(repository: FakeRepository, change: str) -> None:
    repository.elements = None
    if change == "damaged":
        repository.files[SHARDS[1]] = b"version https://git-lfs.github.com/spec/v1"
        words = "claims a header"
    elif change == "missing":
        del repository.files[SHARDS[1]]
        words = f"lacks {SHARDS[1]}"
    else:
        for name in SHARDS:
            del repository.files[name]
        words = "no weights and no safetensors"
        if change == "pickle":
            repository.files["pytorch_model.bin"] = b"\x80"
            words = "pickle weights and no safetensors"
    model = read_hub("org/llama", None, silent)
    assert model.checkpoint_bytes is None
    assert model.bytes_by_dtype == {}
    assert words in model.notes[0]
    assert model.architecture.hidden_size == 64


def test_a_gated_model_without_token_says_how_to_get_in(
    hub: FakeHub, repository: FakeRepository
) -> None:
    repository.gated = "manual"
    with pytest.raises(HubUnavailable, match="org/llama is gated") as caught:
        read_hub("org/llama", None, silent)
    assert f"Accept it at {hub.endpoint}/org/llama and set HF_TOKEN" in caught.value.hint
    assert "local folder" in caught.value.hint


def test_a_gated_model_opens_with_a_token(
    hub: FakeHub, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.gated = "auto"
    hub.tokens = {"hf_good"}
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    model = read_hub("org/llama", None, silent)
    assert model.gated is True
    assert {headers["authorization"] for _, _, headers in hub.requests} == {"Bearer hf_good"}


def test_a_token_without_access_says_so_and_is_not_shown(
    hub: FakeHub, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.gated = "manual"
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(HubUnavailable, match="token has no access") as caught:
        read_hub("org/llama", None, silent)
    assert f"{hub.endpoint}/org/llama" in caught.value.hint
    assert "hf_other" not in str(caught.value)


def test_a_token_with_odd_characters_is_refused_unseen(
    repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_sécret")
    with pytest.raises(HubUnavailable, match="characters that no token has") as caught:
        read_hub("org/llama", None, silent)
    assert "cret" not in str(caught.value)


def test_another_host_is_neither_asked_nor_given_the_token(
    hub: FakeHub, other_hub: FakeHub, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    repository.redirects["config.json"] = f"{other_hub.endpoint}/x/resolve/y/config.json"
    with pytest.raises(HubUnavailable, match="redirects to another host"):
        read_hub("org/llama", None, silent)
    assert other_hub.requests == []


def test_redirects_in_circles_end(hub: FakeHub, repository: FakeRepository) -> None:
    circle = f"/org/llama/resolve/{COMMIT}/config.json"
    repository.redirects["config.json"] = circle
    with pytest.raises(HubUnavailable, match="redirects in circles"):
        read_hub("org/llama", None, silent)
    assert hub.paths().count(circle) < 10


@pytest.fixture
def public_hub(hub_home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Request]]:
    """The public Hub's hosts, answered inside the client; collects the requests."""
    requests: list[Request] = []

    def answer(request: Request) -> Response:
        requests.append(request)
        if request.url.host == "cas-bridge.xethub.hf.co":
            return Response(206, content=shard("F8_E4M3", 16, 16))
        if request.url.path.startswith("/api/"):
            siblings = [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]
            return Response(200, json={"sha": COMMIT, "siblings": siblings})
        if request.url.path.endswith("config.json"):
            return Response(200, json=LLAMA)
        target = "https://cas-bridge.xethub.hf.co/a?signature=b"
        if "evil" in request.url.path:
            target = "https://huggingface.co.evil.example/a"
        return Response(302, headers={"Location": target})

    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    with Client(transport=MockTransport(answer)) as client:
        monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: client)
        yield requests


def test_the_public_hubs_storage_is_read_without_the_token(public_hub: list[Request]) -> None:
    assert read_hub("org/llama", None, silent).bytes_by_dtype == {"F8_E4M3": 16}
    *asked, stored = public_hub
    assert {request.url.host for request in asked} == {"huggingface.co"}
    assert {request.headers["authorization"] for request in asked} == {"Bearer hf_good"}
    assert stored.url.host == "cas-bridge.xethub.hf.co"
    assert "authorization" not in stored.headers
    assert stored.headers["range"].startswith("bytes=0-")


def test_a_host_that_looks_like_the_hub_is_not_asked(public_hub: list[Request]) -> None:
    model = read_hub("org/evil", None, silent)
    assert "redirects to another host, 'huggingface.co.evil.example'" in model.notes[0]
    assert {request.url.host for request in public_hub} == {"huggingface.co"}


def test_offline_nothing_is_asked(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnavailable, match="switched off by HF_HUB_OFFLINE"):
        read_hub("org/llama", None, silent)
    assert hub.requests == []


def test_a_token_that_cannot_be_obtained_is_named_as_the_cause(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_OIDC_RESOURCE", "org/llama")  # Keyless, outside any CI.
    with pytest.raises(HubUnavailable, match="token cannot be obtained"):
        read_hub("org/llama", None, silent)
    assert hub.requests == []


def test_a_password_in_the_endpoint_is_not_shown(
    hub: FakeHub, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.gated = "manual"
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint.replace("http://", "http://me:secret@"))
    with pytest.raises(HubUnavailable, match="is gated") as caught:
        read_hub("org/llama", None, silent)
    assert "secret" not in str(caught.value)
    assert f"{hub.endpoint}/org/llama" in caught.value.hint


@pytest.mark.parametrize("token", [None, "hf_good"])
def test_a_missing_model_is_unknown(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    hub.tokens = {"hf_good"}
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UnknownModel, match="There is no model org/nothing on 127") as caught:
        read_hub("org/nothing", None, silent)
    assert ("a private model needs HF_TOKEN" in caught.value.hint) == (token is None)


def test_a_rejected_token_is_named_as_the_cause(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    hub.failure = 401
    with pytest.raises(HubUnavailable, match="does not accept your Hugging Face token") as caught:
        read_hub("org/llama", None, silent)
    assert "/settings/tokens" in caught.value.hint
    assert "hf_expired" not in str(caught.value)


def test_a_missing_revision_is_unknown(repository: FakeRepository) -> None:
    with pytest.raises(UnknownModel, match="org/llama has no revision 'v9'") as caught:
        read_hub("org/llama", "v9", silent)
    assert "branches and tags" in caught.value.hint


def test_a_repository_without_config_says_what_it_is(repository: FakeRepository) -> None:
    repository.files = {"model-Q4_K_M.gguf": b"GGUF"}
    with pytest.raises(UnknownModel, match="it holds only GGUF files"):
        read_hub("org/llama", None, silent)


def test_a_file_that_is_listed_but_gone_is_unknown(
    hub: FakeHub, repository: FakeRepository
) -> None:
    repository.redirects["config.json"] = f"/org/llama/resolve/{COMMIT}/gone.json"
    with pytest.raises(UnknownModel, match=r"org/llama has no config\.json"):
        read_hub("org/llama", None, silent)


def test_an_unsupported_architecture_is_refused(repository: FakeRepository) -> None:
    repository.files["config.json"] = b'{"model_type": "abacus"}'
    with pytest.raises(UnsupportedArchitecture, match="abacus"):
        read_hub("org/llama", None, silent)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (500, "HTTP 500"),
        (503, "HTTP 503"),
        (429, "no more requests for now"),
        ("html", "not valid JSON"),
        ("endless", "larger than 32 MiB"),
    ],
)
def test_a_failing_hub_is_unavailable(hub: FakeHub, failure: int | str, words: str) -> None:
    hub.failure = failure
    with pytest.raises(HubUnavailable, match=words) as caught:
        read_hub("org/llama", None, silent)
    assert "127.0.0.1" in caught.value.message
    assert caught.value.hint
    assert len(hub.requests) == 1


@pytest.mark.parametrize("failure", ["hang", "drip"])
def test_a_hub_that_never_answers_costs_the_budget_and_no_more(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    monkeypatch.setattr(hub_client, "BUDGET_S", 0.3)
    hub.failure = failure
    started = time.monotonic()
    with pytest.raises(HubUnavailable, match=r"127\.0\.0\.1 did not answer in time") as caught:
        read_hub("org/llama", None, silent)
    assert time.monotonic() - started < 10
    assert "local folder" in caught.value.hint


def test_a_hub_that_is_not_there_is_unavailable(hub_home: object) -> None:
    with pytest.raises(
        HubUnavailable, match=r"127\.0\.0\.1 cannot be reached: .*refused"
    ) as caught:
        read_hub("org/llama", None, silent)
    assert "HF_ENDPOINT" in caught.value.hint


@pytest.mark.parametrize("endpoint", ["huggingface", "ftp://x", "https://", "http://x:99999999"])
def test_an_endpoint_that_is_no_address_is_named(
    hub_home: object, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(HubUnavailable, match="HF_ENDPOINT is"):
        read_hub("org/llama", None, silent)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_damaged_config_is_refused(repository: FakeRepository, content: bytes) -> None:
    repository.files["config.json"] = content
    with pytest.raises(HubUnavailable, match=r"config\.json") as caught:
        read_hub("org/llama", None, silent)
    assert "JSON" in caught.value.message


def test_a_config_above_the_cap_is_refused(repository: FakeRepository) -> None:
    repository.files["config.json"] = b" " * (16 * 2**20 + 1)
    with pytest.raises(HubUnavailable, match=r"config\.json is larger than 16 MiB"):
        read_hub("org/llama", None, silent)


@pytest.mark.parametrize("commit", ["", "main", "../../x"])
def test_a_listing_without_a_commit_is_no_hub(repository: FakeRepository, commit: str) -> None:
    repository.commit = commit
    with pytest.raises(HubUnavailable, match="names no commit") as caught:
        read_hub("org/llama", None, silent)
    assert "HF_ENDPOINT" in caught.value.hint


def test_modules_of_sentence_transformers_ask_for_pooling(repository: FakeRepository) -> None:
    assert read_hub("org/llama", None, silent).architecture.pools_since is None
    modules = [{"type": "sentence_transformers.models.Pooling"}]
    repository.files["modules.json"] = json.dumps(modules).encode()
    assert read_hub("org/llama", None, silent).architecture.pools_since == (0, 0, 0)
    repository.files["modules.json"] = b"[{"
    with pytest.raises(HubUnavailable, match=r"modules\.json of org/llama is not valid JSON"):
        read_hub("org/llama", None, silent)


def test_the_hubs_sentence_transformers_file_sets_the_length(repository: FakeRepository) -> None:
    stated = {"max_seq_length": 256, "do_lower_case": False}
    repository.files["sentence_bert_config.json"] = json.dumps(stated).encode()
    model = read_hub("org/llama", None, silent)
    assert model.architecture.max_position == 256
    assert any("at most 256 tokens" in note for note in model.notes)
