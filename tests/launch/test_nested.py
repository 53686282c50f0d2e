from __future__ import annotations

from collections.abc import Callable

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.nested import read_image_pixels, read_mm_limits

Resolve = Callable[..., Launch]


@pytest.mark.parametrize("text", ["{method: mtp}", "[1]", "null", "mtp", "[" * 100_000])
def test_what_is_no_json_object_is_invalid(resolve: Resolve, text: str) -> None:
    with pytest.raises(InvalidRequest, match="speculative_config"):
        resolve(speculative_config=text[:10_000])


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ('{"image": 2, "video": 0}', {"image": 2, "video": 0}),
        ('{"image": {"count": 3, "width": 512}}', {"image": 3}),
        ("image=2,video=0", {"image": 2, "video": 0}),
        ("{}", {}),
    ],
)
def test_limits_are_read_in_every_form(text: str, limits: dict[str, int]) -> None:
    assert read_mm_limits(text) == limits


@pytest.mark.parametrize("text", ['{"image": -1}', '{"image": "two"}', "image", '{"image": true}'])
def test_limits_that_are_no_counts_are_invalid(text: str) -> None:
    with pytest.raises(InvalidRequest, match="limit_mm_per_prompt"):
        read_mm_limits(text)


@pytest.mark.parametrize(
    ("release", "taken"),
    [("0.8.4", True), ("0.8.5", True), ("0.9.2", True), ("0.10.0", False), ("0.33.0", False)],
)
def test_pairs_for_json_were_taken_until_0_10(release: str, taken: bool) -> None:
    parsed = parse_command("vllm serve m --limit-mm-per-prompt image=2,video=0", release)
    assert (parsed.refusal is None) is taken
    if taken:
        assert read_mm_limits(parsed.fields["limit_mm_per_prompt"]) == {"image": 2, "video": 0}


@pytest.mark.parametrize(
    ("kwargs", "read"),
    [
        ({"max_pixels": 1_003_520, "min_pixels": 3136}, (1_003_520, True)),
        ({"images_kwargs": {"size": {"longest_edge": 5, "shortest_edge": 1}}}, (5, True)),
        ({"max_pixels": 9, "fps": 2}, (9, False)),
        ({"num_crops": 4}, (None, False)),
        ("nonsense", (None, True)),
    ],
)
def test_the_largest_image_is_read_from_processor_arguments(
    kwargs: object, read: tuple[int | None, bool]
) -> None:
    assert read_image_pixels(kwargs) == read
