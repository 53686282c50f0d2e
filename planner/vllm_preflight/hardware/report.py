"""Detection as an answer."""

from __future__ import annotations

from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.hardware import DetectReport, DetectRequest, GPUInfo, NodeInfo
from vllm_preflight.hardware.detect import as_gpu, catalog_match, detect_gpus
from vllm_preflight.hardware.detected import DetectedGpu, Detection, MigInstance
from vllm_preflight.hardware.fleet.fleet import Fleet, read_fleet


def detection_answer(request: DetectRequest) -> DetectReport:
    """This machine's GPUs, or those of the cluster asked for.

    Raises:
        NoGpuDetected: the cluster cannot be asked.
    """
    if request.cluster == "none":
        return detect_report(detect_gpus(include_uuid=request.include_uuid))
    return fleet_report(read_fleet(request.cluster))


def detect_report(detection: Detection) -> DetectReport:
    """What this machine has, why anything is missing, and what to do next."""
    if detection.gpus:
        steps = ['Plan for these GPUs with gpu="auto".']
        if any(gpu.vendor == "AMD" for gpu in detection.gpus):
            steps.append(
                "vLLM's own rules on ROCm are not modelled: weights and KV cache are, a start is "
                "neither promised nor denied."
            )
        if busy := [gpu.index for gpu in detection.gpus if gpu.process_mib]:
            steps.append(
                f"Processes hold memory on GPU {', '.join(map(str, busy))}: vLLM refuses to "
                "start when less is free than gpu_memory_utilization asks for."
            )
    else:
        steps = [
            'Name a GPU of the catalogue, such as gpu="H100", to plan for another machine; '
            "for a card it lacks give vram_gb, the GiB that CUDA shows.",
        ]
    return DetectReport(
        gpus=[to_gpu_info(gpu) for gpu in detection.gpus],
        reason=detection.reason,
        driver_version=detection.driver_version,
        cuda_version=detection.cuda_version,
        next_steps=steps,
    )


def fleet_report(fleet: Fleet) -> DetectReport:
    """What a cluster offers, what was left out and why, and how to plan for it."""
    nodes = [
        NodeInfo(
            node=node.name,
            gpu=node.gpu.name,
            gpus=node.gpus,
            reported=node.reported,
            visible_gib=bytes_to_gib(node.gpu.visible_bytes),
        )
        for node in fleet.nodes
    ]
    place = f'gpu="fleet:{fleet.source}"'
    steps = [f"Plan for these nodes with {place}."] if nodes else ["Name a GPU of the catalogue."]
    return DetectReport(gpus=[], nodes=nodes, reason=" ".join(fleet.notes), next_steps=steps)


def to_gpu_info(detected: DetectedGpu) -> GPUInfo:
    """One detected GPU as it appears in answers; empty lists are left out."""
    match = catalog_match(detected)
    capability = detected.compute_capability
    return GPUInfo(
        name=detected.name,
        vram_mib=detected.total_mib,
        free_mib=detected.free_mib,
        used_mib=detected.used_mib,
        visible_gib=bytes_to_gib(as_gpu(detected).visible_bytes),
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
        driver_version=detected.driver_version,
        cuda_version=detected.cuda_version,
        vendor=None if detected.vendor == "NVIDIA" else detected.vendor,
        architecture=detected.architecture,
        partition=detected.partition,
        index=detected.index,
        uuid=detected.uuid,
        catalog_name=match.name if match else None,
        mig_instances=[_instance(instance) for instance in detected.mig_instances] or None,
        nvlink_peers=list(detected.nvlink_peers) or None,
        process_mib=detected.process_mib,
    )


def _instance(instance: MigInstance) -> str:
    uuid = f", {instance.uuid}" if instance.uuid else ""
    return f"{instance.name}: {instance.total_mib} MiB, {instance.free_mib} MiB free{uuid}"
