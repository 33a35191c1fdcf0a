"""A tiny random Qwen2-VL, whose number of tokens depends on the picture's size. What it says means nothing."""

from pathlib import Path

from captioners.vlm import VlmSettings

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
           "<|video_pad|>")  # fmt: skip


def tiny_vlm(folder: Path) -> VlmSettings:
    """Patches of 4 px, four of them a token."""
    import torch
    from transformers import (
        Qwen2Tokenizer,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    from tests.captioners.writing import letters

    torch.manual_seed(0)
    vocab, merges = letters(*SPECIAL)
    tokenizer = Qwen2Tokenizer(
        vocab, merges, unk_token=SPECIAL[0], eos_token="<|im_end|>", pad_token=SPECIAL[0], model_max_length=4000,
        additional_special_tokens=list(SPECIAL),
    )  # fmt: skip
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.5, "bos_token_id": 0,
        "eos_token_id": 2, "pad_token_id": 0, "max_position_embeddings": 4000,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": 16, "mlp_ratio": 2, "num_heads": 2, "patch_size": 4}
    ids = {f"{name}_token_id": vocab[f"<|{token}|>"] for name, token in (
        ("image", "image_pad"), ("video", "video_pad"), ("vision_start", "vision_start"), ("vision_end", "vision_end")
    )}  # fmt: skip
    config = Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    pixels = {"patch_size": 4, "size": {"shortest_edge": 8 * 8, "longest_edge": 64 * 64}}
    Qwen2VLProcessor(
        Qwen2VLImageProcessor(**pixels), tokenizer, Qwen2VLVideoProcessor(**pixels), chat_template=TEMPLATE
    ).save_pretrained(folder)
    return VlmSettings(model=str(folder), max_tokens=8)
