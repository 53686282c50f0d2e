"""Write the table of cloud instance types with GPUs.

    python scripts/build_instances.py

The facts stand below, one family a row: the ids with their number of GPUs, the card by its
catalogue name, and for each provider the page they are published on and the day they were
gathered. Writes `hardware/instances.json`, one instance a line, so that other tables
(prices) can be joined by `id`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from vllm_preflight.hardware.facts import gpu_names

TARGET = Path(__file__).parent.parent / "planner/vllm_preflight/hardware/instances.json"

A100_40, A100_80 = "A100 SXM4 40GB", "A100 SXM4 80GB"
A100_PCIE_40, A100_PCIE_80 = "A100 PCIe 40GB", "A100 PCIe 80GB"
H100, H100_PCIE, H100_NVL = "H100 SXM5 80GB", "H100 PCIe 80GB", "H100 NVL 94GB"
H200, B200, B300 = "H200 SXM 141GB", "B200 SXM 180GB", "B300 SXM 288GB"
V100_16, V100_32, V100_PCIE = "Tesla V100 SXM2 16GB", "Tesla V100 SXM2 32GB", "Tesla V100 PCIe 16GB"
RTX_PRO_6000, P100 = "RTX PRO 6000 Blackwell Server", "Tesla P100 PCIe 16GB"


class Provider(NamedTuple):
    """A cloud or maker: families map an id, with a place for sizes, to a card and GPUs by size."""

    name: str
    source: str
    date: str
    families: dict[str, tuple[str, dict[str, int]]]


def sized(gpus: int, *sizes: str) -> dict[str, int]:
    """Sizes of a family with the same number of GPUs."""
    return dict.fromkeys(sizes, gpus)


def numbered(*counts: int) -> dict[str, int]:
    """Sizes that are named by their number of GPUs."""
    return {str(count): count for count in counts}


G_SIZES = sized(1, "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")
MORE_SIZES = {**sized(4, "12xlarge", "24xlarge"), "48xlarge": 8}
PROVIDERS = (
    Provider(
        "AWS",
        "https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html",
        "2026-11-28",
        {
            "p3.{}": (V100_16, {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8}),
            "p3dn.{}": (V100_32, {"24xlarge": 8}),
            "p4d.{}": (A100_40, {"24xlarge": 8}),
            "p4de.{}": (A100_80, {"24xlarge": 8}),
            "p5.{}": (H100, {"4xlarge": 1, "48xlarge": 8}),
            "p5e.{}": (H200, {"48xlarge": 8}),
            "p5en.{}": (H200, {"48xlarge": 8}),
            "p6-b200.{}": (B200, {"48xlarge": 8}),
            "p6-b300.{}": (B300, {"48xlarge": 8}),
            "p6e-gb200.{}": ("GB200", {"36xlarge": 4}),
            "g4dn.{}": ("T4", {**G_SIZES, "12xlarge": 4, "metal": 8}),
            "g5.{}": ("A10G", {**G_SIZES, **MORE_SIZES}),
            "g6.{}": ("L4", {**G_SIZES, **MORE_SIZES}),
            "gr6.{}": ("L4", sized(1, "4xlarge", "8xlarge")),
            "g6e.{}": ("L40S", {**G_SIZES, **MORE_SIZES}),
            "g7e.{}": (
                RTX_PRO_6000,
                {
                    **sized(1, "2xlarge", "4xlarge", "8xlarge"),
                    "12xlarge": 2,
                    "24xlarge": 4,
                    "48xlarge": 8,
                },
            ),
        },
    ),
    Provider(
        "GCP",
        "https://cloud.google.com/compute/docs/gpus",
        "2026-11-28",
        {
            "a2-highgpu-{}g": (A100_40, numbered(1, 2, 4, 8)),
            "a2-megagpu-{}g": (A100_40, numbered(16)),
            "a2-ultragpu-{}g": (A100_80, numbered(1, 2, 4, 8)),
            "a3-highgpu-{}g": (H100, numbered(1, 2, 4, 8)),
            "a3-megagpu-{}g": (H100, numbered(8)),
            "a3-edgegpu-{}g": (H100, numbered(8)),
            "a3-ultragpu-{}g": (H200, numbered(8)),
            "a4-highgpu-{}g": (B200, numbered(8)),
            "a4x-highgpu-{}g": ("GB200", numbered(4)),
            "g2-standard-{}": (
                "L4",
                {**sized(1, "4", "8", "12", "16", "32"), "24": 2, "48": 4, "96": 8},
            ),
            "g4-standard-{}": (RTX_PRO_6000, {"48": 1, "96": 2, "192": 4, "384": 8}),
        },
    ),
    Provider(
        "Azure",
        "https://learn.microsoft.com/azure/virtual-machines/sizes/overview",
        "2026-11-28",
        {
            "Standard_NC{}as_T4_v3": ("T4", {**sized(1, "4", "8", "16"), "64": 4}),
            "Standard_NC{}s_v3": (V100_PCIE, {"6": 1, "12": 2, "24": 4}),
            "Standard_NC{}rs_v3": (V100_PCIE, {"24": 4}),
            "Standard_NC{}ads_A100_v4": (A100_PCIE_80, {"24": 1, "48": 2, "96": 4}),
            "Standard_NC{}ads_H100_v5": (H100_NVL, {"40": 1}),
            "Standard_NCC{}ads_H100_v5": (H100_NVL, {"40": 1}),
            "Standard_NC{}adis_H100_v5": (H100_NVL, {"80": 2}),
            "Standard_NV{}ads_A10_v5": ("A10", {"36": 1, "72": 2}),
            "Standard_NV{}adms_A10_v5": ("A10", {"36": 1}),
            "Standard_ND{}rs_v2": (V100_32, {"40": 8}),
            "Standard_ND{}asr_v4": (A100_40, {"96": 8}),
            "Standard_ND{}amsr_A100_v4": (A100_80, {"96": 8}),
            "Standard_ND{}isr_H100_v5": (H100, {"96": 8}),
            "Standard_ND{}isr_H200_v5": (H200, {"96": 8}),
            "Standard_ND{}isr_MI300X_v5": ("Instinct MI300X", {"96": 8}),
            "Standard_ND{}isr_NDR_GB200_v6": ("GB200", {"128": 4}),
            "Standard_ND{}isr_GB300_v6": ("GB300", {"128": 4}),
        },
    ),
    Provider(
        "Lambda",
        "https://docs.lambda.ai/public-cloud/on-demand/",
        "2026-11-28",
        {
            "gpu_{}x_a10": ("A10", numbered(1)),
            "gpu_{}x_rtx6000": ("Quadro RTX 6000", numbered(1)),
            "gpu_{}x_a6000": ("RTX A6000", numbered(1, 2, 4)),
            "gpu_{}x_v100": (V100_16, numbered(8)),
            "gpu_{}x_v100_n": (V100_16, numbered(8)),
            "gpu_{}x_a100": (A100_PCIE_40, numbered(1, 2, 4)),
            "gpu_{}x_a100_sxm4": (A100_40, numbered(1)),
            "gpu_{}x_a100_80gb_sxm4": (A100_80, numbered(8)),
            "gpu_{}x_h100_pcie": (H100_PCIE, numbered(1)),
            "gpu_{}x_h100_sxm5": (H100, numbered(1, 2, 4, 8)),
            "gpu_{}x_gh200": ("GH200 96GB", numbered(1)),
            "gpu_{}x_b200_sxm6": (B200, numbered(1, 2, 4, 8)),
        },
    ),
    Provider(
        "CoreWeave",
        "https://docs.coreweave.com/platform/instances/gpu-instances",
        "2026-11-28",
        {
            "gd-{}xh100ib-i128": (H100, numbered(8)),
            "gd-{}xh200ib-i128": (H200, numbered(8)),
            "gd-{}xa100-i128": (A100_80, numbered(8)),
            "gd-{}xl40-i128": ("L40", numbered(8)),
            "gd-{}xl40s-i128": ("L40S", numbered(8)),
            "gd-{}xgh200": ("GH200 96GB", numbered(1)),
            "b200-{}x": (B200, numbered(8)),
            "b300-{}x": (B300, numbered(8)),
            "gb200-{}x": ("GB200", numbered(4)),
            "gb300-{}x": ("GB300", numbered(4)),
            "rtxp6000-{}x": (RTX_PRO_6000, numbered(8)),
        },
    ),
    Provider(
        "OCI",
        "github.com/skypilot-org/skypilot-catalog:catalogs/v8/oci/vms.csv",
        "2026-11-28",
        {
            "BM.GPU2.{}": (P100, numbered(2)),
            "VM.GPU2.{}": (P100, numbered(1)),
            "BM.GPU3.{}": (V100_16, numbered(8)),
            "VM.GPU3.{}": (V100_16, numbered(1, 2, 4)),
            "BM.GPU4.{}": (A100_40, numbered(8)),
            "BM.GPU.A100-v2.{}": (A100_80, numbered(8)),
            "BM.GPU.A10.{}": ("A10", numbered(4)),
            "VM.GPU.A10.{}": ("A10", numbered(1, 2)),
            "BM.GPU.L40S.{}": ("L40S", numbered(4)),
            "BM.GPU.H100.{}": (H100, numbered(8)),
            "BM.GPU.H200.{}": (H200, numbered(8)),
            "BM.GPU.B200.{}": (B200, numbered(8)),
            "BM.GPU.B300.{}": (B300, numbered(8)),
            "BM.GPU.GB200.{}": ("GB200", numbered(4)),
            "BM.GPU.GB300.{}": ("GB300", numbered(4)),
            "BM.GPU.RTXPRO.{}": (RTX_PRO_6000, numbered(8)),
            "BM.GPU.MI300X.{}": ("Instinct MI300X", numbered(8)),
            "BM.GPU.MI355X.{}": ("Instinct MI355X", numbered(8)),
        },
    ),
    Provider(
        "Nebius",
        "github.com/skypilot-org/skypilot-catalog:catalogs/v8/nebius/vms.csv",
        "2026-11-28",
        {
            "gpu-h100-sxm_{}-1600gb": (H100, {"8gpu-128vcpu": 8}),
            "gpu-h100-sxm_{}-200gb": (H100, {"1gpu-16vcpu": 1}),
            "gpu-h200-sxm_{}-1600gb": (H200, {"8gpu-128vcpu": 8}),
            "gpu-h200-sxm_{}-200gb": (H200, {"1gpu-16vcpu": 1}),
            "gpu-b200-sxm_{}-1792gb": (B200, {"8gpu-160vcpu": 8}),
            "gpu-l40s-d_{}": (
                "L40S",
                {
                    **sized(1, "1gpu-16vcpu-96gb", "1gpu-32vcpu-192gb", "1gpu-48vcpu-288gb"),
                    **sized(2, "2gpu-64vcpu-384gb", "2gpu-96vcpu-576gb"),
                    **sized(4, "4gpu-128vcpu-768gb", "4gpu-192vcpu-1152gb"),
                },
            ),
            "gpu-l40s-a_{}": ("L40S", sized(1, "1gpu-8vcpu-32gb", "1gpu-16vcpu-64gb")),
        },
    ),
    Provider(
        "DigitalOcean",
        "https://docs.digitalocean.com/products/droplets/details/features/",
        "2026-11-28",
        {
            "gpu-h100x{}": (H100, {"1-80gb": 1, "8-640gb": 8}),
            "gpu-h200x{}": (H200, {"1-141gb": 1, "8-1128gb": 8}),
            "gpu-l40sx{}": ("L40S", {"1-48gb": 1}),
            "gpu-6000adax{}": ("RTX 6000 Ada", {"1-48gb": 1}),
            "gpu-4000adax{}": ("RTX 4000 Ada", {"1-20gb": 1}),
            "gpu-mi300x{}": ("Instinct MI300X", {"1-192gb": 1, "8-1536gb": 8}),
            "gpu-mi325x{}": ("Instinct MI325X", {"1-256gb": 1, "8-2048gb": 8}),
            "gpu-mi350x{}": ("Instinct MI350X", {"1-288gb": 1, "8-2304gb": 8}),
        },
    ),
    Provider(
        "Alibaba Cloud",
        "https://www.alibabacloud.com/help/en/ecs/user-guide/gpu-accelerated-compute-optimized"
        "-and-vgpu-accelerated-instance-families-1",
        "2026-11-28",
        {
            "ecs.gn6v-c8g1.{}": (V100_16, {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8}),
            "ecs.gn6i-c4g1.{}": ("T4", {"xlarge": 1}),
            "ecs.gn6i-c8g1.{}": ("T4", {"2xlarge": 1}),
            "ecs.gn6i-c16g1.{}": ("T4", {"4xlarge": 1}),
            "ecs.gn6i-c24g1.{}": ("T4", {"6xlarge": 1, "12xlarge": 2, "24xlarge": 4}),
            "ecs.gn7i-c8g1.{}": ("A10", {"2xlarge": 1}),
            "ecs.gn7i-c16g1.{}": ("A10", {"4xlarge": 1}),
            "ecs.gn7i-c32g1.{}": ("A10", {"8xlarge": 1, "16xlarge": 2, "32xlarge": 4}),
            "ecs.gn7e-c16g1.{}": (
                A100_80,
                {"4xlarge": 1, "8xlarge": 2, "16xlarge": 4, "32xlarge": 8},
            ),
        },
    ),
    Provider(
        "Scaleway",
        "https://www.scaleway.com/en/docs/gpu/reference-content/choosing-gpu-instance-type/",
        "2026-11-28",
        {
            "H100-{}-80G": (H100_PCIE, numbered(1, 2)),
            "H100-SXM-{}-80G": (H100, numbered(2, 4, 8)),
            "L40S-{}-48G": ("L40S", numbered(1, 2, 4, 8)),
            "L4-{}-24G": ("L4", numbered(1, 2, 4, 8)),
        },
    ),
    Provider(
        "NVIDIA",
        "https://docs.nvidia.com/dgx/",
        "2026-11-28",
        {
            "DGX H100": (H100, {"": 8}),
            "DGX H200": (H200, {"": 8}),
            "DGX B200": (B200, {"": 8}),
            "DGX B300": (B300, {"": 8}),
            "DGX A100 320GB": (A100_40, {"": 8}),
            "DGX A100 640GB": (A100_80, {"": 8}),
        },
    ),
)
# Names of a kind of GPU that a cloud defines, without saying how many.
ACCELERATORS = {
    "GKE": (
        "https://cloud.google.com/kubernetes-engine/docs/how-to/gpus",
        "2026-11-28",
        {
            "nvidia-tesla-p4": "Tesla P4",
            "nvidia-tesla-p100": P100,
            "nvidia-tesla-v100": V100_16,
            "nvidia-tesla-t4": "T4",
            "nvidia-tesla-a100": A100_40,
            "nvidia-a100-80gb": A100_80,
            "nvidia-l4": "L4",
            "nvidia-h100-80gb": H100,
            "nvidia-h100-mega-80gb": H100,
            "nvidia-h200-141gb": H200,
            "nvidia-b200": B200,
            "nvidia-gb200": "GB200",
            "nvidia-rtx-pro-6000": RTX_PRO_6000,
            "tpu-v4-podslice": "TPU v4",
            "tpu-v5-lite-podslice": "TPU v5e",
            "tpu-v5-lite-device": "TPU v5e",
            "tpu-v5p-slice": "TPU v5p",
            "tpu-v6e-slice": "TPU v6e",
        },
    ),
}
# Beginnings of instance types whose chips are no GPUs.
OTHER_CHIPS = {
    "inf1.": "AWS Inferentia",
    "inf2.": "AWS Inferentia2",
    "trn1.": "AWS Trainium",
    "trn1n.": "AWS Trainium",
    "trn2.": "AWS Trainium2",
    "trn2u.": "AWS Trainium2",
    "dl1.": "Intel Gaudi (HL-205)",
}


def build() -> dict[str, Any]:
    """The whole table; a card the catalogue lacks is an error."""
    instances = [
        {"id": family.format(size), "provider": provider.name, "gpu": gpu, "gpus": count}
        for provider in PROVIDERS
        for family, (gpu, sizes) in provider.families.items()
        for size, count in sizes.items()
    ]
    accelerators = [
        {"id": name, "provider": provider, "gpu": gpu}
        for provider, (_, _, names) in ACCELERATORS.items()
        for name, gpu in names.items()
    ]
    if missing := {str(row["gpu"]) for row in instances + accelerators} - set(gpu_names()):
        raise ValueError(f"no card of the catalogue: {sorted(missing)}")
    sources = {provider.name: (provider.source, provider.date) for provider in PROVIDERS}
    sources |= {name: (source, date) for name, (source, date, _) in ACCELERATORS.items()}
    return {
        "schema_version": 1,
        "sources": [
            {"provider": name, "source": source, "date": date}
            for name, (source, date) in sources.items()
        ],
        "instances": instances,
        "accelerators": accelerators,
        "other_chips": [{"prefix": prefix, "chip": chip} for prefix, chip in OTHER_CHIPS.items()],
    }


def render(table: dict[str, Any]) -> str:
    """JSON with one entry a line, so that a change shows as its own line."""
    lists = [
        f'"{key}": [\n'
        + ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in table[key])
        + "\n]"
        for key in ("sources", "instances", "accelerators", "other_chips")
    ]
    return f'{{\n"schema_version": {table["schema_version"]},\n' + ",\n".join(lists) + "\n}\n"


def main() -> None:
    table = build()
    TARGET.write_text(render(table), encoding="utf-8")
    print(f"{len(table['instances'])} instance types, {len(table['accelerators'])} accelerators")


if __name__ == "__main__":
    main()
