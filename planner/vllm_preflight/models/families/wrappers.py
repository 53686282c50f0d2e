"""Which towers stand beside the text model of each multimodal model type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vllm_preflight.models.architecture import Encoder
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families import (
    audio,
    audio_language,
    kanana,
    molmo,
    phi4_multimodal,
    radio,
    speech,
    vision,
    vision_clip,
    vision_connectors,
    vision_documents,
    vision_mistral,
    vision_qwen,
    vision_tiles,
    vision_wrapped,
)

# (tower's config, hidden size of the text model) -> tower
Tower = Callable[[ConfigView, int], Encoder]


@dataclass(frozen=True)
class Wrapper:
    """What a multimodal model class fixes.

    `text_type` is the text model's type where the config does not say. `text_keys`
    lead to the text config, `at` to the part of the config that holds text and towers.
    A tower whose section is null is absent; `always` says the class builds its vision
    tower from defaults when the section is missing. `deepstack` keeps image features
    for several depths in a buffer over the batch. `text_class` is the text model's type
    whatever its own config says.
    """

    text_type: str = ""
    vision: Tower | None = None
    audio: Tower | None = None
    text_keys: tuple[str, ...] = ("text_config", "llm_config", "language_config")
    at: str = ""
    always: bool = True
    deepstack: bool = False
    vision_key: str = "vision_config"
    audio_key: str = "audio_config"
    text_class: str = ""


# A key "type@variant" is for one class or one `version` of a model type.
WRAPPERS: Mapping[str, Wrapper] = {
    "qwen2_vl": Wrapper("qwen2_vl_text", vision_qwen.qwen2_vision),
    "qwen2_5_vl": Wrapper("qwen2_5_vl_text", vision_qwen.qwen2_5_vision),
    "qwen3_vl": Wrapper("qwen3_vl_text", vision_qwen.qwen3_vision, deepstack=True),
    "qwen3_vl_moe": Wrapper("qwen3_vl_moe_text", vision_qwen.qwen3_vision, deepstack=True),
    "qwen3_5": Wrapper("qwen3_5_text", vision_qwen.qwen3_vision),
    "qwen3_5_moe": Wrapper("qwen3_5_moe_text", vision_qwen.qwen3_vision),
    "qwen2_audio": Wrapper("qwen2", audio=audio.qwen2_audio),
    "qwen2_5_omni": Wrapper(
        "qwen2_5_omni_text",
        vision_qwen.qwen2_5_vision,
        audio.qwen2_5_omni_audio,
        at="thinker_config",
    ),
    "qwen3_omni_moe": Wrapper(
        "qwen3_omni_moe_text",
        vision_qwen.qwen3_vision,
        audio.qwen3_audio,
        at="thinker_config",
        deepstack=True,
    ),
    "glm4v": Wrapper("glm4v_text", vision_qwen.glm4_vision),
    "glm4v_moe": Wrapper("glm4v_moe_text", vision_qwen.glm4_vision),
    "glm5_next": Wrapper("glm5_next_text", vision_qwen.glm5_next_vision),
    "gemma3": Wrapper("gemma3_text", vision.gemma3_vision),
    "gemma3n": Wrapper("gemma3n_text", vision.gemma3n_vision, audio.gemma3n_audio),
    "gemma4": Wrapper("gemma4_text", vision.gemma4_vision, audio.gemma4_audio, always=False),
    "gemma4_unified": Wrapper(
        "gemma4_unified_text",
        vision.gemma4_unified_vision,
        audio.gemma4_unified_audio,
        always=False,
    ),
    "paligemma": Wrapper("gemma", vision.paligemma_vision),
    "mistral3": Wrapper("mistral", vision.pixtral_vision),
    "ministral3": Wrapper("ministral3", vision.pixtral_vision, always=False),
    "llama4": Wrapper("llama4_text", vision.llama4_vision),
    "step3p7": Wrapper("step3p5", vision_tiles.step_vision, always=False),
    "mllama": Wrapper("mllama_text_model", vision_clip.mllama_vision),
    "phi3_v": Wrapper("phi3", vision_clip.phi3_vision, vision_key="img_processor"),
    "deepseek_vl_v2": Wrapper("deepseek_v2", vision_clip.deepseek_vl2_vision),
    "deepseek_vl_v2@DeepseekOCRForCausalLM": Wrapper(
        "deepseek_v2", vision_documents.deepseek_ocr_vision
    ),
    "dots_ocr": Wrapper("qwen2", vision_documents.dots_vision),
    "lfm2_vl": Wrapper("lfm2", vision_documents.lfm2_vision),
    "minicpmv@2.6": Wrapper("qwen2", vision_documents.minicpmv_vision),
    "minicpmv@4.5": Wrapper("qwen3", vision_documents.minicpmv_vision),
    "llava": Wrapper("llama", vision_clip.llava_vision),
    "llava_next": Wrapper("llama", vision_clip.llava_next_vision),
    "llava_onevision": Wrapper("qwen2", vision_tiles.onevision),
    "internvl": Wrapper("qwen2", vision_wrapped.interns1_vision),
    "internvl_chat": Wrapper("qwen2", vision_tiles.intern_vision),
    "idefics3": Wrapper("llama", vision_tiles.idefics3_vision),
    "paddleocr_vl": Wrapper("ernie4_5", vision_tiles.paddleocr_vision),
    "smolvlm": Wrapper("llama", vision_tiles.idefics3_vision),
    "muse_glimmer": Wrapper("muse_glimmer_text", vision_tiles.muse_vision),
    "kimi_vl": Wrapper("deepseek_v3", vision.kimi_vl_vision),
    "minimax_m3_vl": Wrapper("minimax_m3", vision_clip.minimax_vision),
    "kimi_k25": Wrapper("deepseek_v3", vision.kimi_vision),
    "kimi_k3": Wrapper("kimi_linear", vision.kimi_vision),
    "exaone4_5": Wrapper("exaone4", vision_qwen.exaone4_5_vision),
    "glm_ocr": Wrapper("glm_ocr_text", vision_qwen.glm_ocr_vision),
    "alpamayo2_super": Wrapper("qwen3_vl_text", vision_qwen.qwen3_vision, deepstack=True),
    "colqwen3": Wrapper("qwen3_vl_text", vision_qwen.qwen3_vision, deepstack=True),
    "ops_colqwen3": Wrapper("qwen3_vl_text", vision_qwen.qwen3_vision, deepstack=True),
    "qwen3_vl_nemotron_embed": Wrapper("qwen3_vl_text", vision_qwen.qwen3_vision, deepstack=True),
    "qwen3_asr": Wrapper("qwen3", audio=audio.qwen3_audio, at="thinker_config"),
    "cohere2_vision": Wrapper("cohere2", vision_connectors.cohere2_vision),
    "colpali": Wrapper("gemma", vision.paligemma_vision, at="vlm_config"),
    "modernvbert": Wrapper("modernbert", vision_connectors.shuffled_vision),
    "colmodernvbert": Wrapper("modernbert", vision_connectors.shuffled_vision, at="vlm_config"),
    "ultravbert": Wrapper("ultrabert", vision_connectors.shuffled_vision),
    "bailing_moe_v3_vl": Wrapper(
        "bailing_moe_v3", vision_qwen.bailing_v3_vision, text_class="bailing_moe_v3"
    ),
    "molmo2": Wrapper("molmo2_text", molmo.molmo2_vision),
    "step_robotics": Wrapper("step3p5", vision_tiles.step_vision, always=False),
    "unlimited-ocr": Wrapper("deepseek_v2", vision_documents.deepseek_ocr_vision),
    "unlimited_ocr": Wrapper("deepseek_v2", vision_documents.deepseek_ocr_vision),
    "deepseek_vl_v2@DeepseekOCR2ForCausalLM": Wrapper(
        "deepseek_v2", vision_documents.deepseek_ocr2_vision
    ),
    "minicpmo@2.6": Wrapper("qwen2", vision_documents.minicpmv_vision, speech.minicpmo_audio),
    "minicpmo@4.5": Wrapper("qwen3", vision_documents.minicpmv_vision, speech.minicpmo_audio),
    "NemotronH_Nano_VL_V2": Wrapper("nemotron_h", radio.radio_vision),
    "nemotron_h_omni": Wrapper("nemotron_h", radio.radio_vision),
    "bagel": Wrapper("qwen2", vision_connectors.bagel_vision, vision_key="vit_config"),
    "isaac": Wrapper("qwen3", vision_connectors.isaac_vision),
    "cosmos3_edge": Wrapper("cosmos3_edge_text", vision_connectors.cosmos3_edge_vision),
    "llava_next_video": Wrapper("llama", vision_connectors.llava_next_video_vision),
    "minicpmv4_6": Wrapper("qwen3_5_text", vision_connectors.minicpmv_merged_vision),
    "minicpmv4_7": Wrapper("qwen3_5_text", vision_connectors.minicpmv_merged_vision),
    "blip-2": Wrapper("opt", vision_connectors.blip2_vision),
    "aria": Wrapper("aria_text", vision_connectors.aria_vision),
    "openvla": Wrapper("llama", vision_connectors.openvla_vision),
    "interns1": Wrapper("qwen3", vision_wrapped.interns1_vision),
    "interns2_mobius": Wrapper(
        "interns2_mobius_text", vision_qwen.qwen3_vision, text_class="interns2_mobius_text"
    ),
    "interns1_pro": Wrapper("interns1_pro_text", vision_qwen.qwen3_vision, deepstack=True),
    "bee": Wrapper("qwen3", vision_wrapped.bee_vision),
    "R": Wrapper("qwen3", vision_wrapped.rvl_vision),
    "eagle_2_5_vl": Wrapper("qwen2", vision_wrapped.shuffled_siglip_vision),
    "llama_nemotron_vl": Wrapper("llama", vision_wrapped.shuffled_siglip_vision),
    "skywork_chat": Wrapper("qwen2", vision_tiles.intern_vision),
    "h2ovl_chat": Wrapper("llama", vision_tiles.intern_vision),
    "qianfan_ocr": Wrapper("qwen3", vision_tiles.intern_vision),
    "NVLM_D": Wrapper("qwen2", vision_wrapped.nvlm_vision),
    "lightonocr": Wrapper("qwen3", vision.pixtral_vision),
    "opencua": Wrapper("qwen2", vision_qwen.qwen2_5_vision),
    "Keye": Wrapper("qwen3", vision_wrapped.keye_vision),
    "KeyeVL1_5": Wrapper("qwen3", vision_wrapped.keye_1_5_vision),
    "ernie4_5_moe_vl": Wrapper("ernie4_5_moe_vl", vision_wrapped.ernie_vision),
    "ernie4_5_vl_moe": Wrapper("ernie4_5_vl_moe_text", vision_wrapped.ernie_vision),
    "chatglm": Wrapper("chatglm", vision_wrapped.glm4v_9b_vision, always=False),
    "step3_vl": Wrapper("step3_text", vision_wrapped.step3_vision),
    "ovis": Wrapper("qwen2", vision_wrapped.ovis_vision, vision_key="visual_tokenizer_config"),
    "ovis2_5": Wrapper("qwen3", vision_wrapped.ovis2_5_vision, vision_key="vit_config"),
    "ovis2_6": Wrapper("qwen3", vision_wrapped.ovis2_5_vision, vision_key="vit_config"),
    "ovis2_6_moe": Wrapper("qwen3_moe", vision_wrapped.ovis2_5_vision, vision_key="vit_config"),
    "phi4-siglip": Wrapper("phi3", vision_wrapped.phi4_siglip_vision),
    "granite4_vision": Wrapper("granite", vision_wrapped.granite4_vision, deepstack=False),
    "llava_onevision2": Wrapper("qwen3", vision_wrapped.onevision2),
    "hyperclovax_vlm": Wrapper("hyperclovax", vision_wrapped.hyperclovax_vision),
    "vlm": Wrapper("hyperclovax", vision_wrapped.hyperclovax_vision),
    "pixtral": Wrapper("mistral", vision_mistral.mistral_vision),
    "openpangu_vl": Wrapper("PanguEmbedded", vision_qwen.qwen2_5_vision),
    "voxtral": Wrapper("llama", audio=speech.voxtral_audio),
    "voxtral_realtime": Wrapper("llama", audio=speech.voxtral_audio),
    "ultravox": Wrapper("llama", audio=speech.ultravox_audio),
    "kimi_audio": Wrapper("qwen2", audio=speech.kimi_audio_audio),
    "audioflamingo3": Wrapper("qwen2", audio=speech.audio_flamingo_audio),
    "glmasr": Wrapper("llama", audio=speech.glm_asr_audio),
    "moss_transcribe_diarize": Wrapper("qwen3", audio=speech.moss_transcribe_audio),
    "funaudiochat": Wrapper("qwen3", audio=audio_language.fun_audio),
    "midashenglm": Wrapper(
        "qwen2_5_omni_text", audio=audio_language.dasheng_audio, audio_key="audio_encoder_config"
    ),
    "moss_audio": Wrapper("qwen3", audio=audio_language.moss_audio),
    "phi4mm": Wrapper(
        "phi3",
        phi4_multimodal.phi4mm_vision,
        phi4_multimodal.phi4mm_audio,
        vision_key="img_processor",
        audio_key="audio_processor",
    ),
    "kanana-1.5-v": Wrapper("llama", kanana.kanana_vision),
    "cohere_compass": Wrapper("cohere_compass_text", vision_qwen.qwen3_vision, deepstack=True),
    "granite_speech_plus": Wrapper(
        "granite", audio=speech.granite_speech_audio, audio_key="encoder_config"
    ),
    "granite_speech": Wrapper(
        "granite", audio=speech.granite_speech_audio, audio_key="encoder_config"
    ),
}
# Model types several classes with different towers share: the classes that are read.
KNOWN_CLASSES: Mapping[str, tuple[str, ...]] = {
    "deepseek_vl_v2": ("DeepseekVLV2ForCausalLM",),
}
