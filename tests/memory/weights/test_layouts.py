from __future__ import annotations

import pytest

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.memory.weights.layouts import Matrix, plain_layout, quantised_layout
from vllm_preflight.models.weight_scheme import WeightScheme

H100, A100, B200, L40S = (9, 0), (8, 0), (10, 0), (8, 9)
DENSE = Matrix((512, 512), 4096)


@pytest.mark.parametrize(
    ("scheme", "capability", "sizes"),
    [
        (WeightScheme("fp8_block", block=(128, 128)), H100, (1024 * 4096, 8 * 32 * 4)),
        (WeightScheme("fp8_block", block=(128, 128)), L40S, (1024 * 4096, 1024 * 32 * 2)),
        (WeightScheme("fp8_tensor"), H100, (1024 * 4096, 4)),
        (WeightScheme("fp8_channel"), H100, (1024 * 4096, 1024 * 4)),
        (WeightScheme("fp8_channel"), A100, (1024 * 4096, 1024 * 2)),
        (WeightScheme("mxfp8", group_size=32), H100, (1024 * 4096, 1024 * 128)),
        (WeightScheme("nvfp4", bits=4, group_size=16), B200, (1024 * 2048, 1024 * 256, 4)),
        (WeightScheme("bnb4", bits=4), A100, (1024 * 2048, 1024 * 64 * 4)),
        (
            WeightScheme("int_group", bits=4, group_size=128, zero_points=True),
            A100,
            (1024 * 2048, 1024 * 32 * 2, 1024 * 16),
        ),
        # Machete widens the zero points on Hopper.
        (
            WeightScheme("int_group", bits=4, group_size=128, zero_points=True),
            H100,
            (1024 * 2048, 1024 * 32 * 2, 1024 * 32 * 2),
        ),
        (
            WeightScheme("int_group", bits=4, group_size=128, act_order=True),
            A100,
            (1024 * 2048, 1024 * 32 * 2, 4096 * 4, 4096 * 4),
        ),
    ],
)
def test_layouts_by_hand(
    scheme: WeightScheme, capability: ComputeCapability, sizes: tuple[int, ...]
):
    assert quantised_layout(DENSE, scheme, capability) == sizes


def test_experts_are_padded_for_the_kernel():
    gpt_oss = Matrix((2880, 2880), 2880, copies=4, expert=True)
    mxfp4 = WeightScheme("mxfp4", bits=4, group_size=32)
    hopper, ampere = (quantised_layout(gpt_oss, mxfp4, gpu) for gpu in (H100, A100))
    assert hopper == (4 * 5760 * 1440, 4 * 5888 * 92)
    assert ampere == (4 * 5888 * 1536, 4 * 5888 * 96)
    shares = Matrix((232,), 2688, copies=2, expert=True)
    assert plain_layout(shares, 2, H100) == (2 * 232 * 2688 * 2,)
    assert plain_layout(shares, 2, B200) == (2 * 256 * 2688 * 2,)


def test_a_share_smaller_than_a_block_shrinks_the_block():
    share = Matrix((96, 96), 2048, expert=True)
    scheme = WeightScheme("fp8_block", block=(128, 128))
    assert quantised_layout(share, scheme, H100) == (192 * 2048, 6 * 64 * 4)


def test_older_releases_choose_other_kernels():
    older = (0, 19, 1)
    block = WeightScheme("fp8_block", block=(128, 128))
    assert quantised_layout(DENSE, block, L40S, older) == (1024 * 4096, 8 * 32 * 4)
    assert quantised_layout(DENSE, block, A100, older) == (1024 * 4096, 1024 * 32 * 2)
    awq = WeightScheme("int_group", bits=4, group_size=128, zero_points=True)
    assert quantised_layout(DENSE, awq, H100, older)[2] == 1024 * 16
