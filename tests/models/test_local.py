from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest, UnsupportedArchitecture
from vllm_preflight.models.config_files import read_bounded
from vllm_preflight.models.local import fingerprint, load_folder, read_folder

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


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_tensor(path: Path, dtype: str, elements: int, num_bytes: int) -> None:
    tensors = {"w": {"dtype": dtype, "shape": [elements], "data_offsets": [0, num_bytes]}}
    header = json.dumps(tensors).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(num_bytes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config and two shards of 8 BF16 and 3 F32 elements."""
    model = tmp_path / "model"
    model.mkdir()
    write_json(model / "config.json", LLAMA)
    write_tensor(model / SHARDS[0], "BF16", 8, 16)
    write_tensor(model / SHARDS[1], "F32", 3, 12)
    return model


def test_a_folder_gives_config_and_exact_bytes(folder: Path) -> None:
    sentences: list[str] = []
    model = load_folder(folder, sentences.append)
    assert model.origin == "local"
    assert model.id == str(folder)
    assert model.architecture.hidden_size == 64
    assert model.bytes_by_dtype == {"BF16": 16, "F32": 12}
    assert model.checkpoint_bytes == 28
    assert model.params_published == 11
    assert model.revision is None
    assert model.notes == ()
    assert str(folder) in model.provenance
    assert len(sentences) == 1


def test_the_index_chooses_the_files(folder: Path) -> None:
    write_tensor(folder / "consolidated.safetensors", "BF16", 8, 16)
    write_tensor(folder / "unused.safetensors", "BF16", 8, 16)
    weight_map = {"a": SHARDS[0], "b": SHARDS[1]}
    index = {"metadata": {"total_size": 28}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)
    facts = read_folder(folder)
    assert facts.checkpoint_bytes == 28
    assert facts.notes == ()


def test_files_win_over_an_index_that_contradicts_them(folder: Path) -> None:
    weight_map = {"a": SHARDS[0], "b": SHARDS[1]}
    index = {"metadata": {"total_size": 30}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)
    facts = read_folder(folder)
    assert facts.checkpoint_bytes == 28
    assert "says 30 bytes, the files hold 28" in facts.notes[0]


def test_an_index_without_its_files_gives_the_total(folder: Path) -> None:
    for shard in SHARDS:
        (folder / shard).unlink()
    index = {"metadata": {"total_size": 28}, "weight_map": dict(zip("ab", SHARDS, strict=True))}
    write_json(folder / "model.safetensors.index.json", index)
    facts = read_folder(folder)
    assert facts.checkpoint_bytes == 28
    assert facts.stored is None
    assert "2 of 2 safetensors files are missing" in facts.notes[0]


def test_a_missing_shard_leaves_the_bytes_unknown(folder: Path) -> None:
    (folder / SHARDS[1]).unlink()
    facts = read_folder(folder)
    assert facts.stored is None
    assert facts.checkpoint_bytes is None
    assert f"1 of 2 safetensors files are missing from the folder, {SHARDS[1]}" in facts.notes[0]


@pytest.mark.parametrize(
    ("weights", "words"), [("pytorch_model.bin", "only pickle weights"), (None, "no weights")]
)
def test_a_folder_without_safetensors_says_so(
    folder: Path, weights: str | None, words: str
) -> None:
    for shard in SHARDS:
        (folder / shard).unlink()
    if weights:
        (folder / weights).write_bytes(b"\x80\x02")
    model = load_folder(folder, silent)
    assert model.checkpoint_bytes is None
    assert model.bytes_by_dtype == {}
    assert words in model.notes[0]


def test_modelopts_file_is_merged(folder: Path) -> None:
    scheme = {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": None}}
    write_json(folder / "hf_quant_config.json", scheme)
    assert read_folder(folder).config["quantization_config"]["quant_method"] == "modelopt"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["model-Q4_K_M.gguf"], "only GGUF files"),
        (["pytorch_model.bin"], "only pickle files"),
        ([], "no file describes"),
    ],
)
def test_a_folder_without_config_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InvalidRequest, match=words) as caught:
        load_folder(tmp_path, silent)
    assert "has no config.json" in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "holds a list"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b" " * (16 * 2**20 + 1), "larger than 16 MiB"),
    ],
    ids=["empty", "cut", "list", "encoding", "nesting", "large"],
)
def test_a_damaged_config_is_refused(folder: Path, content: bytes, words: str) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(InvalidRequest, match=words):
        load_folder(folder, silent)


def test_a_damaged_shard_is_refused(folder: Path) -> None:
    (folder / SHARDS[1]).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InvalidRequest, match=SHARDS[1]):
        load_folder(folder, silent)


def test_an_unknown_architecture_is_refused(folder: Path) -> None:
    write_json(folder / "config.json", {"model_type": "abacus"})
    with pytest.raises(UnsupportedArchitecture, match="abacus"):
        load_folder(folder, silent)


@pytest.mark.parametrize("name", ["config.json", "hf_quant_config.json", SHARDS[0]])
def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "secret"
    write_json(outside, LLAMA)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(InvalidRequest, match="link to a file outside") as caught:
        load_folder(folder, silent)
    assert name in caught.value.message


def test_a_loop_of_links_is_refused(folder: Path) -> None:
    (folder / SHARDS[0]).unlink()
    (folder / SHARDS[0]).symlink_to(SHARDS[0])
    with pytest.raises(InvalidRequest, match=SHARDS[0]):
        load_folder(folder, silent)


def test_links_inside_the_folder_are_followed(folder: Path) -> None:
    (folder / "config.json").rename(folder / "the-config")
    (folder / "config.json").symlink_to("the-config")
    assert load_folder(folder, silent).architecture.hidden_size == 64


def test_a_link_to_the_folder_itself_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    assert load_folder(tmp_path / "alias", silent).checkpoint_bytes == 28


def test_a_snapshot_of_the_hubs_cache_may_link_to_its_blobs(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (folder / "config.json").rename(repository / "blobs" / "etag")
    (snapshot / "config.json").symlink_to("../../blobs/etag")
    assert load_folder(snapshot, silent).architecture.hidden_size == 64


@pytest.mark.parametrize("name", ["config.json", SHARDS[0]])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InvalidRequest, match="is not a file"):
        load_folder(folder, silent)


def test_a_folder_called_like_a_shard_is_refused(folder: Path) -> None:
    (folder / SHARDS[0]).unlink()
    (folder / SHARDS[0]).mkdir()
    with pytest.raises(InvalidRequest, match="is not a file"):
        load_folder(folder, silent)


def test_the_fingerprint_follows_changes(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "README.md").touch()
    assert fingerprint(folder) == before
    os.utime(folder / "config.json", ns=(0, 1))
    assert fingerprint(folder) != before
    (folder / SHARDS[0]).unlink()
    assert SHARDS[0] not in {name for name, _, _ in fingerprint(folder)}


POOLING = {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}


@pytest.mark.parametrize(
    ("modules", "pooled"),
    [
        ([{"idx": 0}, POOLING], (0, 0, 0)),
        (
            [{"type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}],
            (0, 30, 0),
        ),
        ([{"idx": 0}, "text"], None),
        ({}, None),
    ],
)
def test_modules_of_sentence_transformers_ask_for_pooling(
    folder: Path, modules: object, pooled: tuple[int, int, int] | None
) -> None:
    assert load_folder(folder, silent).architecture.pools_since is None
    before = fingerprint(folder)
    write_json(folder / "modules.json", modules)
    assert load_folder(folder, silent).architecture.pools_since == pooled
    assert fingerprint(folder) != before


@pytest.mark.parametrize(
    ("name", "stated", "longest"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 256}, 256),
        ("sentence_xlm-roberta_config.json", {"max_seq_length": 1_000_000}, 1_000_000),
        ("sentence_bert_config.json", {"do_lower_case": True}, None),
        ("sentence_bert_config.json", {"max_seq_length": "long"}, None),
    ],
)
def test_a_sentence_transformers_file_sets_the_length(
    folder: Path, name: str, stated: object, longest: int | None
) -> None:
    before, mark = load_folder(folder, silent).architecture.max_position, fingerprint(folder)
    write_json(folder / name, stated)
    assert load_folder(folder, silent).architecture.max_position == (longest or before)
    assert fingerprint(folder) != mark


def test_damaged_or_foreign_modules_are_refused(folder: Path, tmp_path: Path) -> None:
    modules = folder / "modules.json"
    modules.write_text("[{", encoding="utf-8")
    with pytest.raises(InvalidRequest, match=r"modules\.json is not valid JSON"):
        load_folder(folder, silent)
    modules.unlink()
    write_json(tmp_path / "elsewhere.json", [POOLING])
    modules.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InvalidRequest, match="outside the folder"):
        load_folder(folder, silent)


def test_a_file_beyond_its_cap_is_refused_with_the_cap(tmp_path: Path) -> None:
    (tmp_path / "prices").write_bytes(bytes(1_000_001))
    with pytest.raises(InvalidRequest, match=r"is larger than 0\.954 MiB"):
        read_bounded(tmp_path / "prices", 1_000_000)
    assert len(read_bounded(tmp_path / "prices", 1_000_001)) == 1_000_001
