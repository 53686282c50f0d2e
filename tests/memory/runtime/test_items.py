"""The dummy items of the profile pass, against budgets and counts that start-ups print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.encoders import EncoderPass, encoder_pass
from vllm_preflight.memory.runtime.items import Item, largest_item
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

LaunchOf = Callable[..., Launch]
QWEN2_5_VL = "Qwen/Qwen2.5-VL-7B-Instruct"
QWEN3_VL = "Qwen/Qwen3-VL-30B-A3B-Instruct"
MISTRAL = "mistralai/Mistral-Small-3.2-24B-Instruct-2506"
GEMMA4 = "google/gemma-4-31B-it"


def model_of(name: str) -> Model:
    return load_model(name, source="catalog")


def item_of(name: str, launch: Launch) -> Item:
    architecture = model_of(name).architecture
    found = largest_item(architecture.model_type, architecture.encoders[0], launch)
    assert found is not None
    return found


def pass_of(name: str, launch: Launch) -> EncoderPass:
    found = encoder_pass(model_of(name), launch)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "changes", "counted", "items"),
    [
        (QWEN2_5_VL, {"version": (0, 22, 0), "max_model_len": 8192}, 16384, 1),
        (QWEN2_5_VL, {"version": (0, 11, 0), "max_model_len": 128000}, 114688, 1),
        (GEMMA4, {"version": (0, 19, 1), "max_num_batched_tokens": 2048}, 2496, 1),
        (GEMMA4, {"version": (0, 19, 1), "max_num_seqs": 2, "max_model_len": 98304}, 2496, 3),
        ("moonshotai/Kimi-K2.5", {"max_num_batched_tokens": 2048}, 4225, 1),
    ],
)
def test_budgets_that_start_ups_print(
    launch_of: LaunchOf, name: str, changes: dict[str, Any], counted: int, items: int
) -> None:
    launch = launch_of(model_runner="v1", **changes)
    assert item_of(name, launch).counted == counted
    assert pass_of(name, launch).items == items


def test_dummy_videos_grew_with_the_length_only_since_0_11(launch_of: LaunchOf) -> None:
    earlier, later = (
        item_of(QWEN2_5_VL, launch_of(version=version, max_model_len=128000))
        for version in ((0, 10, 2), (0, 11, 0))
    )
    assert (earlier.counted, earlier.tokens) == (7 * 16384, 16384)
    assert (later.counted, later.tokens) == (7 * 16384, 7 * 16384)


def test_a_video_that_is_not_allowed_is_not_tried(launch_of: LaunchOf) -> None:
    launch = launch_of(max_model_len=128000, limit_mm_per_prompt={"video": 0})
    assert item_of(QWEN2_5_VL, launch) == Item("image", 16384, 16384)


def test_outputs_were_padded_to_the_budget_in_two_releases(launch_of: LaunchOf) -> None:
    def padded(version: tuple[int, int, int]) -> int:
        launch = launch_of(version=version, model_runner="v1", max_model_len=16000)
        return pass_of(MISTRAL, launch).padded

    versions = ((0, 10, 2), (0, 11, 0), (0, 12, 0), (0, 13, 0))
    assert [padded(version) for version in versions] == [0, 2 * 8192, 2 * 8192, 0]


def test_qwen3_counts_time_stamps_only_where_outputs_were_padded(launch_of: LaunchOf) -> None:
    stamped, plain = (
        item_of(QWEN3_VL, launch_of(version=version)) for version in ((0, 11, 0), (0, 13, 0))
    )
    assert stamped == Item("video", 153_600, 12_288)
    assert plain == Item("image", 16_384, 16_384)


def test_gemma_4_took_frames_one_after_another_before_0_22(launch_of: LaunchOf) -> None:
    one_by_one, together = (
        pass_of(GEMMA4, launch_of(version=version, model_runner="v1"))
        for version in ((0, 21, 0), (0, 22, 0))
    )
    assert one_by_one.patches == 70 * 9
    assert together.patches == 3 * 32 * 70 * 9
    assert one_by_one.pixels == together.pixels


def test_a_request_holds_no_more_items_than_its_length(launch_of: LaunchOf) -> None:
    launch = launch_of(version=(0, 11, 0), max_num_seqs=1, max_model_len=4096, model_runner="v1")
    assert pass_of(MISTRAL, launch).items == 1


@given(length=st.integers(1024, 262_144), version=st.sampled_from([(0, 9, 2), (0, 19, 0)]))
def test_a_longer_request_never_shrinks_the_largest_item(
    launch_of: LaunchOf, length: int, version: tuple[int, int, int]
) -> None:
    for name in (QWEN2_5_VL, QWEN3_VL, GEMMA4, "zai-org/GLM-4.1V-9B-Thinking"):
        shorter, longer = (
            item_of(name, launch_of(version=version, max_model_len=each))
            for each in (length, 2 * length)
        )
        assert 0 < shorter.counted <= longer.counted
        assert 0 < shorter.tokens <= longer.tokens


def test_smaller_images_take_less(launch_of: LaunchOf) -> None:
    whole, limited = (
        pass_of(QWEN2_5_VL, launch_of(max_image_pixels=pixels)) for pixels in (None, 784 * 1280)
    )
    assert whole.tokens == 16_384
    # A video: six pairs of frames fill the length of 8,192 tokens.
    assert (limited.items, limited.tokens) == (1, 6 * 1280)
